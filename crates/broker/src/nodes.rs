//! The nodes of the cluster: who is there, and what an operator may change about them.

use catalog::{Command, NodeState};
use model::{Incarnation, NodeId};

use crate::error::NodeError;
use crate::inner::Inner;

/// What an operator changes about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChange {
    /// It may hold everything, or nothing new.
    State(NodeState),
    /// It is gone for good; its id never comes back.
    Remove {
        /// Whether the records that only it holds may be lost.
        lose_partitions: bool,
    },
    /// Its data directory is lost; its id may start again with an empty one.
    ForgetDisk {
        /// Whether the records that only it holds may be lost.
        lose_partitions: bool,
    },
}

impl Inner {
    /// The lowest id that no node has or ever had, as far as this node knows.
    pub(crate) fn free_id(&self) -> Option<NodeId> {
        let catalog = self.cluster.catalog();
        let is_free = |id: &NodeId| catalog.node(*id).is_none() && !catalog.is_removed(*id);
        (0..=u16::MAX).map(NodeId).find(is_free)
    }

    pub(crate) async fn change_node(
        &self,
        id: NodeId,
        change: NodeChange,
    ) -> Result<(), NodeError> {
        self.standing.check()?;
        let command = match change {
            NodeChange::State(state) => Command::SetNodeState { id, state },
            NodeChange::Remove { lose_partitions } => Command::RemoveNode {
                id,
                lose_partitions,
            },
            NodeChange::ForgetDisk { lose_partitions } => Command::ForgetDisk {
                id,
                incarnation: self.incarnation(id).await?,
                lose_partitions,
            },
        };
        self.cluster.propose(command).await?;
        Ok(())
    }

    /// The last start of a node.
    async fn incarnation(&self, id: NodeId) -> Result<Incarnation, NodeError> {
        let catalog = self.cluster.fresh().await;
        let catalog = catalog.map_err(|error| NodeError::Unavailable(error.to_string()))?;
        let node = catalog.node(id).ok_or(NodeError::Unknown(id))?;
        Ok(node.incarnation)
    }
}
