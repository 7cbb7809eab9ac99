//! Where the other nodes are.
//!
//! The catalog has the address of every node as of its last registration. A node that starts again
//! somewhere else cannot register before it has been reached, nor be reached before others know where
//! it is: so what it says itself when it asks around is tried, too, until the catalog has newer news.
//! The registered address comes first, or a copy of a data directory would be taken for the node
//! while the original runs. What is wrong here does no harm otherwise: whoever answers must prove to
//! be the node that was meant.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Catalog;
use model::{Incarnation, NodeId};
use parking_lot::Mutex;

use crate::assemble::finding::PeerAddress;

/// Where other nodes may be, beside the catalog.
#[derive(Debug, Default)]
pub(in crate::assemble) struct AddressBook(Mutex<BTreeMap<NodeId, Hint>>);

#[derive(Debug)]
struct Hint {
    address: PeerAddress,
    /// The registration that the catalog had when this was heard; a later one is better news.
    as_of: Incarnation,
}

impl AddressBook {
    /// A node says, or is said, to be there.
    pub(in crate::assemble) fn hear(&self, id: NodeId, address: PeerAddress, catalog: &Catalog) {
        let as_of = registered(id, catalog);
        self.0.lock().insert(id, Hint { address, as_of });
    }

    /// Where to try, in this order.
    pub(in crate::assemble) fn addresses(&self, id: NodeId, catalog: &Catalog) -> Vec<String> {
        let mut hints = self.0.lock();
        let is_old = |hint: &Hint| hint.as_of < registered(id, catalog);
        if hints.get(&id).is_some_and(is_old) {
            hints.remove(&id);
        }
        let hint = hints.get(&id).map(|hint| hint.address.to_string());
        let known = catalog.node(id).map(|node| node.addresses.peer.clone());
        let mut addresses: Vec<String> = known.into_iter().chain(hint).collect();
        addresses.dedup();
        addresses
    }

    /// Every address at which there may be a node.
    pub(in crate::assemble) fn everywhere(&self, catalog: &Catalog) -> BTreeSet<PeerAddress> {
        let hints = self.0.lock();
        let hinted = hints.values().map(|hint| hint.address.clone());
        let known = catalog.nodes().map(|node| node.addresses.peer.parse());
        hinted.chain(known.filter_map(Result::ok)).collect()
    }
}

fn registered(id: NodeId, catalog: &Catalog) -> Incarnation {
    catalog
        .node(id)
        .map_or(Incarnation(0), |node| node.incarnation)
}

#[cfg(test)]
mod tests {
    use catalog::{Addresses, Command, Registration};
    use model::{BootId, ClusterId, Site, StorageId, Timestamp};

    use super::*;

    fn registration(boot: u8, known: &[u8], peer: &str) -> Command {
        Command::Register(Registration {
            id: Some(NodeId(1)),
            site: Site::EVERYWHERE,
            storage: StorageId::from_bytes([1; 16]),
            boot: BootId::from_bytes([boot; 16]),
            known_boots: known.iter().map(|n| BootId::from_bytes([*n; 16])).collect(),
            addresses: Addresses {
                peer: peer.to_owned(),
                http: "http://h:1".to_owned(),
            },
            rack: None,
            holder_is_alive: false,
            at: Timestamp::default(),
        })
    }

    #[test]
    fn what_a_node_says_is_tried_until_the_catalog_has_newer_news() {
        let mut catalog = Catalog::default();
        let book = AddressBook::default();
        let moved: PeerAddress = "moved:1".parse().unwrap();
        assert!(book.addresses(NodeId(1), &catalog).is_empty());

        let cluster = ClusterId::from_bytes([9; 16]);
        catalog.apply(&Command::Found { cluster }).unwrap();
        catalog.apply(&registration(1, &[], "first:1")).unwrap();
        assert_eq!(book.addresses(NodeId(1), &catalog), ["first:1"]);
        book.hear(NodeId(1), moved, &catalog);
        assert_eq!(book.addresses(NodeId(1), &catalog), ["first:1", "moved:1"]);
        let everywhere = ["first:1", "moved:1"].map(|text| text.parse().unwrap());
        assert!(book.everywhere(&catalog).into_iter().eq(everywhere));

        catalog
            .apply(&registration(2, &[1], "moved-again:1"))
            .unwrap();
        assert_eq!(book.addresses(NodeId(1), &catalog), ["moved-again:1"]);
    }
}
