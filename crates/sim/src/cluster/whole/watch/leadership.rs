//! B1: leadership is handed over seldom, and to somebody who can take it.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{NodeState, RaftId};
use control::Control;
use model::Instant;

use super::super::super::check::B1;
use super::super::super::gossips::Process;
use super::super::bytes::{Origin, Vote};
use super::super::world::State;
use super::{Taken, Transfer, Watch};
use crate::Violation;
use crate::check::ensure;

/// Entries that may come between the decision and its message.
const LAG_MAX: u64 = 8;

/// Who has answered what was asked so lately counts as one that answers, by all clocks.
const ANSWERED: Duration = Duration::from_millis(600);

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
        let leaves = stops || self.leaves(from, RaftId(vote.1));
        // One that got no time, and was replaced meanwhile, moves nobody any more.
        let is_replaced = self.watch.leaders.keys().any(|other| *other > leader);
        let checked = match (is_replaced, stops, leaves) {
            (true, _, _) => Ok(()),
            (false, true, _) => self.b1_to_the_best_of_those_that_answer(from, leader, to),
            (false, false, true) => self.b1_to_who_lacks_nothing(to),
            (false, false, false) => self
                .b1_to_who_lacks_nothing(to)
                .and_then(|()| self.b1_quiet_and_to_the_steady(from, to)),
        };
        let transfer = Transfer {
            at: self.now(),
            leaves,
            known_to: BTreeSet::from([from]),
        };
        self.watch.transfers.insert(leader, transfer);
        self.note(format_args!("{leader:?} hands over to {to:?}"));
        self.hold(checked);
    }

    /// Whether a leader must not lead any more: its node is drained or gone, as its own catalog says, which
    /// may be a moment ahead of what was seen of it.
    fn leaves(&self, process: Process, leader: RaftId) -> bool {
        let control = self
            .processes
            .get(&process)
            .and_then(|it| it.control.as_ref());
        let catalog = control.map(Control::view);
        let node = catalog.as_ref().and_then(|it| it.node(leader.node()));
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

    /// One that is stopped must go, whoever is there: it takes the best of those that answer it.
    fn b1_to_the_best_of_those_that_answer(
        &self,
        from: Process,
        leader: Origin,
        to: RaftId,
    ) -> Result<(), Violation> {
        let control = self.processes.get(&from).and_then(|it| it.control.as_ref());
        let (Some(control), Some((_, heir))) = (control, self.process_of(to)) else {
            return Ok(());
        };
        let now = self.now();
        let voters = control.status().voters;
        let taken = self.watch.taken.iter().filter(|((process, voter), taken)| {
            let answers = now.since(taken.asked) < ANSWERED;
            *process == from && voters.contains(voter) && taken.leader == leader && answers
        });
        let best = taken.filter_map(|(_, taken)| taken.upto).max();
        let held = heir.status().last;
        let lacks = best.map_or(0, |best| best.saturating_sub(held.unwrap_or_default()));
        ensure(lacks <= LAG_MAX, B1, || {
            format!("handed over to {to:?}, who has {held:?}, and another that answers {best:?}")
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
    /// A leader hears that another node has its entries up to `upto`, having asked at `asked`.
    pub(in super::super) fn note_taken(
        &mut self,
        (from, to): (Process, RaftId),
        vote: Vote,
        upto: Option<u64>,
        asked: Instant,
    ) {
        let leader = (vote.0, vote.1);
        let known = self.taken.get(&(from, to)).filter(|it| it.leader == leader);
        let upto = known.map_or(upto, |known| known.upto.max(upto));
        let asked = known.map_or(asked, |known| known.asked.max(asked));
        let taken = Taken {
            leader,
            upto,
            asked,
        };
        self.taken.insert((from, to), taken);
    }

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
