//! Addresses of the roster: `host:port` becomes an address that a datagram can go to.

use std::net::SocketAddr;
use std::time::Duration;

use model::NodeId;
use tokio::net::lookup_host;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::Request;
use crate::membership::Listed;

/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Names are looked up again after this time, in case they mean another address by then.
const AGAIN: Duration = Duration::from_secs(30);

/// Passes every roster on, first as far as it needs no look-up, then whole.
pub(super) async fn run(
    mut rosters: watch::Receiver<Vec<(NodeId, String)>>,
    to: mpsc::Sender<Request>,
) {
    loop {
        let roster = rosters.borrow_and_update().clone();
        let mut listed: Vec<Listed> = roster.iter().map(literal).collect();
        let is_whole = listed.iter().all(|listed| listed.address.is_some());
        if !roster.is_empty() && to.send(Request::Roster(listed.clone())).await.is_err() {
            return;
        }
        if !is_whole {
            for (listed, (_, host)) in listed.iter_mut().zip(&roster) {
                if listed.address.is_none() {
                    listed.address = look_up(host).await;
                }
            }
            if to.send(Request::Roster(listed)).await.is_err() {
                return;
            }
        }
        let next = rosters.changed();
        let outcome = if is_whole {
            next.await.is_ok()
        } else {
            timeout(AGAIN, next)
                .await
                .is_ok_and(|changed| changed.is_ok())
                || !to.is_closed() && rosters.has_changed().is_ok()
        };
        if !outcome {
            return;
        }
    }
}

fn literal((id, host): &(NodeId, String)) -> Listed {
    Listed {
        id: *id,
        address: host.parse().ok(),
    }
}

async fn look_up(host: &str) -> Option<SocketAddr> {
    let found = timeout(PATIENCE, lookup_host(host)).await.ok()?.ok()?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    // IPv4 first: a name often has an IPv6 address that nothing listens on.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.first().copied()
}
