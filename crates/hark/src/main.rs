//! One binary: the node, its command line and its benchmark.
//!
//! Where to start: [`cli`] names the commands, [`commands`] holds one file for each, and
//! [`assemble`] puts a node together from its parts.

mod assemble;
mod bench;
mod cli;
mod client;
mod commands;
mod config;
mod discovery;
mod exit;
mod files;
mod logging;
mod output;
mod text;
mod time;
mod units;

use std::process::ExitCode;

use crate::exit::{Exit, Outcome};

fn main() -> ExitCode {
    let cli = cli::parse();
    match run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                output::note(&format!("hark: {}", failure.message));
            }
            failure.exit.into()
        }
    }
}

/// Runs one command, with a runtime no larger than it needs.
fn run(cli: cli::Cli) -> Outcome {
    let Some(command) = cli.command else {
        return cli::print_help();
    };
    let settings = config::Settings::load(cli.common)?;
    commands::run(command, settings)
}
