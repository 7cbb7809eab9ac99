//! B1: leadership is handed over seldom, and to somebody who can take it.

use std::collections::BTreeSet;

use catalog::{NodeState, RaftId};
use control::Control;

use super::super::super::check::B1;
use super::super::super::gossips::Process;
use super::super::bytes::Vote;
use super::super::world::State;
use super::{Transfer, Watch};
use crate::Violation;
use crate::check::ensure;

/// Entries that may come between the decision and its message.
const LAG_MAX: u64 = 8;

impl State {
    /// A leader tells others that it hands over.
    pub(in super::super) fn on_transfer(&mut self, from: Process, vote: Vote, to: RaftId) {
        let leader = (vote.0, vote.1);
        if self.watch.transfers.contains_key(&leader) {
            return;
        }
        let stops = self
            .processes
            .get(&from)
            .is_none_or(|process| process.stops);
        let leaves = stops || self.leaves(RaftId(vote.1));
        // One that got no time, and was replaced meanwhile, moves nobody any more; one that is stopped takes
        // the best that it knows of, for it must go.
        let is_replaced = self.watch.leaders.keys().any(|other| *other > leader);
        let checked = match (is_replaced || stops, leaves) {
            (true, _) => Ok(()),
            (false, true) => self.b1_to_who_lacks_nothing(to),
            (false, false) => self
                .b1_to_who_lacks_nothing(to)
                .and_then(|()| self.b1_quiet_and_to_the_steady(from, to)),
        };
        let transfer = Transfer {
            at: self.now(),
            leaves,
            known_to: BTreeSet::from([from]),
        };
        self.watch.transfers.insert(leader, transfer);
        self.report.transfers += 1;
        self.note(format_args!("{leader:?} hands over to {to:?}"));
        self.hold(checked);
    }

    /// Whether a leader must not lead any more: its node is drained or gone.
    fn leaves(&self, leader: RaftId) -> bool {
        let node = self.watch.ledger.catalog().node(leader.node());
        node.is_none_or(|node| node.state == NodeState::Draining || node.raft_id() != leader)
    }

    fn b1_to_who_lacks_nothing(&self, to: RaftId) -> Result<(), Violation> {
        // Its process may have ended this moment.
        let Some((_, control)) = self.process_of(to) else {
            return Ok(());
        };
        let held = control.status().last.unwrap_or_default();
        let lacks = self.watch.last().unwrap_or_default().saturating_sub(held);
        ensure(lacks <= LAG_MAX, B1, || {
            format!("handed over to {to:?}, who lacks {lacks} entries")
        })
    }

    /// Counts the transfers that the leader knows of and that no drain asked for, by the leader's clock.
    fn b1_quiet_and_to_the_steady(&self, leader: Process, to: RaftId) -> Result<(), Violation> {
        let (now, clocks) = (self.now(), self.clocks_of(leader));
        let transfers = self.watch.transfers.values();
        let known = transfers.filter(|it| !it.leaves && it.known_to.contains(&leader));
        let last = known.map(|it| it.at).max();
        let is_early = last
            .is_some_and(|last| clocks.most_between(now, last) < self.timings.between_transfers);
        ensure(!is_early, B1, || {
            format!("handed over to {to:?} soon after the last time")
        })?;
        let started = self
            .process_of(to)
            .and_then(|(id, _)| self.processes.get(&id));
        let is_steady =
            started.is_none_or(|it| clocks.most_between(now, it.started) >= self.timings.steady);
        ensure(is_steady, B1, || {
            format!("handed over to {to:?}, who has only started")
        })
    }

    fn process_of(&self, raft_id: RaftId) -> Option<(Process, &Control)> {
        let mut serving = self.serving();
        let found = serving.find(|(_, _, control)| is_named(control, raft_id));
        found.map(|(id, _, control)| (id, control))
    }
}

impl Watch {
    /// A process has heard that a leader hands over.
    pub(in super::super) fn note_transfer_heard(&mut self, vote: Vote, by: Process) {
        if let Some(transfer) = self.transfers.get_mut(&(vote.0, vote.1)) {
            transfer.known_to.insert(by);
        }
    }
}

fn is_named(control: &Control, raft_id: RaftId) -> bool {
    control
        .identity()
        .member
        .is_some_and(|member| member.raft_id == raft_id)
}
