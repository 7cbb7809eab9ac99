//! Everything that can happen to a catalog.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{
    BootId, ClusterId, Incarnation, Mode, NodeId, PartitionId, Site, Slot, StorageId, Timestamp,
    TopicId, TopicName,
};

use crate::{AclEntry, Addresses, NodeState, RaftId, Topic, TopicChanges, TopicSettings, User};

/// What somebody asks the cluster to agree on. Carries every choice that is not the catalog's: times,
/// identities and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begins a cluster. Only ever the first command.
    Found {
        /// Its name for ever.
        cluster: ClusterId,
    },
    /// A node has started, for the first time or again.
    Register(Registration),
    /// The controller believes a node to be down, or up again. Refused when the node has been
    /// registered anew since.
    Fence {
        /// Which.
        id: NodeId,
        /// The start that was observed.
        incarnation: Incarnation,
        /// What is believed.
        fenced: bool,
    },
    /// A node may hold everything, or nothing new.
    SetNodeState {
        /// Which.
        id: NodeId,
        /// What it may hold.
        state: NodeState,
    },
    /// A node is gone for good; its id never comes back. Refused while it holds a partition, unless
    /// the loss is accepted.
    RemoveNode {
        /// Which.
        id: NodeId,
        /// Partitions that only it holds may be lost: they get a new, empty home.
        lose_partitions: bool,
    },
    /// The data directory of a node is lost: the next registration of its id may bring another one.
    /// Refused when the node has been registered anew since.
    ForgetDisk {
        /// Which.
        id: NodeId,
        /// The last start from that directory.
        incarnation: Incarnation,
        /// Partitions that only it holds may be lost: they begin anew, empty, on the new disk.
        lose_partitions: bool,
    },
    /// Makes a topic; its partitions are placed on active, unfenced nodes.
    CreateTopic {
        /// Its identity, drawn by who asks.
        id: TopicId,
        /// Its name.
        name: TopicName,
        /// How many partitions, within the limits.
        partitions: u32,
        /// How many copies of each.
        replication_factor: u16,
        /// Its promise.
        mode: Mode,
        /// What is set.
        settings: TopicSettings,
        /// When.
        created: Timestamp,
        /// All partitions on this node: for records that lie there already.
        home: Option<NodeId>,
    },
    /// Removes a topic for ever.
    DeleteTopic {
        /// Which: another of the same name is left alone.
        id: TopicId,
    },
    /// Changes settings.
    ConfigureTopic {
        /// Which.
        id: TopicId,
        /// What is to change.
        changes: TopicChanges,
    },
    /// Another leader, or another ISR, of a partition.
    AlterPartition {
        /// Which.
        partition: PartitionId,
        /// The state that was seen; refused if it has changed since.
        expected_epoch: u64,
        /// The new leader; must be in the new ISR.
        leader: Option<NodeId>,
        /// The new ISR; a part of the replicas.
        isr: Vec<NodeId>,
    },
    /// Takes this many producer ids that nobody else gets.
    TakeProducerIds {
        /// At least 1.
        count: u32,
    },
    /// Adds or changes a user.
    PutUser(User),
    /// Removes a user.
    DeleteUser {
        /// Whom.
        name: String,
    },
    /// Adds a rule.
    PutAcl(AclEntry),
    /// Removes a rule.
    DeleteAcl(AclEntry),
}

/// A node that has started tells who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The id it has or wants; without one it gets the lowest that is free in `site`.
    pub id: Option<NodeId>,
    /// Where it may get an id.
    pub site: Site,
    /// Its data directory.
    pub storage: StorageId,
    /// This start.
    pub boot: BootId,
    /// The starts that it knows to have come before: the last one that was confirmed, and the last one
    /// tried. Must hold the registered one, or this is an old copy of the directory.
    pub known_boots: Vec<BootId>,
    /// Where it is.
    pub addresses: Addresses,
    /// What breaks together.
    pub rack: Option<String>,
    /// Whether the present holder of the id is alive, as the controller sees it when it takes the
    /// request; set by the controller.
    pub holder_is_alive: bool,
    /// When; set by the controller.
    pub at: Timestamp,
}

/// What came of a command that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to say.
    Done,
    /// The node is registered.
    Registered {
        /// The cluster.
        cluster: ClusterId,
        /// Its id.
        id: NodeId,
        /// How the consensus knows it.
        raft_id: RaftId,
        /// Its slot.
        slot: Slot,
        /// Its registrations so far.
        incarnation: Incarnation,
    },
    /// The topic as it is now.
    Topic(Arc<Topic>),
    /// Producer ids `first..first + count`.
    ProducerIds {
        /// The first.
        first: u64,
        /// How many.
        count: u32,
    },
}
