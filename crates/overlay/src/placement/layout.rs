//! Where copies lie, while it is being decided. Nodes and partitions go by their places in the lists
//! that a layout was made of.

#![expect(
    clippy::indexing_slicing,
    reason = "places of nodes and partitions are made by the layout that they are looked up in"
)]

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use model::NodeId;

use super::Candidate;
use super::span::spans;

/// Copies that are there already are not moved as long as nodes are off their shares by no more than this
/// part of them. Where racks are not equally large, exact shares would cost far more moves.
const TOLERATED: usize = 8;

/// Partitions on nodes.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) nodes: Vec<Spot>,
    /// Of each partition the nodes with a copy, the home first.
    replicas: Vec<Vec<usize>>,
    /// Of each node the partitions of which it has a copy.
    held: Vec<Vec<usize>>,
    /// Of each partition the nodes that have a copy already.
    present: Vec<Vec<usize>>,
    racks: Vec<Rack>,
    /// How many each partition is to have.
    pub(super) copies: usize,
    /// In how many racks they are at best.
    pub(super) spread: usize,
    /// Whether homes stay where they are.
    anchored: bool,
}

/// A node and how much it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) id: NodeId,
    rack: usize,
    /// Copies in this layout.
    pub(super) load: usize,
    /// Copies of other partitions.
    pub(super) elsewhere: usize,
    /// The share of `load`, rounded down.
    pub(super) least: usize,
    /// The same, rounded up.
    pub(super) most: usize,
    /// How far from its share it may stay where more would have to move.
    pub(super) slack: usize,
    /// Whether it had no copies when those that are there were counted.
    new: bool,
    /// What `load` cannot exceed.
    room: usize,
}

/// What the nodes of a rack have together.
#[derive(Debug, Clone, Copy, Default)]
struct Rack {
    /// Those with room.
    nodes: usize,
    /// Copies, of other partitions too.
    held: usize,
}

