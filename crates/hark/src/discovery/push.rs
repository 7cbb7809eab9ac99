//! Pushing the map to every registered node.

use std::time::Duration;

use door_http::dto::{BrokerEntry, BrokerMap};
use futures_util::StreamExt as _;
use tokio::sync::watch;

/// Time that a node has to take the map.
const NODE_TIMEOUT: Duration = Duration::from_secs(3);
/// Nodes that are told at once.
const NODES_AT_ONCE: usize = 32;
/// Pauses before a node that did not take the map is tried again. Whoever is away for longer
/// registers anew when it starts, and does not depend on it.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
];

/// Pushes each new map, for ever. A newer one ends the attempts to push the one before.
pub(crate) async fn push(mut changes: watch::Receiver<BrokerMap>, http: reqwest::Client) {
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        let map = changes.borrow_and_update().clone();
        let mut newer = changes.clone();
        tokio::select! {
            () = push_one(&map, &http) => {}
            // Only looked at: the loop takes it.
            _ = newer.changed() => {}
        }
    }
}

async fn push_one(map: &BrokerMap, http: &reqwest::Client) {
    let mut left = map.brokers.clone();
    for pause in PAUSES {
        tokio::time::sleep(pause).await;
        let tries = left.into_iter().map(|broker| tell(broker, map, http));
        let failed = futures_util::stream::iter(tries).buffer_unordered(NODES_AT_ONCE);
        left = failed.filter_map(std::future::ready).collect().await;
        if left.is_empty() {
            return;
        }
    }
    for broker in left {
        tracing::info!(
            http = broker.http,
            version = map.version,
            "did not take the map"
        );
    }
}

/// The broker again, if it did not take the map.
async fn tell(broker: BrokerEntry, map: &BrokerMap, http: &reqwest::Client) -> Option<BrokerEntry> {
    let url = format!("{}/internal/brokers", broker.http.trim_end_matches('/'));
    let request = http.post(url).timeout(NODE_TIMEOUT).json(map);
    let taken = request
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    match taken {
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(http = broker.http, %error, "cannot push the map");
            Some(broker)
        }
    }
}
