//! Chores behind one entry point: `cargo xtask CHORE`.

mod ci;
mod mutants;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const HELP: &str = "\
cargo xtask CHORE

  ci              everything that must hold before a change lands, tests apart
  tidy            the law of the layers, links between docs, forgotten files
  mutants [NAME…] plants mistakes in a copy of the code; the simulator must find each
  sim ARGS…       the simulator, of storage and of a cluster; a failure says how to replay it
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let chore = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match run(&chore, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask {chore}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(chore: &str, rest: &[String]) -> Result<()> {
    match chore {
        "ci" => ci::run(&root()),
        "mutants" => mutants::run(&root(), rest),
        "tidy" => tidy::run(&root()),
        "sim" => cargo(&root(), &["run", "--quiet", "--package", "sim", "--"], rest),
        _ => bail!("no such chore\n\n{HELP}"),
    }
}

/// The workspace's root directory.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Runs cargo in `root` and fails when it does.
fn cargo(root: &Path, args: &[&str], more: &[String]) -> Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(args)
        .args(more)
        .current_dir(root)
        .status()
        .context("start cargo")?;
    if !status.success() {
        bail!("cargo {} failed", args.join(" "));
    }
    Ok(())
}

/// One line for the person at the terminal.
#[expect(
    clippy::print_stderr,
    reason = "a chore talks to the terminal that started it"
)]
fn say(line: &str) {
    eprintln!("{line}");
}
