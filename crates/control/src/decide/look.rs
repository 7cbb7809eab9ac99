//! What one look at the cluster says.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{NodeState, RaftId};
use model::{Instant, limits};

use super::{Action, Facts, Leading, Memory, NodeFacts};
use crate::Timings;

/// How many entries a node may lack and still count as caught up.
const LAG_MAX: u64 = 512;

/// One look at everything, by a leader.
pub(super) struct Look<'a> {
    pub(super) memory: &'a Memory,
    pub(super) timings: &'a Timings,
    pub(super) facts: &'a Facts,
    pub(super) leading: &'a Leading,
}

/// What is believed of a node, and for how long.
enum Belief {
    Alive(Duration),
    Down(Duration),
    Unknown,
}

impl Look<'_> {
    /// Whether this leader must let the others elect: it has heard no quorum for too long, or it has
    /// promised leadership to a node that did not take it and takes no commands any more. From time to
    /// time it speaks up, for the others may only have been away.
    pub(super) fn must_be_silent(&self) -> bool {
        let led = self.memory.led.map(|(_, since)| self.since(since));
        let unheard = self.leading.quorum_heard.or(led).unwrap_or_default();
        let deaf = unheard.checked_sub(self.timings.deaf);
        let promised = self.memory.handing_over.map(|at| self.since(at));
        let jilted = promised.and_then(|ago| ago.checked_sub(self.timings.deaf));
        let quiet = self.timings.election_max * 3;
        let cycle = self.timings.election_max * 4;
        let in_quiet = |elapsed: Duration| {
            elapsed.as_nanos().checked_rem(cycle.as_nanos()) < Some(quiet.as_nanos())
        };
        [deaf, jilted].into_iter().flatten().any(in_quiet)
    }

    pub(super) fn fences(&self) -> impl Iterator<Item = Action> {
        self.facts.nodes.iter().filter_map(|node| {
            let fenced = match self.belief(node) {
                Belief::Alive(_) if node.fenced && !node.awaits_disk => false,
                Belief::Down(ago) if !node.fenced && ago >= self.timings.fence_after => true,
                _ => return None,
            };
            Some(Action::Fence {
                id: node.id,
                incarnation: node.incarnation,
                fenced,
            })
        })
    }

    /// The next change of who follows and who votes.
    pub(super) fn membership(&self) -> Option<Action> {
        if self.facts.half_done {
            return Some(Action::Finish);
        }
        if !self.facts.settled {
            return None;
        }
        let registered: BTreeSet<RaftId> = self.facts.nodes.iter().map(|n| n.raft_id).collect();
        let present = &self.facts.voters | &self.facts.learners;
        let missing = &registered - &present;
        if !missing.is_empty() {
            return Some(Action::Follow(missing));
        }
        let gone = &self.facts.learners - &registered;
        if !gone.is_empty() {
            return Some(Action::Forget(gone));
        }
        self.next_voters().map(Action::Vote)
    }

    /// The voters after one change, if one is due and has a live majority behind it.
    fn next_voters(&self) -> Option<BTreeSet<RaftId>> {
        let voters = &self.facts.voters;
        let others = || voters.iter().copied().filter(|it| *it != self.facts.me);
        let mut leaving: Vec<RaftId> = others().filter(|it| self.leaves(*it)).collect();
        // Who lives goes last: the majority may need it until the others are gone.
        leaving.sort_by_key(|voter| self.lives(*voter));
        let room = voters.len() < limits::VOTERS_MAX;
        let down = others().find(|voter| self.is_down(*voter));
        let other = if room { Some(None) } else { down.map(Some) };
        let mut changes = leaving.into_iter().map(Some).chain(other);
        changes.find_map(|out| self.voters_without(out))
    }

    /// The voters without one of them, and with another one if there is any.
    fn voters_without(&self, out: Option<RaftId>) -> Option<BTreeSet<RaftId>> {
        let mut next = self.facts.voters.clone();
        if let Some(out) = out {
            next.remove(&out);
        }
        let spare = self.best_spare(&next);
        next.extend(spare);
        let is_due = spare.is_some() || out.is_some_and(|out| self.leaves(out));
        (is_due && self.has_live_majority(&next)).then_some(next)
    }

    /// The follower that should vote next: in a rack with the fewest voters, then the highest.
    fn best_spare(&self, voters: &BTreeSet<RaftId>) -> Option<RaftId> {
        if voters.len() >= limits::VOTERS_MAX {
            return None;
        }
        let in_rack = |rack: &Option<String>| {
            let voters = voters.iter().filter_map(|voter| self.node(*voter));
            let same = voters.filter(|node| rack.is_some() && node.rack == *rack);
            same.count()
        };
        let spare = self.fit().filter(|node| {
            self.facts.learners.contains(&node.raft_id) && !voters.contains(&node.raft_id)
        });
        let best = spare.max_by_key(|node| (std::cmp::Reverse(in_rack(&node.rack)), node.id));
        best.map(|node| node.raft_id)
    }

    fn has_live_majority(&self, voters: &BTreeSet<RaftId>) -> bool {
        let live = voters.iter().filter(|voter| self.lives(**voter));
        live.count() * 2 > voters.len()
    }

    /// To whom leadership goes now.
    pub(super) fn transfer(&self) -> Option<Action> {
        let voters = self.fit().filter(|node| {
            self.facts.voters.contains(&node.raft_id) && node.raft_id != self.facts.me
        });
        let highest = voters.max_by_key(|node| node.id)?;
        let i_leave = self.leaves(self.facts.me);
        let patience = if i_leave {
            self.timings.deaf
        } else {
            self.timings.between_transfers
        };
        let last = self.memory.last_transfer;
        let is_early = last.is_some_and(|at| self.since(at) < patience);
        let is_caught_up = self.lag(highest.raft_id) == Some(0);
        if !self.facts.settled || is_early || !is_caught_up {
            return None;
        }
        let is_preferred = highest.id > self.facts.me.node() && self.is_steady(highest.raft_id);
        (i_leave || is_preferred).then_some(Action::Transfer(highest.raft_id))
    }

    /// Whether a voter has been fit, and this node has led, for long enough.
    fn is_steady(&self, voter: RaftId) -> bool {
        let fit_since = self.memory.steady.get(&voter).copied();
        let alive_for = self.node(voter).map(|node| match self.belief(node) {
            Belief::Alive(ago) => ago,
            Belief::Down(_) | Belief::Unknown => Duration::ZERO,
        });
        let led_since = self.memory.led.map(|(_, since)| since);
        let times = [fit_since, led_since].map(|at| at.map(|at| self.since(at)));
        times
            .into_iter()
            .chain([alive_for])
            .all(|time| time.is_some_and(|time| time >= self.timings.steady))
    }

    /// The nodes that may vote and lead.
    pub(super) fn fit(&self) -> impl Iterator<Item = &NodeFacts> {
        self.facts.nodes.iter().filter(|node| {
            node.state == NodeState::Active
                && !node.fenced
                && matches!(self.belief(node), Belief::Alive(_))
                && self.lag(node.raft_id).is_some_and(|lag| lag <= LAG_MAX)
        })
    }

    /// Whether a voter is to vote no more, whatever its health.
    fn leaves(&self, voter: RaftId) -> bool {
        let node = self.node(voter);
        node.is_none_or(|node| node.state == NodeState::Draining)
    }

    fn lives(&self, voter: RaftId) -> bool {
        let node = self.node(voter);
        node.is_some_and(|node| matches!(self.belief(node), Belief::Alive(_)))
    }

    fn is_down(&self, voter: RaftId) -> bool {
        let is_down =
            |node: &NodeFacts| node.fenced && matches!(self.belief(node), Belief::Down(_));
        self.node(voter).is_some_and(is_down)
    }

    fn belief(&self, node: &NodeFacts) -> Belief {
        let seen = self.memory.seen.get(&node.id);
        let seen_for = seen.map_or(Duration::ZERO, |(_, at)| self.since(*at));
        if node.raft_id == self.facts.me {
            return Belief::Alive(seen_for);
        }
        match self.facts.members.get(&node.id) {
            // What was believed of an earlier start says nothing of this one.
            Some(is) if is.alive => Belief::Alive(self.since(is.since).min(seen_for)),
            // Membership is mistaken about a node that answers, and about all when only its own
            // messages are lost.
            _ if self.answers(node.raft_id) => Belief::Alive(Duration::ZERO),
            Some(is) => Belief::Down(self.since(is.since).min(seen_for)),
            None => match seen_for.checked_sub(self.timings.unknown_after) {
                Some(over) => Belief::Down(over.saturating_add(self.timings.fence_after)),
                None => Belief::Unknown,
            },
        }
    }

    fn answers(&self, node: RaftId) -> bool {
        let heard = self.leading.heard.get(&node);
        heard.is_some_and(|ago| *ago < self.timings.election_max)
    }

    /// How many entries a node is known to lack.
    fn lag(&self, node: RaftId) -> Option<u64> {
        if node == self.facts.me {
            return Some(0);
        }
        let matched = self.leading.matched.get(&node)?;
        Some(self.leading.last.saturating_sub(*matched))
    }

    fn node(&self, raft_id: RaftId) -> Option<&NodeFacts> {
        self.facts.nodes.iter().find(|node| node.raft_id == raft_id)
    }

    fn since(&self, at: Instant) -> Duration {
        self.facts.now.since(at)
    }
}
