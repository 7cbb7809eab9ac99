//! Where the copies of partitions are placed.
//!
//! Each partition has a **home**, the node that leads it by preference, and perhaps followers.
//!
//! - The home is drawn by rendezvous hashing with bounded load: every node has an affinity to every
//!   partition, a hash of both, and the home is the node of the highest affinity that is not full. A node
//!   is full when it has its share of all homes, rounded up; within one topic too, so that a topic is
//!   spread evenly whatever else there is. Where all are full, the one with the least.
//! - The followers are the next nodes from the home by distance and then by XOR, in racks that hold no
//!   copy yet as long as there are any, and among those the nodes that are not full with copies.
//!
//! All of it is integers and has one answer: every node that replays a log places alike. So the rules
//! above must not change for what a log may hold.

mod choose;
mod plan;
mod share;

use alloc::vec::Vec;

use model::{NodeId, PartitionId};

use crate::hash;
use choose::Chooser;
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
/// Takes about `partitions` × `copies` × candidates steps.
#[must_use]
pub fn place(
    partitions: &[PartitionId],
    copies: usize,
    candidates: &[Candidate<'_>],
) -> Option<Vec<Vec<NodeId>>> {
    if copies == 0 || copies > candidates.len() {
        return None;
    }
    let homes = partitions.len();
    let mut chooser = Chooser::new(candidates, homes, homes.saturating_mul(copies));
    let keys = partitions
        .iter()
        .map(|partition| hash::of_partition(*partition));
    keys.map(|key| chooser.replicas(key, copies)).collect()
}
