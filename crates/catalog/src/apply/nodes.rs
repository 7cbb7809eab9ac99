//! Nodes that are watched, drained, removed, or get another disk.

use alloc::sync::Arc;

use model::{Incarnation, NodeId};

use crate::{Catalog, Node, NodeState, Outcome, Refusal};

impl Catalog {
    pub(super) fn fence(
        &mut self,
        id: NodeId,
        seen: Incarnation,
        fenced: bool,
    ) -> Result<Outcome, Refusal> {
        let node = self.known(id)?;
        if node.incarnation != seen || node.awaits_disk && !fenced {
            return Err(Refusal::Stale);
        }
        self.put_node(&node, |node| node.fenced = fenced);
        Ok(Outcome::Done)
    }

    pub(super) fn set_state(&mut self, id: NodeId, state: NodeState) -> Result<Outcome, Refusal> {
        let node = self.known(id)?;
        self.put_node(&node, |node| node.state = state);
        Ok(Outcome::Done)
    }

    pub(super) fn remove(&mut self, id: NodeId, lose_partitions: bool) -> Result<Outcome, Refusal> {
        if self.is_removed(id) {
            return Ok(Outcome::Done);
        }
        let node = self.known(id)?;
        if self.nodes.len() == 1 {
            return Err(Refusal::LastNode(id));
        }
        self.check_loss(id, lose_partitions)?;
        self.move_away(id)?;
        Arc::make_mut(&mut self.nodes).remove(&id);
        Arc::make_mut(&mut self.removed).insert(id, node.slot);
        self.changed();
        Ok(Outcome::Done)
    }

    pub(super) fn forget_disk(
        &mut self,
        id: NodeId,
        seen: Incarnation,
        lose_partitions: bool,
    ) -> Result<Outcome, Refusal> {
        let node = self.known(id)?;
        // A late repeat must not give up the directory that came after.
        if node.incarnation != seen {
            return Err(Refusal::Stale);
        }
        if node.awaits_disk {
            return Ok(Outcome::Done);
        }
        if !node.fenced {
            return Err(Refusal::Running(id));
        }
        self.check_loss(id, lose_partitions)?;
        self.begin_anew(id);
        self.put_node(&node, |node| {
            node.awaits_disk = true;
            node.disk = node.disk.saturating_add(1);
        });
        Ok(Outcome::Done)
    }

    fn known(&self, id: NodeId) -> Result<Arc<Node>, Refusal> {
        match self.node(id) {
            Some(node) => Ok(Arc::clone(node)),
            None if self.is_removed(id) => Err(Refusal::Removed(id)),
            None => Err(Refusal::UnknownNode(id)),
        }
    }

    /// Changes a node, and the revision if that makes a difference.
    fn put_node(&mut self, before: &Node, change: impl FnOnce(&mut Node)) {
        let mut node = before.clone();
        change(&mut node);
        if node != *before {
            Arc::make_mut(&mut self.nodes).insert(node.id, Arc::new(node));
            self.changed();
        }
    }
}
