//! `hark completions`: the completion script of a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output::{Format, Out};

/// Options of `hark completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell; for bash: `source <(hark completions bash)`.
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hark", &mut script);
    let mut out = Out::new(Format::Table);
    out.bytes(&script)?;
    out.flush()
}
