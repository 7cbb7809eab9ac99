//! Another process on the data directory of this one, or on a copy of it.
//!
//! The controller tells the two apart when one of them registers. But it is the controller that cannot be
//! asked when it is the original itself: to the consensus both are the same node, so its copy would ask
//! itself. And a node that votes alone asks nobody. So whoever starts looks for the other one.

use catalog::{Claim, Node};
use model::{BootId, NodeId};

/// Who answers with the same data directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Twin {
    /// This process, under another of its addresses.
    Myself,
    /// One that is not known to be registered: it may be the copy.
    Waiting,
    /// The one that the cluster has registered.
    Registered(NodeId),
}

impl Twin {
    /// Who it is that claims this: `boot` is this start, `known` this node as the catalog here has it.
    pub(super) fn of(claim: &Claim, boot: BootId, known: Option<&Node>) -> Self {
        if claim.boot == boot {
            return Self::Myself;
        }
        match known {
            // What is registered later than all that is known here is news of the cluster, not of this process.
            Some(node) if claim.boot == node.boot || claim.incarnation > node.incarnation => {
                Self::Registered(node.id)
            }
            _ => Self::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use catalog::{Addresses, Catalog, Command, Registration};
    use model::{ClusterId, Incarnation, Site, StorageId, Timestamp};

    use super::*;

    const STORAGE: StorageId = StorageId::from_bytes([1; 16]);

    fn boot(n: u8) -> BootId {
        BootId::from_bytes([n; 16])
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        let cluster = ClusterId::from_bytes([9; 16]);
        catalog.apply(&Command::Found { cluster }).unwrap();
        let registration = Registration {
            id: Some(NodeId(3)),
            site: Site::EVERYWHERE,
            storage: STORAGE,
            boot: boot(1),
            known_boots: Vec::new(),
            addresses: Addresses::default(),
            rack: None,
            holder_is_alive: false,
            at: Timestamp::default(),
        };
        catalog.apply(&Command::Register(registration)).unwrap();
        catalog
    }

    #[test]
    fn the_registered_one_is_told_from_one_that_waits() {
        let catalog = catalog();
        let known: Option<&Node> = catalog.node(NodeId(3)).map(AsRef::as_ref);
        let at = known.unwrap().incarnation.0;
        let cases = [
            (2, at, Twin::Myself),
            (1, at, Twin::Registered(NodeId(3))),
            (1, at - 1, Twin::Registered(NodeId(3))),
            (4, at, Twin::Waiting),
            (4, at + 1, Twin::Registered(NodeId(3))),
        ];
        for (claimed, incarnation, expected) in cases {
            let claim = Claim {
                cluster: catalog.cluster(),
                id: Some(NodeId(3)),
                storage: STORAGE,
                boot: boot(claimed),
                known_boots: Vec::new(),
                incarnation: Incarnation(incarnation),
            };
            assert_eq!(Twin::of(&claim, boot(2), known), expected, "{claim:?}");
            let unknown = Twin::of(&claim, boot(2), None);
            assert_eq!(unknown == Twin::Myself, claimed == 2, "{claim:?}");
        }
    }
}
