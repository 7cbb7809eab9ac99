//! Who a member is to the gossip.

use std::net::SocketAddr;

use foca::Identity;
use model::{BootId, Incarnation, NodeId};

/// A member: a process of a node. Of two of the same node the one registered later wins, wherever they meet; so
/// the order of the fields is the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId {
    /// The node.
    pub node: NodeId,
    /// Which registration of the node: each start has another.
    pub incarnation: Incarnation,
    /// The start. Decides only between two with the same incarnation, which the catalog never gives.
    pub boot: BootId,
    /// How often this process was given up for dead, and came back under a new name.
    pub renewals: u32,
    /// Where its datagrams go.
    pub address: SocketAddr,
}

impl MemberId {
    /// What tells this process from others of its node, later ones being greater.
    #[must_use]
    pub const fn process(&self) -> (Incarnation, BootId) {
        (self.incarnation, self.boot)
    }

    /// A member of which only the node and the address are known, good for a first word to it.
    pub(super) const fn unknown(node: NodeId, address: SocketAddr) -> Self {
        Self {
            node,
            incarnation: Incarnation(0),
            boot: BootId::from_bytes([0; 16]),
            renewals: 0,
            address,
        }
    }
}

impl Identity for MemberId {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        let renewals = self.renewals.checked_add(1)?;
        Some(Self { renewals, ..*self })
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self > adversary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence() {
        let id = |incarnation, boot, renewals| MemberId {
            node: NodeId(1),
            incarnation: Incarnation(incarnation),
            boot: BootId::from_bytes([boot; 16]),
            renewals,
            address: SocketAddr::from(([127, 0, 0, 1], 7946)),
        };
        let ascending = [id(1, 9, 7), id(2, 1, 0), id(2, 1, 1), id(2, 5, 0)];
        for pair in ascending.windows(2) {
            assert!(pair[1].win_addr_conflict(&pair[0]));
            assert!(!pair[0].win_addr_conflict(&pair[1]));
        }
        let renewed = id(2, 1, 0).renew().unwrap();
        assert_eq!(renewed, id(2, 1, 1));
        assert_eq!(renewed.process(), id(2, 1, 0).process());
        assert_eq!(id(2, 1, u32::MAX).renew(), None);
    }
}
