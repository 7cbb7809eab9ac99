//! A failed write or sync ends the log: what the disk then holds is unknown, and a second sync
//! would report success for pages that the system has thrown away.

use std::fmt::Display;
use std::io;
use std::sync::OnceLock;

use crate::{AppendError, Progress};

use super::Log;
use super::journal::Journal;

/// The first failure, if there was one.
#[derive(Debug, Default)]
pub(super) struct Poison(OnceLock<String>);

impl Poison {
    pub(super) fn reason(&self) -> Option<String> {
        self.0.get().cloned()
    }

    /// The first reason is the cause; what follows are consequences.
    pub(super) fn set(&self, reason: String) {
        self.0.get_or_init(|| reason);
    }

    /// What an append is told.
    pub(super) fn error(&self) -> AppendError {
        AppendError::Stopped(self.reason().unwrap_or_default())
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }
}

/// How a step failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No space; nothing relied on is lost, try again later.
    Full,
    /// Anything else.
    Fatal(String),
}

impl Failure {
    /// Classes an error of a write, never of a sync: after that nothing is known.
    pub(super) fn of_write(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::fatal(what, error),
        }
    }

    pub(super) fn fatal(what: &str, error: impl Display) -> Self {
        Self::Fatal(format!("{what}: {error}"))
    }
}

impl Log {
    /// Ends the log: nothing is acknowledged any more, reads go on.
    pub(super) fn fail(&self, reason: String) -> Progress {
        // First of all, so that a group under way is not acknowledged either.
        self.poison.set(reason);
        self.fail_between_groups(&self.journal.lock())
    }

    /// The same for the commit step.
    pub(super) fn fail_between_groups(&self, journal: &Journal) -> Progress {
        self.refuse(journal, self.poison.error());
        self.wakes.commit.notify();
        self.wakes.settle.notify();
        self.wakes.checkpoint.notify();
        Progress::Idle
    }
}
