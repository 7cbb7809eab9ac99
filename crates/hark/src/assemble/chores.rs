//! What a running node does beside its work.

use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use control::Control;
use model::NodeId;
use peer::membership::{Gossip, Membership as _};

use super::wiring::{AddressBook, Late};
use crate::discovery;

/// First and longest pause before the discovery service is tried again.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Tells gossip who is in the cluster, whenever that changes, once there is gossip.
pub(super) async fn follow_roster(
    control: Control,
    gossip: Late<Arc<Gossip>>,
    book: Arc<AddressBook>,
) {
    let gossip = gossip.wait().await;
    let mut catalogs = control.watch();
    let mut told = Vec::new();
    loop {
        let roster = roster(&catalogs.borrow_and_update(), &book);
        if roster != told {
            gossip.set_roster(roster.clone());
            told = roster;
        }
        if catalogs.changed().await.is_err() {
            return;
        }
    }
}

/// Who is in the cluster, and where.
pub(super) fn roster(catalog: &Catalog, book: &AddressBook) -> Vec<(NodeId, String)> {
    let nodes = catalog.nodes();
    let place = |id| book.addresses(id, catalog).into_iter().next();
    nodes
        .filter_map(|node| Some((node.id, place(node.id)?)))
        .collect()
}

/// Tells the discovery service which id this node has, until it knows. It is not asked again: whoever
/// starts finds it.
pub(super) async fn register(discovery: discovery::Client, id: NodeId) {
    let mut pause = PAUSE_MIN;
    while let Err(why) = discovery.register(Some(id)).await {
        tracing::warn!(%discovery, why, "not registered; the node runs on without");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
