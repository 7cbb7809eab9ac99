//! What the broker sees of the cluster that it is a part of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Addresses, Catalog, Command, NodeState, Outcome, Refusal};
use futures_util::future::BoxFuture;
use model::{ClusterId, Incarnation, NodeId, Slot, Timestamp};
use thiserror::Error;
use tokio::sync::watch;

/// The cluster. A node that stands alone is a cluster of one.
pub trait Cluster: fmt::Debug + Send + Sync + 'static {
    /// This node.
    fn me(&self) -> NodeId;
    /// The newest catalog that this node has applied.
    fn catalog(&self) -> Arc<Catalog>;
    /// The same, and a bell for the next.
    fn changes(&self) -> watch::Receiver<Arc<Catalog>>;
    /// A catalog at least as new as anything acknowledged before this call.
    fn fresh(&self) -> BoxFuture<'_, Result<Arc<Catalog>, ClusterError>>;
    /// Agrees on a command. When it is taken, [`catalog`](Self::catalog) of this node holds it.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Outcome, ProposeError>>;
    /// Whether it is known that this node does not answer, so that asking it is in vain. By itself, what
    /// the controller believes.
    fn is_down(&self, node: NodeId) -> bool {
        let catalog = self.catalog();
        catalog.node(node).is_some_and(|node| node.fenced)
    }
    /// Asks another node's broker.
    fn call(
        &self,
        to: NodeId,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, CallError>>;
    /// How the cluster is, as this node sees it.
    fn overview(&self) -> ClusterOverview;
    /// What has to come before the cluster has registered this start of the node, as in "waiting for …";
    /// none once it has. Until then nothing may be acknowledged.
    fn waits_for(&self) -> Option<String> {
        None
    }
}

/// Why the cluster could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClusterError {
    /// No majority answers.
    #[error("the cluster does not answer: {0}")]
    Unavailable(String),
}

/// Why a command was not agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// It was looked at and refused: nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer in time. It may be agreed on nonetheless.
    #[error("the cluster does not answer: {0}")]
    Unavailable(String),
}

/// Why another node's broker did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// The request never left this node.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// No answer before the deadline.
    #[error("it did not answer in time")]
    TimedOut,
    /// The connection broke while the answer was awaited.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl CallError {
    /// Whether the other node may have got the request, and done what it asks.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::Unreachable(_))
    }
}

/// How a cluster is, as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterOverview {
    /// Which cluster, once it is known.
    pub cluster: Option<ClusterId>,
    /// Who looks.
    pub me: NodeId,
    /// Who decides, if anybody is known to.
    pub controller: Option<NodeId>,
    /// The reign of the controller.
    pub term: u64,
    /// How far this node has applied the catalog.
    pub revision: u64,
    /// The registered nodes, by id.
    pub nodes: Vec<NodeOverview>,
}

/// One node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOverview {
    /// Its number.
    pub id: NodeId,
    /// Its dense number.
    pub slot: Slot,
    /// Its registrations so far.
    pub incarnation: Incarnation,
    /// Where it is.
    pub addresses: Addresses,
    /// What breaks together.
    pub rack: Option<String>,
    /// What it may hold.
    pub state: NodeState,
    /// Whether the controller believes it to be down.
    pub fenced: bool,
    /// What gossip says of it.
    pub liveness: Liveness,
    /// Since when gossip says so.
    pub since: Timestamp,
    /// Time to it and back, where it was measured.
    pub round_trip: Option<Duration>,
    /// Registered nodes whose number differs in one binary digit.
    pub neighbours: Vec<NodeId>,
    /// Its part in the consensus.
    pub role: Role,
    /// Whether it is the one that decides.
    pub is_controller: bool,
}

/// What gossip says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It answers.
    Alive,
    /// It has not answered somebody, and may yet.
    Suspect,
    /// It does not answer anybody.
    Down,
}

impl Liveness {
    /// The word for it in every API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// A node's part in the consensus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It decides with others.
    Voter,
    /// It hears what was decided.
    Learner,
    /// The consensus does not count it yet, or not any more.
    None,
}

impl Role {
    /// The word for it in every API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Learner => "learner",
            Self::None => "none",
        }
    }
}
