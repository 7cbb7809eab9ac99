//! Addresses of the roster: `host:port` becomes an address that a datagram can go to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
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
/// Names that are looked up at the same time, so that a slow one holds up few.
const LOOK_UPS_AT_ONCE: usize = 16;

type Roster = Vec<(NodeId, String)>;

/// Passes every roster on, at once as far as addresses are known, and again when names were looked up. A name
/// that is not found any more keeps the address it had.
pub(super) async fn run<F>(
    mut rosters: watch::Receiver<Roster>,
    to: mpsc::Sender<Request>,
    look_up: impl Fn(String) -> F,
) where
    F: Future<Output = Option<SocketAddr>>,
{
    let mut found = BTreeMap::new();
    loop {
        let roster = rosters.borrow_and_update().clone();
        found.retain(|known, _| roster.iter().any(|(_, host)| host == known));
        if !roster.is_empty() && !pass_on(&roster, &found, &to).await {
            return;
        }
        let names = names(&roster);
        let next = if names.is_empty() {
            rosters.changed().await
        } else {
            tokio::select! {
                () = look_up_all(names, &look_up, &mut found) => {
                    if !pass_on(&roster, &found, &to).await {
                        return;
                    }
                    timeout(AGAIN, rosters.changed()).await.unwrap_or(Ok(()))
                }
                next = rosters.changed() => next,
            }
        };
        if next.is_err() {
            return;
        }
    }
}

/// The system's answer, in time.
pub(super) async fn look_up(host: String) -> Option<SocketAddr> {
    let found = timeout(PATIENCE, lookup_host(host)).await.ok()?.ok()?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    // IPv4 first: a name often has an IPv6 address that nothing listens on.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.first().copied()
}

async fn pass_on(
    roster: &Roster,
    found: &BTreeMap<String, SocketAddr>,
    to: &mpsc::Sender<Request>,
) -> bool {
    let listed = |(id, host): &(NodeId, String)| Listed {
        id: *id,
        address: host.parse().ok().or_else(|| found.get(host).copied()),
    };
    let roster = roster.iter().map(listed).collect();
    to.send(Request::Roster(roster)).await.is_ok()
}

fn names(roster: &Roster) -> Vec<String> {
    let hosts = roster.iter().map(|(_, host)| host);
    let names = hosts.filter(|host| host.parse::<SocketAddr>().is_err());
    names.cloned().collect()
}

async fn look_up_all<F>(
    names: Vec<String>,
    look_up: &impl Fn(String) -> F,
    found: &mut BTreeMap<String, SocketAddr>,
) where
    F: Future<Output = Option<SocketAddr>>,
{
    let answers = stream::iter(names)
        .map(async |name| (look_up(name.clone()).await, name))
        .buffer_unordered(LOOK_UPS_AT_ONCE);
    let mut answers = std::pin::pin!(answers);
    while let Some((address, name)) = answers.next().await {
        if let Some(address) = address {
            found.insert(name, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Asked = mpsc::Receiver<Request>;

    fn roster(hosts: &[&str]) -> Roster {
        let ids = (1..).map(NodeId);
        ids.zip(hosts.iter().map(|host| (*host).to_owned()))
            .collect()
    }

    /// The last part of each address that the next roster has.
    async fn next(asked: &mut Asked) -> Vec<Option<u8>> {
        let Some(Request::Roster(listed)) = asked.recv().await else {
            panic!("no roster")
        };
        let last = |listed: Listed| match listed.address?.ip() {
            std::net::IpAddr::V4(ip) => Some(ip.octets()[3]),
            std::net::IpAddr::V6(_) => None,
        };
        listed.into_iter().map(last).collect()
    }

    async fn answer(host: String) -> Option<SocketAddr> {
        match host.as_str() {
            "quick:1" => Some(([10, 0, 0, 9], 1).into()),
            _ => {
                tokio::time::sleep(PATIENCE).await;
                None
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_name_holds_up_nobody() {
        let (rosters, receiver) = watch::channel(roster(&["slow:1", "quick:1", "10.0.0.3:1"]));
        let (to, mut asked) = mpsc::channel(8);
        let task = tokio::spawn(run(receiver, to, answer));
        assert_eq!(next(&mut asked).await, [None, None, Some(3)]);
        // Another node comes while the slow name is awaited.
        tokio::time::sleep(PATIENCE / 2).await;
        rosters.send_replace(roster(&["slow:1", "quick:1", "10.0.0.3:1", "10.0.0.4:1"]));
        let expected = [None, Some(9), Some(3), Some(4)];
        assert_eq!(next(&mut asked).await, expected);
        assert_eq!(next(&mut asked).await, expected, "it was not found");
        assert_eq!(next(&mut asked).await, expected, "it is sought again");
        drop(rosters);
        while asked.recv().await.is_some() {}
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_keeps_the_address_it_had() {
        let (_rosters, receiver) = watch::channel(roster(&["name:1"]));
        let (to, mut asked) = mpsc::channel(8);
        let asked_before = std::sync::atomic::AtomicBool::new(false);
        let once = move |_| {
            let again = asked_before.swap(true, std::sync::atomic::Ordering::Relaxed);
            std::future::ready((!again).then_some(([10, 0, 0, 1], 1).into()))
        };
        let task = tokio::spawn(run(receiver, to, once));
        assert_eq!(next(&mut asked).await, [None]);
        for _ in 0..4 {
            assert_eq!(next(&mut asked).await, [Some(1)]);
        }
        task.abort();
    }
}
