//! Choosing homes.

use alloc::vec::Vec;
use core::cmp::Reverse;

use model::NodeId;

use super::Candidate;
use super::share::Shares;
use crate::hash;

/// Chooses the home of one partition after another, and counts what it gave.
#[derive(Debug)]
pub(super) struct Homes {
    nodes: Vec<Host>,
    /// Of all homes.
    leads: Shares,
    /// Of the homes that are chosen here.
    given: Shares,
}

#[derive(Debug, Clone, Copy)]
struct Host {
    id: NodeId,
    leads: usize,
    given: usize,
    room: usize,
}

impl Homes {
    /// Will be asked for this many.
    pub(super) fn new(candidates: &[Candidate<'_>], homes: usize) -> Self {
        let nodes: Vec<_> = candidates.iter().map(Host::from).collect();
        Self {
            leads: Shares::new(nodes.iter().map(|node| node.leads), homes),
            given: Shares::new(nodes.iter().map(|_| 0), homes),
            nodes,
        }
    }

    /// The home of the next partition, by its place among the candidates; `None` when none has room.
    pub(super) fn next(&mut self, key: u64) -> Option<usize> {
        let (leads, given) = (self.leads, self.given);
        let nodes = self.nodes.iter_mut().enumerate();
        let with_room = nodes.filter(|(_, node)| node.room > 0);
        let (at, home) = with_room.min_by_key(|(_, node)| {
            (
                given.excess(node.given),
                leads.excess(node.leads),
                Reverse(hash::affinity(key, node.id)),
            )
        })?;
        self.leads.give(home.leads);
        self.given.give(home.given);
        home.leads += 1;
        home.given += 1;
        home.room -= 1;
        Some(at)
    }
}

impl From<&Candidate<'_>> for Host {
    fn from(candidate: &Candidate<'_>) -> Self {
        Self {
            id: candidate.member.id,
            leads: candidate.leads,
            given: 0,
            room: candidate.room,
        }
    }
}
