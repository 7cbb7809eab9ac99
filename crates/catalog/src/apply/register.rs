//! Who a node is that has started.

use alloc::format;
use alloc::sync::Arc;

use model::limits::{ADDRESS_BYTES_MAX, KNOWN_BOOTS_MAX, NODES_MAX, RACK_BYTES_MAX};
use model::{Incarnation, NodeId, Site, Slot};

use super::{check_count, check_text};
use crate::{Catalog, Node, NodeState, Outcome, Refusal, Registration};

impl Catalog {
    pub(super) fn register(&mut self, start: &Registration) -> Result<Outcome, Refusal> {
        check(start)?;
        match (self.node_of_storage(start.storage).cloned(), start.id) {
            (Some(node), _) => self.register_again(&node, start),
            (None, Some(id)) => self.register_as(id, start),
            (None, None) => self.register_new(self.lowest_free(start.site)?, start),
        }
    }

    /// The data directory is known. It may be the node's own, or an older copy of it.
    fn register_again(&mut self, node: &Node, start: &Registration) -> Result<Outcome, Refusal> {
        if start.id.is_some_and(|id| id != node.id) {
            let registered = node.id;
            return Err(Refusal::OtherId { registered });
        }
        if node.awaits_disk {
            return Err(Refusal::DiskForgotten(node.id));
        }
        if node.boot == start.boot {
            return self.registered(node);
        }
        if start.holder_is_alive {
            let peer = node.addresses.peer.clone();
            return Err(Refusal::AlreadyRunning(node.id, peer));
        }
        if !start.known_boots.contains(&node.boot) {
            return Err(Refusal::OldCopy(node.id));
        }
        self.start(node, start)
    }

    /// The data directory is new, and wants this id.
    fn register_as(&mut self, id: NodeId, start: &Registration) -> Result<Outcome, Refusal> {
        if self.is_removed(id) {
            return Err(Refusal::Removed(id));
        }
        let Some(holder) = self.node(id).cloned() else {
            return self.register_new(id, start);
        };
        if holder.awaits_disk {
            self.start(&holder, start)
        } else if start.holder_is_alive {
            Err(Refusal::IdTaken(id, holder.addresses.peer.clone()))
        } else {
            Err(Refusal::OtherDisk {
                id,
                registered: holder.storage,
                given: start.storage,
            })
        }
    }

    fn register_new(&mut self, id: NodeId, start: &Registration) -> Result<Outcome, Refusal> {
        check_count("nodes", self.nodes.len(), NODES_MAX)?;
        let slot = Slot(self.next_slot);
        let blank = Node {
            id,
            slot,
            storage: start.storage,
            disk: 0,
            awaits_disk: false,
            boot: start.boot,
            incarnation: Incarnation(0),
            addresses: start.addresses.clone(),
            rack: start.rack.clone(),
            state: NodeState::Active,
            fenced: false,
            joined: start.at,
        };
        let answer = self.start(&blank, start)?;
        self.next_slot = self.next_slot.saturating_add(1);
        Ok(answer)
    }

    /// Writes down a start that was found to be right.
    fn start(&mut self, node: &Node, start: &Registration) -> Result<Outcome, Refusal> {
        let node = Node {
            storage: start.storage,
            awaits_disk: false,
            boot: start.boot,
            incarnation: Incarnation(node.incarnation.0.saturating_add(1)),
            addresses: start.addresses.clone(),
            rack: start.rack.clone(),
            fenced: false,
            ..node.clone()
        };
        let answer = self.registered(&node)?;
        Arc::make_mut(&mut self.nodes).insert(node.id, Arc::new(node));
        self.changed();
        Ok(answer)
    }

    fn registered(&self, node: &Node) -> Result<Outcome, Refusal> {
        Ok(Outcome::Registered {
            cluster: self.cluster.ok_or(Refusal::Founding)?,
            id: node.id,
            raft_id: node.raft_id(),
            slot: node.slot,
            incarnation: node.incarnation,
        })
    }

    fn lowest_free(&self, site: Site) -> Result<NodeId, Refusal> {
        let mut ids = site.ids().map(NodeId);
        let free = ids.find(|id| !self.nodes.contains_key(id) && !self.is_removed(*id));
        free.ok_or(Refusal::SiteFull(site))
    }
}

fn check(start: &Registration) -> Result<(), Refusal> {
    check_text("the peer address", &start.addresses.peer, ADDRESS_BYTES_MAX)?;
    check_text("the HTTP address", &start.addresses.http, ADDRESS_BYTES_MAX)?;
    check_text(
        "a rack",
        start.rack.as_deref().unwrap_or_default(),
        RACK_BYTES_MAX,
    )?;
    if start.known_boots.len() > KNOWN_BOOTS_MAX {
        let message = format!("a node names at most {KNOWN_BOOTS_MAX} earlier starts");
        return Err(Refusal::Limit(message));
    }
    Ok(())
}
