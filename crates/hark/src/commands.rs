//! One file per command.

pub(crate) mod completions;
pub(crate) mod discovery;
pub(crate) mod group;
pub(crate) mod init;
pub(crate) mod local;
pub(crate) mod node;
pub(crate) mod publish;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod subscribe;
pub(crate) mod topic;

mod stop;

use std::future::Future;

use inquire::InquireError;

use crate::bench;
use crate::cli::Command;
use crate::client::Client;
use crate::config::Settings;
use crate::exit::{Exit, Failure, Outcome, While as _};
use crate::output::Out;

/// What a command that talks to a node works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// The node, or the nodes.
    pub client: Client,
    /// Standard output.
    pub out: Out,
}

/// Runs a command to its end.
pub(crate) fn run(command: Command, settings: Settings) -> Outcome {
    match command {
        Command::Serve(options) => serve::run(*options, settings),
        Command::Init(args) => init::run(args, &settings),
        Command::Discovery(args) => discovery::run(args, &settings),
        Command::Topic(command) => with_client(&settings, |context| topic::run(command, context)),
        Command::Pub(args) => with_client(&settings, |context| publish::run(args, context)),
        Command::Sub(args) => with_client(&settings, |context| subscribe::run(args, context)),
        Command::Group(command) => with_client(&settings, |context| group::run(command, context)),
        Command::Node(command) => with_client(&settings, |context| node::run(command, context)),
        Command::Status => with_client(&settings, status::run),
        Command::Local(command) => local::run(command, &settings),
        Command::Bench(args) => bench::run(args, &settings),
        Command::Completions(args) => completions::run(&args),
    }
}

/// What a person answered at a prompt. Ctrl-C and Escape end the command, and are no fault.
fn answered<T>(answer: Result<T, InquireError>) -> Outcome<T> {
    answer.map_err(|error| match error {
        InquireError::OperationInterrupted | InquireError::OperationCanceled => {
            Failure::new(Exit::Interrupted, "interrupted")
        }
        error => Failure::failed(format!("cannot ask: {error}")),
    })
}

/// A client needs one thread and nothing more.
fn with_client<F: Future<Output = Outcome>>(
    settings: &Settings,
    command: impl FnOnce(Context) -> F,
) -> Outcome {
    let client = Client::new(&settings.server)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .while_doing("start the runtime")?;
    let outcome = runtime.block_on(command(Context {
        client,
        out: Out::new(settings.format),
    }));
    // A thread that still waits for the keyboard must not hold the process.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_is_left_ends_like_ctrl_c() {
        let cases = [
            (InquireError::OperationInterrupted, Exit::Interrupted),
            (InquireError::OperationCanceled, Exit::Interrupted),
            (InquireError::NotTTY, Exit::Failed),
        ];
        for (error, exit) in cases {
            assert_eq!(answered::<()>(Err(error)).unwrap_err().exit, exit);
        }
    }
}
