//! Gossip over real sockets on this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use model::{BootId, ClusterId, Incarnation, Instant, NodeId, Timestamp};
use parking_lot::Mutex;
use peer::membership::{
    Clock, Exchange, Gossip, GossipOptions, Liveness, MemberId, Membership, Profile,
};
use peer::{ClusterKey, ClusterKeys};
use test_support::eventually;
use tokio::net::UdpSocket;

const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster of gossips in one process; calls between them go by hand.
#[derive(Default)]
struct Cluster {
    calls: Calls,
    roster: Vec<(NodeId, String)>,
}

#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Process>>>);

type Process = (NodeId, Arc<Gossip>);

struct SystemClock(std::time::Instant);

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::ZERO.after(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap()).unwrap()
    }
}

impl Exchange for Calls {
    fn exchange(&self, with: NodeId, body: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let all = self.0.lock();
        let found = all.iter().rev().find(|(node, _)| *node == with);
        let other = found.map(|(_, gossip)| Arc::clone(gossip));
        async move { other?.answer(body).await }.boxed()
    }
}

impl Cluster {
    /// Starts a process of a node and tells everybody where it is.
    async fn start(
        &mut self,
        node: u16,
        incarnation: u64,
        keys: Option<ClusterKeys>,
    ) -> Arc<Gossip> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let me = MemberId {
            node: NodeId(node),
            incarnation: Incarnation(incarnation),
            boot: BootId::from_bytes(
                (u128::from(node) << 64 | u128::from(incarnation)).to_be_bytes(),
            ),
            renewals: 0,
            address,
        };
        let options = GossipOptions {
            me,
            cluster: ClusterId::from_bytes([1; 16]),
            keys,
            profile: Profile::FAST,
            seed: u64::from(node),
        };
        let clock = Arc::new(SystemClock(std::time::Instant::now()));
        let gossip = Arc::new(Gossip::start(
            options,
            socket,
            clock,
            Arc::new(self.calls.clone()),
        ));
        self.calls
            .0
            .lock()
            .push((NodeId(node), Arc::clone(&gossip)));
        self.roster.retain(|(known, _)| *known != NodeId(node));
        self.roster.push((NodeId(node), address.to_string()));
        for (_, gossip) in self.calls.0.lock().iter() {
            gossip.set_roster(self.roster.clone());
        }
        gossip
    }

    fn stop(&self, gossip: Arc<Gossip>) {
        self.calls
            .0
            .lock()
            .retain(|(_, kept)| !Arc::ptr_eq(kept, &gossip));
        assert_eq!(Arc::strong_count(&gossip), 1);
    }
}

fn keys(of: &[u8]) -> Option<ClusterKeys> {
    let keys = of.iter().map(|byte| ClusterKey::from_bytes([*byte; 32]));
    Some(ClusterKeys::new(keys.collect()).unwrap())
}

/// Waits until each of these sees this of a node.
async fn all_see(gossips: &[&Arc<Gossip>], node: u16, liveness: Liveness) {
    let gossips: Vec<Arc<Gossip>> = gossips.iter().map(|gossip| Arc::clone(gossip)).collect();
    let what = format!("node {node} {}", liveness.as_str());
    let wait = move || {
        eventually(&what, PATIENCE, || {
            gossips
                .iter()
                .all(|gossip| gossip.view().liveness(NodeId(node)) == liveness)
        });
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_see_each_other_come_and_go() {
    let mut cluster = Cluster::default();
    let first = cluster.start(0, 1, None).await;
    let second = cluster.start(1, 1, None).await;
    let third = cluster.start(2, 1, None).await;
    for node in 0..3 {
        all_see(&[&first, &second, &third], node, Liveness::Alive).await;
    }
    let seen = *first.view().get(NodeId(1)).unwrap();
    assert_eq!(seen.row.incarnation, Some(Incarnation(1)));
    assert!(seen.since > Timestamp::default());
    let measured = || {
        first
            .view()
            .get(NodeId(1))
            .unwrap()
            .row
            .round_trip
            .is_some()
    };
    eventually("a round trip", PATIENCE, measured);

    // One dies and comes back, one leaves.
    cluster.stop(third);
    all_see(&[&first, &second], 2, Liveness::Down).await;
    let third = cluster.start(2, 2, None).await;
    all_see(&[&first, &second], 2, Liveness::Alive).await;
    all_see(&[&third], 0, Liveness::Alive).await;
    second.close().await;
    all_see(&[&first, &third], 1, Liveness::Down).await;
    let counters = first.counters();
    assert!(counters.bytes_sent > 0 && counters.bytes_received > 0);
    assert_eq!(
        counters.datagrams.forged + counters.datagrams.unknown_key,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_shut_others_out_and_can_be_changed() {
    let mut cluster = Cluster::default();
    let first = cluster.start(0, 1, keys(&[1])).await;
    let second = cluster.start(1, 1, keys(&[1])).await;
    let other = cluster.start(2, 1, keys(&[2])).await;
    all_see(&[&first], 1, Liveness::Alive).await;
    all_see(&[&second], 0, Liveness::Alive).await;
    eventually("shut out", PATIENCE, || {
        first.counters().datagrams.unknown_key > 0
    });
    all_see(&[&first, &second], 2, Liveness::NeverSeen).await;

    // One at a time: first all open the new key, then all seal with it.
    first.set_keys(keys(&[1, 2])).await;
    second.set_keys(keys(&[1, 2])).await;
    first.set_keys(keys(&[2, 1])).await;
    second.set_keys(keys(&[2, 1])).await;
    for node in 0..3 {
        all_see(&[&first, &second, &other], node, Liveness::Alive).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_earlier_of_two_processes_is_told_to_end() {
    let mut cluster = Cluster::default();
    let first = cluster.start(0, 1, None).await;
    let earlier = cluster.start(1, 1, None).await;
    all_see(&[&first], 1, Liveness::Alive).await;
    all_see(&[&earlier], 0, Liveness::Alive).await;
    let mut bell = earlier.watch();
    let _later = cluster.start(1, 2, None).await;
    let fenced = bell.wait_for(|view| view.fenced_by.is_some());
    let view = tokio::time::timeout(PATIENCE, fenced)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert_eq!(view.fenced_by.unwrap().incarnation, Incarnation(2));
    assert_eq!(earlier.answer(Bytes::from_static(&[1; 9])).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_dropped_without_a_word() {
    let mut cluster = Cluster::default();
    let gossip = cluster.start(0, 1, keys(&[1])).await;
    let address: SocketAddr = cluster.roster[0].1.parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in [0, 1, 7, 71, 1400, 1401, 9000] {
        socket.send_to(&vec![b'H'; length], address).await.unwrap();
    }
    eventually("counted", PATIENCE, || {
        gossip.counters().datagrams.foreign >= 7
    });
    assert_eq!(gossip.answer(Bytes::from_static(b"garbage")).await, None);
    let mut buffer = [0; 16];
    let said = socket.try_recv_from(&mut buffer);
    assert_eq!(said.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
