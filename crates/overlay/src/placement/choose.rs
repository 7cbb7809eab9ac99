//! Choosing the nodes of one partition after another.

use alloc::vec::Vec;
use core::cmp::Reverse;

use model::NodeId;

use super::share::Shares;
use super::{Candidate, Member};
use crate::{hash, nearness};

/// Chooses nodes, and counts what it gave them.
#[derive(Debug)]
pub(super) struct Chooser<'a> {
    nodes: Vec<Loaded<'a>>,
    /// Of all homes.
    leads: Shares,
    /// Of all copies.
    holds: Shares,
    /// Of the homes that are chosen here.
    given: Shares,
    /// All copies so far.
    holds_total: usize,
}

#[derive(Debug, Clone, Copy)]
struct Loaded<'a> {
    member: Member<'a>,
    leads: usize,
    holds: usize,
    room: usize,
    /// How many homes it was given here.
    given: usize,
}

impl<'a> Chooser<'a> {
    /// A chooser that will be asked for this many homes, and this many copies with the homes.
    pub(super) fn new(candidates: &[Candidate<'a>], homes: usize, copies: usize) -> Self {
        let nodes: Vec<_> = candidates.iter().map(Loaded::from).collect();
        let holds = nodes.iter().map(|node| node.holds);
        Self {
            leads: Shares::new(nodes.iter().map(|node| node.leads), homes),
            given: Shares::new(nodes.iter().map(|_| 0), homes),
            holds_total: holds.clone().fold(0, usize::saturating_add),
            holds: Shares::new(holds, copies),
            nodes,
        }
    }

    /// The nodes of one partition, the home first; `None` when there are not enough with room.
    pub(super) fn replicas(&mut self, key: u64, copies: usize) -> Option<Vec<NodeId>> {
        let mut replicas = Vec::with_capacity(copies);
        replicas.push(self.home(key)?);
        while replicas.len() < copies {
            replicas.push(self.follower(&replicas)?);
        }
        Some(replicas)
    }

    /// The home of a partition.
    pub(super) fn home(&mut self, key: u64) -> Option<NodeId> {
        let (leads, given) = (self.leads, self.given);
        let with_room = self.nodes.iter_mut().filter(|node| node.room > 0);
        let home = with_room.min_by_key(|node| {
            (
                given.excess(node.given),
                leads.excess(node.leads),
                Reverse(hash::affinity(key, node.member.id)),
            )
        })?;
        self.leads.give(home.leads);
        self.given.give(home.given);
        self.holds.give(home.holds);
        self.holds_total += 1;
        home.leads += 1;
        home.given += 1;
        home.keep_one_more();
        Some(home.member.id)
    }

    /// One more node for a partition that has these, the home first.
    pub(super) fn follower(&mut self, replicas: &[NodeId]) -> Option<NodeId> {
        let home = *replicas.first()?;
        let (holds, pace) = (self.holds, self.pace());
        let racks = self.racks(replicas);
        let others = self.nodes.iter_mut();
        let others = others.filter(|node| node.room > 0 && !replicas.contains(&node.member.id));
        let follower = others.min_by_key(|node| {
            (
                node.member.rack.is_some_and(|rack| racks.contains(&rack)),
                pace.strays(node.holds, holds.excess(node.holds)),
                nearness(home, node.member.id),
            )
        })?;
        self.holds.give(follower.holds);
        self.holds_total += 1;
        follower.keep_one_more();
        Some(follower.member.id)
    }

    fn pace(&self) -> Pace {
        Pace {
            mean: self.holds_total / self.nodes.len().max(1),
            slack: 1 + self.holds.each() / 16,
        }
    }

    fn racks(&self, replicas: &[NodeId]) -> Vec<&'a str> {
        let holders = self.nodes.iter().map(|node| node.member);
        let holders = holders.filter(|member| replicas.contains(&member.id));
        holders.filter_map(|member| member.rack).collect()
    }
}

/// How many copies each node has by now if all are filled alike. Nodes that stay behind, because few are
/// near them, could not be filled at the end: no partition can lie on a node twice.
#[derive(Debug, Clone, Copy)]
struct Pace {
    mean: usize,
    slack: usize,
}

impl Pace {
    /// 0 for a node that is behind, 1 for one that is about where it should be, and more for one that is
    /// ahead, or full by this `excess`.
    fn strays(self, holds: usize, excess: usize) -> usize {
        if holds + self.slack < self.mean {
            return 0;
        }
        1 + excess.max(holds.saturating_sub(self.mean + self.slack))
    }
}

impl<'a> From<&Candidate<'a>> for Loaded<'a> {
    fn from(candidate: &Candidate<'a>) -> Self {
        Self {
            member: candidate.member,
            leads: candidate.leads,
            holds: candidate.holds,
            room: candidate.room,
            given: 0,
        }
    }
}

impl Loaded<'_> {
    const fn keep_one_more(&mut self) {
        self.holds += 1;
        self.room -= 1;
    }
}