impl Layout {
    /// No copies yet of so many partitions. What the candidates hold is of others.
    pub(super) fn new(candidates: &[Candidate<'_>], partitions: usize, copies: usize) -> Self {
        let mut nodes: Vec<_> = candidates.iter().map(Spot::from).collect();
        let racks = form_racks(&mut nodes, candidates);
        let sizes = racks.iter().map(|rack| rack.nodes);
        let shares = spans(&sizes.clone().collect::<Vec<_>>(), partitions, copies);
        for node in &mut nodes {
            (node.least, node.most) = (shares[node.rack].least, shares[node.rack].most);
        }
        Self {
            replicas: vec![Vec::with_capacity(copies); partitions],
            present: vec![Vec::new(); partitions],
            held: vec![Vec::new(); nodes.len()],
            nodes,
            copies,
            spread: sizes.filter(|nodes| *nodes > 0).count().min(copies),
            racks,
            anchored: false,
        }
    }

    /// From now on the homes stay where they are.
    pub(super) const fn anchor(&mut self) {
        self.anchored = true;
    }

    /// All copies as yet are there already, and are not moved for the last bit of balance.
    pub(super) fn settle(&mut self) {
        self.present.clone_from(&self.replicas);
        for node in &mut self.nodes {
            node.slack = node.least / TOLERATED;
            node.new = node.load == 0;
        }
    }

    pub(super) const fn partitions(&self) -> usize {
        self.replicas.len()
    }

    /// The nodes with a copy, the home first.
    pub(super) fn replicas(&self, partition: usize) -> &[usize] {
        &self.replicas[partition]
    }

    /// The same, to be put in another order.
    pub(super) fn replicas_mut(&mut self, partition: usize) -> &mut [usize] {
        &mut self.replicas[partition]
    }

    /// The same by their ids.
    pub(super) fn ids(&self, partition: usize) -> Vec<NodeId> {
        let replicas = self.replicas[partition].iter();
        replicas.map(|node| self.nodes[*node].id).collect()
    }

    /// The nodes for which this holds.
    pub(super) fn nodes_where(&self, holds: impl Fn(&Spot) -> bool) -> Vec<usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| holds(node))
            .map(|(at, _)| at)
            .collect()
    }

    /// The partitions whose copy on this node may go elsewhere: those of which it has none at present, or
    /// the others. Those of which it is the home come last.
    pub(super) fn movable(&self, node: usize, new: bool) -> impl Iterator<Item = usize> {
        let is_home = move |partition: &&usize| self.replicas[**partition].first() == Some(&node);
        let is_new = move |partition: &&usize| !self.present[**partition].contains(&node);
        let held = self.held[node].iter();
        let held = held.filter(move |partition| is_new(partition) == new);
        let led = held.clone().filter(move |p| is_home(p) && !self.anchored);
        held.filter(move |p| !is_home(p)).chain(led).copied()
    }

    /// Whether another copy may lie here: nowhere twice, and in as many racks as can be.
    pub(super) fn may_add(&self, partition: usize, node: usize) -> bool {
        let replicas = &self.replicas[partition];
        let to_come = self.copies.saturating_sub(replicas.len() + 1);
        !replicas.contains(&node)
            && (!self.shares_rack(partition, node)
                || self.racks(partition) + to_come >= self.spread)
    }

    /// Whether a copy may lie on `to` instead of `from`: nowhere twice, and in no fewer racks.
    pub(super) fn may_replace(&self, partition: usize, from: usize, to: usize) -> bool {
        let (mut left_alone, mut new) = (true, true);
        for other in &self.replicas[partition] {
            if *other == to {
                return false;
            }
            if *other != from {
                left_alone &= self.nodes[*other].rack != self.nodes[from].rack;
                new &= self.nodes[*other].rack != self.nodes[to].rack;
            }
        }
        new || !left_alone
    }

    /// How many copies the nodes in the rack of this one hold on average.
    pub(super) fn mean_in_rack(&self, node: &Spot) -> usize {
        let rack = self.racks[node.rack];
        rack.held / rack.nodes.max(1)
    }

    /// How many copies nodes hold on average.
    pub(super) fn mean(&self) -> usize {
        let held = self.racks.iter().map(|rack| rack.held);
        held.fold(0, usize::saturating_add) / self.nodes.len().max(1)
    }

    /// How many copies a node has above its share, rounded up; below it, less than 0.
    pub(super) fn excess(&self, node: usize) -> isize {
        let node = &self.nodes[node];
        node.load.cast_signed() - node.most.cast_signed()
    }

    /// Whether neither this node nor another in its rack has a copy.
    pub(super) fn is_new_rack(&self, partition: usize, node: usize) -> bool {
        !self.replicas[partition].contains(&node) && !self.shares_rack(partition, node)
    }

    /// Whether the rack of this node has a copy, on another node.
    pub(super) fn shares_rack(&self, partition: usize, node: usize) -> bool {
        let rack = self.nodes[node].rack;
        let mut replicas = self.replicas[partition].iter();
        replicas.any(|other| *other != node && self.nodes[*other].rack == rack)
    }

    /// In how many racks there is a copy.
    pub(super) fn racks(&self, partition: usize) -> usize {
        let replicas = &self.replicas[partition];
        let rack = |node: &usize| self.nodes[*node].rack;
        let places = 0..replicas.len();
        let first = places.filter(|at| {
            let mut before = replicas[..*at].iter();
            before.all(|node| rack(node) != rack(&replicas[*at]))
        });
        first.count()
    }

    /// Puts one more copy on a node that has none.
    pub(super) fn add(&mut self, partition: usize, node: usize) {
        self.replicas[partition].push(node);
        self.held[node].push(partition);
        self.nodes[node].load += 1;
        self.racks[self.nodes[node].rack].held += 1;
    }

    /// Lets `to` have the copy of `from`, in the same place of the order.
    pub(super) fn replace(&mut self, partition: usize, from: usize, to: usize) {
        for node in &mut self.replicas[partition] {
            if *node == from {
                *node = to;
            }
        }
        self.held[from].retain(|held| *held != partition);
        self.held[to].push(partition);
        self.nodes[from].load -= 1;
        self.nodes[to].load += 1;
        self.racks[self.nodes[from].rack].held -= 1;
        self.racks[self.nodes[to].rack].held += 1;
    }
}

/// Numbers the racks; a node in none is alone in its own.
fn form_racks(nodes: &mut [Spot], candidates: &[Candidate<'_>]) -> Vec<Rack> {
    let mut names = BTreeMap::new();
    let mut racks = Vec::new();
    for (node, candidate) in nodes.iter_mut().zip(candidates) {
        let new = racks.len();
        let rack = candidate.member.rack;
        node.rack = rack.map_or(new, |name| *names.entry(name).or_insert(new));
        if node.rack == new {
            racks.push(Rack::default());
        }
        let rack = &mut racks[node.rack];
        rack.nodes += usize::from(node.room > 0);
        rack.held = rack.held.saturating_add(node.elsewhere);
    }
    racks
}

impl Spot {
    /// Whether it has less than its share, rounded down.
    pub(super) const fn lacks(&self) -> bool {
        self.load < self.least
    }

    /// Whether it has so little that copies must move. A node that has just come is to have its share.
    pub(super) const fn lacks_much(&self) -> bool {
        let slack = if self.new { 0 } else { self.slack };
        self.load + slack < self.least
    }

    /// Whether it may have one more within its share, rounded up.
    pub(super) const fn takes(&self) -> bool {
        self.load < self.most && self.has_room()
    }

    /// Whether it may have one more rather than that another copy moves.
    pub(super) const fn tolerates(&self) -> bool {
        self.load < self.most + self.slack && self.has_room()
    }

    pub(super) const fn has_room(&self) -> bool {
        self.load < self.room
    }
}

impl From<&Candidate<'_>> for Spot {
    fn from(candidate: &Candidate<'_>) -> Self {
        Self {
            id: candidate.member.id,
            rack: 0,
            load: 0,
            elsewhere: candidate.holds,
            least: 0,
            most: 0,
            slack: 0,
            new: true,
            room: candidate.room,
        }
    }
}
