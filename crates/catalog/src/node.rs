//! The nodes of a cluster.

use alloc::string::String;

use model::{BootId, Incarnation, NodeId, Slot, StorageId, Timestamp};

/// A node as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number, and corner.
    pub id: NodeId,
    /// Its dense number.
    pub slot: Slot,
    /// Its data directory.
    pub storage: StorageId,
    /// How many data directories this id had before this one; each is another voter to the consensus.
    pub disk: u32,
    /// Whether its data directory was given up: only another one may register, and until then the id
    /// belongs to nobody.
    pub awaits_disk: bool,
    /// Its present, or last, start.
    pub boot: BootId,
    /// How often it was registered.
    pub incarnation: Incarnation,
    /// Where it is.
    pub addresses: Addresses,
    /// What breaks together: replicas avoid sharing one.
    pub rack: Option<String>,
    /// What it may hold.
    pub state: NodeState,
    /// Whether the controller believes it to be down: it is given nothing new.
    pub fenced: bool,
    /// When it registered first.
    pub joined: Timestamp,
}

impl Node {
    /// How the consensus knows this node. A node that lost its disk is another one to it.
    #[must_use]
    pub const fn raft_id(&self) -> RaftId {
        RaftId::new(self.id, self.disk)
    }
}

/// Where a node can be reached, as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// By other nodes: TCP for calls, UDP for gossip.
    pub peer: String,
    /// By clients, over HTTP.
    pub http: String,
}

/// What a node may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeState {
    /// Everything.
    #[default]
    Active,
    /// Nothing new: it is about to leave.
    Draining,
}

impl NodeState {
    /// The word for it in every API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
        }
    }
}

/// How the consensus knows a node: its id, and how many disks that id had before. A voter that lost its
/// log may never vote again under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RaftId(pub u64);

impl RaftId {
    /// The name of the node with this id on its `disk`-th disk.
    #[must_use]
    pub const fn new(id: NodeId, disk: u32) -> Self {
        Self((disk as u64) << 16 | id.0 as u64)
    }

    /// The node's id.
    #[must_use]
    pub const fn node(self) -> NodeId {
        NodeId((self.0 & 0xFFFF) as u16)
    }
}
