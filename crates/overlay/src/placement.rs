//! Where the copies of partitions are placed.
//!
//! Each partition has a **home**, the node that leads it by preference, and perhaps followers.
//!
//! - The home is drawn by rendezvous hashing with bounded load: every node has an affinity to every
//!   partition, a hash of both, and the home is the node of the highest affinity that is not full. A node
//!   is full when it has its share of all homes, rounded up; within one topic too, so that a topic is
//!   spread evenly whatever else there is. Where all are full, the one with the least.
//! - Every node has a share of the copies, of one topic and of all: the same for all nodes, except where
//!   racks forbid it. Copies of a partition lie in as many racks as can be.
//! - The followers are near the home, of those equally near the nodes of the highest affinity, within
//!   their share and in a rack without a copy. Where there is none, a node that could be one hands on a
//!   copy of another partition: that is how shares become exact.
//!
//! The home comes before the followers, so that a topic of one copy each is placed by the first rule alone.
//!
//! All of it is integers and has one answer: every node that replays a log places alike. So the rules
//! above must not change for what a log may hold.

mod chain;
mod fill;
mod home;
mod layout;
mod plan;
mod share;
mod span;

use alloc::vec::Vec;

use model::{NodeId, PartitionId};

use crate::hash;
use home::Homes;
use layout::Layout;
pub use plan::{Move, plan};

/// A node on which copies can lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its corner.
    pub id: NodeId,
    /// What breaks together: two copies of a partition avoid sharing one. A node without is alone in its
    /// own.
    pub rack: Option<&'a str>,
}

/// A node that may be given partitions, and what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The node.
    pub member: Member<'a>,
    /// How many partitions it is the home of.
    pub leads: usize,
    /// How many copies it keeps, those of which it is the home among them.
    pub holds: usize,
    /// How many more copies it may be given.
    pub room: usize,
}

/// Places new partitions, those of one topic or whichever need a place at once: for each, in their order,
/// the nodes that keep a copy, the home first. `None` when there are not enough candidates with room, or
/// no copies are asked for.
///
/// Takes about `partitions` × `copies` × candidates steps, and a few more times as many where copies have
/// to be handed on.
#[must_use]
pub fn place(
    partitions: &[PartitionId],
    copies: usize,
    candidates: &[Candidate<'_>],
) -> Option<Vec<Vec<NodeId>>> {
    if copies == 0 || copies > candidates.len() {
        return None;
    }
    let keys: Vec<_> = partitions.iter().copied().map(hash::of_partition).collect();
    let mut homes = Homes::new(candidates, keys.len());
    let mut layout = Layout::new(candidates, keys.len(), copies);
    for (partition, key) in keys.iter().enumerate() {
        layout.add(partition, homes.next(*key)?);
    }
    layout.anchor();
    layout.fill(&keys)?;
    layout.even_out();
    Some(
        (0..keys.len())
            .map(|partition| layout.ids(partition))
            .collect(),
    )
}
