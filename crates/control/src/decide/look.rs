//! What one look at the cluster says.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{NodeState, RaftId};
use model::Instant;

use super::{Action, Facts, LAG_MAX, Leading, Memory, NodeFacts};
use crate::Timings;

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

    /// To whom leadership goes now. One that votes alone gives its vote away, and leadership goes with it.
    pub(super) fn hand_over(&self) -> Option<Action> {
        let (me, voters) = (self.facts.me, &self.facts.voters);
        let votes_alone = voters.iter().eq([&me]);
        let heirs = if votes_alone {
            &self.facts.learners
        } else {
            voters
        };
        let mut fit = self.fit().map(|node| node.raft_id).collect::<Vec<_>>();
        fit.retain(|node| heirs.contains(node) && *node != me);
        if votes_alone {
            fit.retain(|node| !self.is_silent(*node));
        }
        let heir = fit.into_iter().max_by_key(|node| node.node())?;
        let i_leave = self.leaves(me) || !voters.contains(&me);
        let patience = if i_leave {
            self.timings.deaf
        } else {
            self.timings.between_transfers
        };
        let last = self.memory.last_transfer;
        let is_early = last.is_some_and(|at| self.since(at) < patience);
        if !self.facts.settled || is_early || self.lag(heir) != Some(0) {
            return None;
        }
        let is_preferred = heir.node() > me.node() && self.is_steady(heir);
        (i_leave || is_preferred).then(|| match votes_alone {
            true => Action::Vote(BTreeSet::from([heir])),
            false => Action::Transfer(heir),
        })
    }

    /// Whether a node has been fit, and this node has led, for long enough.
    fn is_steady(&self, node: RaftId) -> bool {
        let fit_since = self.memory.steady.get(&node).copied();
        let alive_for = self.node(node).map(|node| match self.belief(node) {
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

    /// Whether a node is to vote no more once another does, whatever its health.
    pub(super) fn leaves(&self, voter: RaftId) -> bool {
        let node = self.node(voter);
        node.is_none_or(|node| node.state == NodeState::Draining)
    }

    pub(super) fn lives(&self, voter: RaftId) -> bool {
        let node = self.node(voter);
        node.is_some_and(|node| matches!(self.belief(node), Belief::Alive(_)))
    }

    pub(super) fn is_down(&self, voter: RaftId) -> bool {
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

    /// Whether a node that did answer does not any more, whatever membership says. A change that needs its
    /// vote would hold up everything.
    pub(super) fn is_silent(&self, node: RaftId) -> bool {
        let heard = self.leading.heard.get(&node);
        heard.is_some_and(|ago| *ago >= self.timings.election_max)
    }

    /// How many entries a node is known to lack.
    fn lag(&self, node: RaftId) -> Option<u64> {
        if node == self.facts.me {
            return Some(0);
        }
        let matched = self.leading.matched.get(&node)?;
        Some(self.leading.last.saturating_sub(*matched))
    }

    pub(super) fn node(&self, raft_id: RaftId) -> Option<&NodeFacts> {
        self.facts.nodes.iter().find(|node| node.raft_id == raft_id)
    }

    fn since(&self, at: Instant) -> Duration {
        self.facts.now.since(at)
    }
}
