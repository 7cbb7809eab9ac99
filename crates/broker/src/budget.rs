//! Room for batches that were accepted and have not met their fate yet, and for answers to other nodes.
//!
//! What goes to this node's own disk and what goes to other nodes have room of their own: two nodes that
//! are full of batches for each other still take them, so neither waits for the other. And a node that
//! does not answer, or does not take its answers, keeps only a part of the room from the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::NodeId;
use model::limits::{
    APPEND_BYTES_IN_FLIGHT_MAX, PEER_ANSWER_BYTES_IN_FLIGHT_MAX, PEER_ANSWER_BYTES_PER_NODE_MAX,
    PEER_APPEND_BYTES_IN_FLIGHT_MAX, PEER_APPEND_BYTES_PER_NODE_MAX,
};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::PublishError;

/// The room of a node.
#[derive(Debug)]
pub(crate) struct Budget {
    here: Arc<Semaphore>,
    /// For batches on their way to other nodes.
    afar: Rooms,
    /// For answers to other nodes.
    answers: Rooms,
}

/// Room that other nodes share, none of which may have all.
#[derive(Debug)]
struct Rooms {
    all: Arc<Semaphore>,
    all_bytes: usize,
    /// For each node that ever took some.
    by_node: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
    node_bytes: usize,
}

/// Room for bytes to another node; given back when dropped.
#[derive(Debug)]
pub(crate) struct RoomAfar {
    of_node: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

/// Where one answer goes, and the room that was taken for it. One that stays on this node, the default,
/// needs none.
#[derive(Debug, Default)]
pub(crate) struct AnswerRoom {
    to: Option<NodeId>,
    taken: Option<RoomAfar>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            here: Arc::new(Semaphore::new(APPEND_BYTES_IN_FLIGHT_MAX)),
            afar: Rooms::new(
                PEER_APPEND_BYTES_IN_FLIGHT_MAX,
                PEER_APPEND_BYTES_PER_NODE_MAX,
            ),
            answers: Rooms::new(
                PEER_ANSWER_BYTES_IN_FLIGHT_MAX,
                PEER_ANSWER_BYTES_PER_NODE_MAX,
            ),
        }
    }

    /// Waits for room on the way to this node's disk; given back when dropped.
    pub(crate) async fn take_here(
        &self,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit, PublishError> {
        let taken = take(&self.here, bytes, APPEND_BYTES_IN_FLIGHT_MAX).await;
        taken.ok_or_else(stopping)
    }

    /// Waits for room on the way to another node.
    pub(crate) async fn take_afar(
        &self,
        to: NodeId,
        bytes: usize,
    ) -> Result<RoomAfar, PublishError> {
        self.afar.take(to, bytes).await.ok_or_else(stopping)
    }

    /// Waits for room for an answer to another node. To be asked before the answer is read, and by
    /// nobody who has room already: so whoever has some needs nothing but the other node to take it.
    pub(crate) async fn take_answer(&self, to: NodeId, bytes: usize) -> Option<RoomAfar> {
        self.answers.take(to, bytes).await
    }

    /// Bytes that were accepted and have not met their fate yet.
    pub(crate) fn in_flight(&self) -> usize {
        let here = APPEND_BYTES_IN_FLIGHT_MAX - self.here.available_permits();
        here + self.afar.taken()
    }
}

impl Rooms {
    fn new(all_bytes: usize, node_bytes: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all_bytes)),
            all_bytes,
            by_node: Mutex::default(),
            node_bytes,
        }
    }

    async fn take(&self, node: NodeId, bytes: usize) -> Option<RoomAfar> {
        let (of_node, bytes) = (self.of_node(node), bytes.min(self.node_bytes));
        // First, so that whoever waits for a slow node takes nothing from the others meanwhile.
        let of_node = take(&of_node, bytes, self.node_bytes).await?;
        let of_all = take(&self.all, bytes, self.all_bytes).await?;
        Some(RoomAfar { of_node, of_all })
    }

    fn of_node(&self, node: NodeId) -> Arc<Semaphore> {
        let mut by_node = self.by_node.lock();
        let room = by_node
            .entry(node)
            .or_insert_with(|| Arc::new(Semaphore::new(self.node_bytes)));
        Arc::clone(room)
    }

    fn taken(&self) -> usize {
        self.all_bytes - self.all.available_permits()
    }
}

impl RoomAfar {
    /// Gives back what is more than so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        for permit in [&mut self.of_node, &mut self.of_all] {
            let surplus = permit.num_permits().saturating_sub(bytes);
            drop(permit.split(surplus));
        }
    }
}

impl AnswerRoom {
    pub(crate) const fn to(node: NodeId) -> Self {
        Self {
            to: Some(node),
            taken: None,
        }
    }

    /// Whether room is still to be taken.
    pub(crate) const fn is_missing(&self) -> bool {
        self.to.is_some() && self.taken.is_none()
    }

    /// Waits for room for so many bytes, unless there is some.
    pub(crate) async fn take(&mut self, of: &Budget, bytes: usize) {
        if let Some(to) = self.to.filter(|_| self.taken.is_none()) {
            self.taken = of.take_answer(to, bytes).await;
        }
    }

    /// Gives back what is more than so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(room) = &mut self.taken {
            room.shrink_to(bytes);
        }
    }

    /// Gives all of it back: there is nothing to answer yet.
    pub(crate) fn give_back(&mut self) {
        self.taken = None;
    }

    pub(crate) fn into_taken(self) -> Option<RoomAfar> {
        self.taken
    }
}

/// `None` when the room is closed, which it never is.
async fn take(room: &Arc<Semaphore>, bytes: usize, max: usize) -> Option<OwnedSemaphorePermit> {
    // More than there is would wait for ever.
    let permits = u32::try_from(bytes.min(max)).unwrap_or(u32::MAX);
    Arc::clone(room).acquire_many_owned(permits).await.ok()
}

fn stopping() -> PublishError {
    PublishError::Stopped("the node is stopping".to_owned())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_node_takes_the_room_of_the_others() {
        let budget = Budget::new();
        let first = budget.take_answer(NodeId(1), usize::MAX).await.unwrap();
        let mut waiting = Box::pin(budget.take_answer(NodeId(1), 1));
        assert!(waiting.as_mut().now_or_never().is_none());
        let all_nodes = PEER_ANSWER_BYTES_IN_FLIGHT_MAX / PEER_ANSWER_BYTES_PER_NODE_MAX;
        let mut others = Vec::new();
        for node in 2..=all_nodes {
            let node = NodeId(u16::try_from(node).unwrap());
            others.push(budget.take_answer(node, usize::MAX).await.unwrap());
        }
        assert!(budget.take_answer(NodeId(99), 1).now_or_never().is_none());
        assert_eq!(budget.in_flight(), 0, "answers are no batches");
        drop(first);
        assert!(waiting.now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_was_taken_too_much_is_given_back() {
        let budget = Budget::new();
        let mut room = budget.take_afar(NodeId(1), 1000).await.unwrap();
        room.shrink_to(2000);
        assert_eq!(budget.in_flight(), 1000);
        room.shrink_to(300);
        assert_eq!(budget.in_flight(), 300);
        drop(room);
        assert_eq!(budget.in_flight(), 0);
    }
}
