//! Room for batches that were accepted and have not met their fate yet.
//!
//! What goes to this node's own disk and what goes to other nodes have room of their own: two nodes that
//! are full of batches for each other still take them, so neither waits for the other. And a node that
//! does not answer keeps only a part of the room from the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::NodeId;
use model::limits::{
    APPEND_BYTES_IN_FLIGHT_MAX, PEER_APPEND_BYTES_IN_FLIGHT_MAX, PEER_APPEND_BYTES_PER_NODE_MAX,
};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::PublishError;

/// The room of a node.
#[derive(Debug)]
pub(crate) struct Budget {
    here: Arc<Semaphore>,
    afar: Arc<Semaphore>,
    /// For each node that was ever sent something.
    by_node: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
}

/// Room on the way to another node; given back when dropped.
#[derive(Debug)]
pub(crate) struct RoomAfar {
    _of_node: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            here: Arc::new(Semaphore::new(APPEND_BYTES_IN_FLIGHT_MAX)),
            afar: Arc::new(Semaphore::new(PEER_APPEND_BYTES_IN_FLIGHT_MAX)),
            by_node: Mutex::default(),
        }
    }

    /// Waits for room on the way to this node's disk; given back when dropped.
    pub(crate) async fn take_here(
        &self,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit, PublishError> {
        take(&self.here, bytes, APPEND_BYTES_IN_FLIGHT_MAX).await
    }

    /// Waits for room on the way to another node.
    pub(crate) async fn take_afar(
        &self,
        to: NodeId,
        bytes: usize,
    ) -> Result<RoomAfar, PublishError> {
        let of_node = self.of_node(to);
        // First, so that whoever waits for a slow node takes nothing from the others meanwhile.
        let of_node = take(&of_node, bytes, PEER_APPEND_BYTES_PER_NODE_MAX).await?;
        let of_all = take(&self.afar, bytes, PEER_APPEND_BYTES_IN_FLIGHT_MAX).await?;
        Ok(RoomAfar {
            _of_node: of_node,
            _of_all: of_all,
        })
    }

    /// Bytes that were accepted and have not met their fate yet.
    pub(crate) fn in_flight(&self) -> usize {
        let here = APPEND_BYTES_IN_FLIGHT_MAX - self.here.available_permits();
        here + PEER_APPEND_BYTES_IN_FLIGHT_MAX - self.afar.available_permits()
    }

    fn of_node(&self, node: NodeId) -> Arc<Semaphore> {
        let mut by_node = self.by_node.lock();
        let room = by_node
            .entry(node)
            .or_insert_with(|| Arc::new(Semaphore::new(PEER_APPEND_BYTES_PER_NODE_MAX)));
        Arc::clone(room)
    }
}

async fn take(
    room: &Arc<Semaphore>,
    bytes: usize,
    max: usize,
) -> Result<OwnedSemaphorePermit, PublishError> {
    // More than there is would wait for ever.
    let permits = u32::try_from(bytes.min(max)).unwrap_or(u32::MAX);
    let taken = Arc::clone(room).acquire_many_owned(permits).await;
    taken.map_err(|_| PublishError::Stopped("the node is stopping".to_owned()))
}
