//! The binary under test, built by the test itself so that it is never stale.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of the `hark` binary, built with the profile of this test.
///
/// # Panics
/// When it cannot be built.
pub fn hark() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// A `hark` command that reads no configuration of the person who runs the tests.
pub fn command() -> Command {
    without_settings(Command::new(hark()))
}

/// The same for a process that can have only so many files open.
pub(crate) fn command_short_of_files(open_files_max: u32) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("ulimit -n {open_files_max}; exec \"$0\" \"$@\""))
        .arg(hark());
    without_settings(shell)
}

/// The same for a process in a network namespace.
pub(crate) fn command_in_namespace(namespace: &str) -> Command {
    let mut ip = Command::new("ip");
    ip.args(["netns", "exec", namespace]).arg(hark());
    without_settings(ip)
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HARK_") {
            command.env_remove(name);
        }
    }
    command
}

#[expect(clippy::expect_used, reason = "a test cannot go on without the binary")]
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "hark", "--bin", "hark"]);
    let test = std::env::current_exe().expect("a running test has a path");
    // target/PROFILE/deps/it-HASH
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test runs under target/PROFILE/deps");
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let status = build
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the hark binary does not build");
    profile.join("hark")
}
