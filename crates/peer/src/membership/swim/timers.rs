//! What is to be done when.

use std::collections::BTreeMap;
use std::time::Duration;

use foca::Timer;
use model::{Instant, NodeId};

use super::claims::Case;
use crate::membership::MemberId;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// The protocol engine asked to be called.
    Engine(Timer<MemberId>),
    /// A suspected member had its time to object.
    Judge(Case),
    /// Look for nodes that are not heard.
    Seek,
    /// Exchange everything with somebody.
    Exchange,
    /// A link has been suspected for long enough.
    LinkCleared(NodeId),
}

/// Things to do, by time, and in the order they were added.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Instant, u64), Due>,
    added: u64,
}

impl Timers {
    pub(super) fn add(&mut self, at: Instant, due: Due) {
        self.added += 1;
        self.due.insert((at, self.added), due);
    }

    pub(super) fn remove(&mut self, unwanted: &Due) {
        self.due.retain(|_, due| due != unwanted);
    }

    /// Forgets what belongs to an engine that is no more.
    pub(super) fn forget_engine(&mut self) {
        self.due
            .retain(|_, due| !matches!(due, Due::Engine(_) | Due::Judge(_)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Everything happens later by this much, as if the clock had stood still.
    pub(super) fn postpone(&mut self, by: Duration) {
        let due = std::mem::take(&mut self.due);
        self.due = due
            .into_iter()
            .map(|((at, order), due)| ((at.after(by), order), due))
            .collect();
    }
}
