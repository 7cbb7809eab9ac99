//! Clusters to try things on, from seeds.

use std::collections::BTreeMap;

use model::{NodeId, PartitionId, PartitionIndex, TopicId};
use overlay::placement::{Candidate, Member, place};

pub(crate) const PARTITIONS: u32 = 10_000;

/// A small generator of numbers: the same seed gives the same ones.
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }

    /// So many corners of a cube of 64, or of 1,024 when the seed is odd; the rest are holes.
    pub(crate) fn corners(&mut self, count: usize) -> Vec<NodeId> {
        let cube = if self.below(2) == 0 { 64 } else { 1_024 };
        let mut corners = Vec::new();
        while corners.len() < count {
            let corner = NodeId(self.below(cube) as u16);
            if !corners.contains(&corner) {
                corners.push(corner);
            }
        }
        corners
    }

    pub(crate) fn topic(&mut self) -> TopicId {
        let mut bytes = [0; 16];
        bytes.fill_with(|| self.below(256) as u8);
        TopicId::from_bytes(bytes)
    }
}

/// A node of every rack in turn.
pub(crate) fn members<'a>(ids: &[NodeId], racks: &[&'a str]) -> Vec<Member<'a>> {
    let rack = |place: usize| racks.get(place % racks.len().max(1)).copied();
    let members = ids.iter().enumerate();
    members
        .map(|(place, id)| Member {
            id: *id,
            rack: rack(place),
        })
        .collect()
}

/// Where partitions lie, and how much each node has.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    pub(crate) partitions: Vec<(PartitionId, Vec<NodeId>)>,
    pub(crate) leads: BTreeMap<NodeId, usize>,
    pub(crate) holds: BTreeMap<NodeId, usize>,
}

impl Placed {
    /// Places one more topic on the members.
    pub(crate) fn add(
        &mut self,
        topic: TopicId,
        partitions: u32,
        copies: usize,
        members: &[Member<'_>],
    ) {
        let ids: Vec<_> = (0..partitions)
            .map(|n| PartitionId {
                topic,
                index: PartitionIndex(n),
            })
            .collect();
        let places = place(&ids, copies, &self.candidates(members)).unwrap();
        for (id, replicas) in ids.into_iter().zip(places) {
            self.push(id, replicas);
        }
    }

    pub(crate) fn push(&mut self, id: PartitionId, replicas: Vec<NodeId>) {
        if let Some(home) = replicas.first() {
            *self.leads.entry(*home).or_default() += 1;
        }
        for replica in &replicas {
            *self.holds.entry(*replica).or_default() += 1;
        }
        self.partitions.push((id, replicas));
    }

    fn candidates<'a>(&self, members: &[Member<'a>]) -> Vec<Candidate<'a>> {
        let load = |loads: &BTreeMap<_, _>, id| loads.get(&id).copied().unwrap_or_default();
        let candidates = members.iter().map(|member| Candidate {
            member: *member,
            leads: load(&self.leads, member.id),
            holds: load(&self.holds, member.id),
            room: usize::MAX,
        });
        candidates.collect()
    }
}

/// How far the fullest and the emptiest of these nodes are from the mean, in thousandths of it.
pub(crate) fn imbalance(loads: &BTreeMap<NodeId, usize>, members: &[Member<'_>]) -> usize {
    let loads: Vec<_> = members
        .iter()
        .map(|m| loads.get(&m.id).copied().unwrap_or_default())
        .collect();
    let total: usize = loads.iter().sum();
    // Multiplied by the number of nodes, to stay with integers.
    let off = loads
        .iter()
        .map(|load| (load * loads.len()).abs_diff(total))
        .max();
    off.unwrap_or_default() * 1_000 / total.max(1)
}
