//! Everything that must hold before a change lands, tests apart.

use std::path::Path;

use anyhow::Result;

use crate::{cargo, mutants, say, tidy};

pub(crate) fn run(root: &Path) -> Result<()> {
    say("ci: formatting");
    cargo(root, &["fmt", "--all", "--check"], &[])?;
    say("ci: tidy");
    tidy::run(root)?;
    say("ci: lints");
    let lints = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    cargo(root, &lints, &[])?;
    say("ci: planted bugs");
    mutants::run(root, &[])
}
