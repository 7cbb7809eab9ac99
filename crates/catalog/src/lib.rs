//! What a cluster agrees on: its nodes, its topics and where each partition is, its users and what they
//! may do. A pure state machine: every node applies the same commands in the same order and holds the
//! same [`Catalog`].
//!
//! Pure: no clock, no randomness, no input or output; what a command needs of these, it carries.
//!
//! Where to start: [`Command`] is everything that can happen, [`Catalog::apply`] is what follows.

#![no_std]

extern crate alloc;

mod access;
mod admit;
mod apply;
mod codec;
mod command;
mod load;
mod node;
mod reads;
mod refusal;
mod topic;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;

use load::Loads;
use model::{ClusterId, NodeId, Slot, TopicId};

pub use access::{AclEntry, EVERYBODY, Effect, Operation, Resource, User};
pub use admit::Claim;
pub use codec::{DecodeError, decode_result, encode_result};
pub use command::{Command, Outcome, Registration};
pub use load::Load;
pub use node::{Addresses, Node, NodeState, RaftId};
pub use refusal::Refusal;
pub use topic::{PartitionState, Topic, TopicChanges, TopicSettings};

/// All that the cluster has agreed on. Cloning copies a handful of pointers; the next change copies the
/// map that it touches, and nothing below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    cluster: Option<ClusterId>,
    /// Grows by one with every command that changed anything.
    revision: u64,
    nodes: Arc<BTreeMap<NodeId, Arc<Node>>>,
    /// Ids that were removed, with the slot they held. They never come back.
    removed: Arc<BTreeMap<NodeId, Slot>>,
    topics: Arc<BTreeMap<Arc<str>, Arc<Topic>>>,
    /// The same topics.
    topics_by_id: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    /// How much they put on each node.
    loads: Arc<Loads>,
    /// Identities of topics that were deleted. None is used again.
    deleted: Arc<BTreeSet<TopicId>>,
    next_slot: u32,
    next_producer_id: u64,
    users: Arc<BTreeMap<String, Arc<User>>>,
    acls: Arc<BTreeSet<AclEntry>>,
}
