//! Counters since the start.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::Counters;

/// One number that many threads change.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See [`Counters`] for what each counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) records_published: Count,
    pub(crate) bytes_published: Count,
    pub(crate) publishes_failed: Count,
    pub(crate) records_delivered: Count,
    pub(crate) bytes_delivered: Count,
    pub(crate) polls_waiting: Count,
    pub(crate) commits: Count,
    pub(crate) calls_sent: Count,
    pub(crate) calls_failed: Count,
    pub(crate) calls_answered: Count,
}

impl Counts {
    /// All of them, each read on its own, beside the one that the budget knows.
    pub(crate) fn snapshot(&self, bytes_in_flight: u64) -> Counters {
        Counters {
            records_published: self.records_published.get(),
            bytes_published: self.bytes_published.get(),
            publishes_failed: self.publishes_failed.get(),
            records_delivered: self.records_delivered.get(),
            bytes_delivered: self.bytes_delivered.get(),
            polls_waiting: self.polls_waiting.get(),
            bytes_in_flight,
            commits: self.commits.get(),
            calls_sent: self.calls_sent.get(),
            calls_failed: self.calls_failed.get(),
            calls_answered: self.calls_answered.get(),
        }
    }
}
