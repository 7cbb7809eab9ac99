//! How a command ends: one code per kind of failure, stable, and a message for a person.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Exit codes. They never change their meaning; `hark --help` and the README list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Failed for a reason that has no code of its own.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// No server answered.
    Unreachable = 3,
    /// The topic, partition, group or node does not exist.
    NotFound = 4,
    /// Refused: it clashes with what is there, or it can never be taken as it is.
    Refused = 5,
    /// The server cannot now; the same command may succeed later.
    Busy = 6,
    /// The time given ran out first.
    Timeout = 7,
    /// The configuration is wrong: file, key or setting.
    Config = 78,
    /// Ended by Ctrl-C before the work was done.
    Interrupted = 130,
}

/// The last lines of `hark --help`.
pub(crate) const CODES_HELP: &str = "\
Exit codes:
    0  done
    1  failed
    2  the command line cannot be understood
    3  no server answered
    4  the topic, partition, group or node does not exist
    5  refused: a conflict, or a request that can never be taken as it is
    6  the server cannot now (disk full, limit reached); try again later
    7  the time given with --timeout ran out first
   78  the configuration is wrong
  130  ended by Ctrl-C before the work was done";

/// Why a command failed: what its process answers, and what it tells the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The code.
    pub exit: Exit,
    /// The message; empty when there is nobody left to tell.
    pub message: String,
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of this kind.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// A failure without a code of its own.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// A wrong command line that the parser could not see.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A wrong configuration.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Exit::Config, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Adds what was tried to an error of the system.
pub(crate) trait While<T> {
    /// `what` is a verb phrase: `"read the config file"`.
    fn while_doing(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: fmt::Display> While<T> for Result<T, E> {
    fn while_doing(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure::failed(format!("cannot {what}: {error}")))
    }
}

/// A failed write of our own output. A closed pipe (`hark … | head`) is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Ok, ""),
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
