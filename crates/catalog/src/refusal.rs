//! Why a command was not taken.

use alloc::string::String;

use model::{ClusterId, NodeId, Site, StorageId};
use thiserror::Error;

/// Why a command was not taken. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The cluster was founded before, or not yet.
    #[error("the cluster was founded already, or not yet")]
    Founding,
    /// A node of another cluster.
    #[error(
        "this node belongs to cluster {theirs}, not to {ours}; start it with the peers of its own cluster, or with an empty data directory"
    )]
    OtherCluster {
        /// Its cluster.
        theirs: ClusterId,
        /// This one.
        ours: ClusterId,
    },
    /// The id is held by a live process on another disk.
    #[error(
        "node id {0} is taken by a node that is alive at {1}; choose another id, or leave it out to get the lowest free one"
    )]
    IdTaken(NodeId, String),
    /// The id belongs to another disk.
    #[error(
        "node id {id} belongs to the data directory {registered}, and this one is {given}; start it with its own directory, or, if that is lost, run `hark node replace {}` first",
        .id.argument()
    )]
    OtherDisk {
        /// The id.
        id: NodeId,
        /// The disk that is registered.
        registered: StorageId,
        /// The disk it came with.
        given: StorageId,
    },
    /// The data directory is registered under another id.
    #[error(
        "this data directory belongs to node {registered}; start it with that id, or leave the id out"
    )]
    OtherId {
        /// The id of this disk.
        registered: NodeId,
    },
    /// The directory is a copy, or was restored from a backup: its original has been started since.
    #[error(
        "the data directory of node {0} is an old copy: the node has run elsewhere since; use the newer directory, or empty this one and run `hark node replace {arg}`",
        arg = .0.argument()
    )]
    OldCopy(NodeId),
    /// The same directory is in use by a live process.
    #[error(
        "node {0} is running already, at {1}; two processes must not share a data directory or copies of it"
    )]
    AlreadyRunning(NodeId, String),
    /// The id was removed.
    #[error(
        "node id {0} was removed from the cluster for ever; choose another id and an empty data directory"
    )]
    Removed(NodeId),
    /// The data directory was given up: another one takes its place.
    #[error(
        "this data directory of node {0} was given up with `hark node replace {arg}`; start the node with an empty one",
        arg = .0.argument()
    )]
    DiskForgotten(NodeId),
    /// The node is up.
    #[error("node {0} is running; stop it first")]
    Running(NodeId),
    /// Somebody must be left.
    #[error("node {0} is the last one of its cluster and cannot be removed")]
    LastNode(NodeId),
    /// No free id.
    #[error("all ids of site {0} are taken")]
    SiteFull(Site),
    /// No such node.
    #[error("there is no node {0}; list them with `hark node list`")]
    UnknownNode(NodeId),
    /// What was observed is not so any more.
    #[error("the state has changed meanwhile; look again")]
    Stale,
    /// The node holds partitions of topics that can be deleted.
    #[error(
        "node {id} holds {partitions} partitions that nobody else has; their records would be lost. Delete those topics, or accept the loss with --lose-partitions"
    )]
    HoldsPartitions {
        /// Which.
        id: NodeId,
        /// How many.
        partitions: usize,
    },
    /// The node holds nothing but how far consumer groups have read.
    #[error(
        "node {0} coordinates consumer groups, and nobody else knows how far they have read: they would begin anew on another node. Accept that with --lose-partitions"
    )]
    HoldsGroups(NodeId),
    /// One of that name, or of that identity, is there.
    #[error("topic '{0}' exists already")]
    TopicExists(String),
    /// No such topic.
    #[error("the topic does not exist")]
    UnknownTopic,
    /// Not a number of partitions that a topic can have.
    #[error("a topic has 1 to {max} partitions, not {0}", max = model::limits::PARTITIONS_PER_TOPIC_MAX)]
    Partitions(u32),
    /// More copies than can be kept.
    #[error("replication factor {0} is not possible yet: every partition has one copy; use 1")]
    Replication(u16),
    /// A promise that cannot be kept yet.
    #[error("mode 'gossip' is not available yet; use 'leader'")]
    Mode,
    /// No node may hold new partitions.
    #[error("no node can take new partitions: all are draining or down")]
    NoPlace,
    /// The change does not fit the partition.
    #[error("the leader must be one of the ISR, and the ISR a part of the replicas")]
    InvalidPartition,
    /// A setting of a topic, a name or a rule that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A limit.
    #[error("{0}")]
    Limit(String),
}
