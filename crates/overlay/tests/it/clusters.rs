//! Clusters to try things on, from seeds.

use std::collections::{BTreeMap, BTreeSet};

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

/// How the nodes of a cluster are spread over racks: of which the n-th is.
pub(crate) type Racks = fn(usize) -> Option<&'static str>;

pub(crate) const NO_RACKS: Racks = |_| None;
/// Equally large.
pub(crate) const TWO: Racks = |place| ["a", "b"].get(place % 2).copied();
pub(crate) const THREE: Racks = |place| ["a", "b", "c"].get(place % 3).copied();
pub(crate) const FOUR: Racks = |place| ["a", "b", "c", "d"].get(place % 4).copied();
/// Of one, two, and all other nodes.
pub(crate) const ONE_TWO_MANY: Racks = |place| Some(*["a", "b", "b"].get(place).unwrap_or(&"c"));
/// Three of one, and all other nodes.
pub(crate) const ONES_AND_MANY: Racks = |place| Some(*["a", "b", "c"].get(place).unwrap_or(&"d"));
/// Of one, two, four, eight and all other nodes.
pub(crate) const DOUBLING: Racks = |place| match place {
    0 => Some("a"),
    1..3 => Some("b"),
    3..7 => Some("c"),
    7..15 => Some("d"),
    _ => Some("e"),
};
/// Every third node is in no rack.
pub(crate) const SOME_IN_NONE: Racks = |place| ["a", "b"].get(place % 3).copied();

pub(crate) const ALL_RACKS: [(&str, Racks); 8] = [
    ("no racks", NO_RACKS),
    ("two", TWO),
    ("three", THREE),
    ("four", FOUR),
    ("one two many", ONE_TWO_MANY),
    ("ones and many", ONES_AND_MANY),
    ("doubling", DOUBLING),
    ("some in none", SOME_IN_NONE),
];

pub(crate) fn members(ids: &[NodeId], racks: Racks) -> Vec<Member<'static>> {
    let members = ids.iter().enumerate();
    members
        .map(|(place, id)| Member {
            id: *id,
            rack: racks(place),
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
    let total: usize = members.iter().map(|m| load(loads, m)).sum();
    let mean = total as f64 / members.len().max(1) as f64;
    let off = members.iter().map(|m| off(load(loads, m), mean));
    off.max().unwrap_or_default()
}

/// How far nodes are from their shares of the copies of so many partitions, in thousandths of them.
pub(crate) fn off_shares(
    loads: &BTreeMap<NodeId, usize>,
    members: &[Member<'_>],
    partitions: usize,
    copies: usize,
) -> usize {
    let shares = shares(members, partitions, copies);
    let off = members.iter().map(|m| off(load(loads, m), shares[&m.id]));
    off.max().unwrap_or_default()
}

fn load(loads: &BTreeMap<NodeId, usize>, member: &Member<'_>) -> usize {
    loads.get(&member.id).copied().unwrap_or_default()
}

/// What must lie on a node to be within its rounded share does not count.
fn off(load: usize, share: f64) -> usize {
    let off = (load as f64 - share).abs();
    if off < 1.0 {
        return 0;
    }
    (off * 1_000.0 / share.max(1.0)) as usize
}

/// What each node would have if copies could be divided, found by halving: the same for all, as far as
/// racks allow it.
pub(crate) fn shares(
    members: &[Member<'_>],
    partitions: usize,
    copies: usize,
) -> BTreeMap<NodeId, f64> {
    let racks = racks(members);
    let (partitions, copies) = (partitions as f64, copies.min(members.len()) as f64);
    let spare = (copies - racks.len() as f64).max(0.0);
    let lowest = if racks.len() as f64 <= copies {
        1.0
    } else {
        0.0
    };
    let of_rack = |level: f64, nodes: f64| {
        let highest = nodes.min(spare + 1.0);
        (level * nodes)
            .max(lowest * partitions)
            .min(highest * partitions)
    };
    let (mut low, mut high) = (0.0, partitions);
    for _ in 0..60 {
        let level = (low + high) / 2.0;
        let total: f64 = racks
            .values()
            .map(|ids| of_rack(level, ids.len() as f64))
            .sum();
        if total <= copies * partitions {
            low = level;
        } else {
            high = level;
        }
    }
    let nodes = racks.values().flat_map(|ids| {
        let nodes = ids.len() as f64;
        ids.iter().map(move |id| (*id, of_rack(low, nodes) / nodes))
    });
    nodes.collect()
}

/// The nodes of each rack; those in none are each in its own.
pub(crate) fn racks<'a>(
    members: &[Member<'a>],
) -> BTreeMap<(Option<&'a str>, Option<NodeId>), Vec<NodeId>> {
    let mut racks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for member in members {
        let alone = member.rack.is_none().then_some(member.id);
        racks
            .entry((member.rack, alone))
            .or_default()
            .push(member.id);
    }
    racks
}

/// Every partition has its copies on different nodes, in as many racks as can be.
pub(crate) fn assert_spread(placed: &Placed, members: &[Member<'_>], copies: usize, what: &str) {
    let racks = racks(members);
    let rack_of: BTreeMap<_, _> = racks
        .values()
        .enumerate()
        .flat_map(|(rack, ids)| ids.iter().map(move |id| (*id, rack)))
        .collect();
    for (_, replicas) in &placed.partitions {
        let nodes = BTreeSet::from_iter(replicas).len();
        let used = BTreeSet::from_iter(replicas.iter().map(|id| rack_of[id])).len();
        assert_eq!(nodes, copies.min(members.len()), "{replicas:?}, {what}");
        assert_eq!(used, copies.min(racks.len()), "{replicas:?}, {what}");
    }
}
