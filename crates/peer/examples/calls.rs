//! Measures calls between two nodes on the loopback interface: plain, and with TLS.
//!
//! `cargo run --release -p peer --example calls`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a developer's tool: it prints, and whatever fails ends it"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use catalog::{Claim, Refusal};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use model::{BootId, Incarnation, NodeId, StorageId};
use peer::pki::{Authority, Holder};
use peer::{
    Admission, Caller, ClusterKey, ClusterKeys, PeerOptions, Peers, Security, Service, Services,
    Target,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);
const ROUND_TRIPS: usize = 20_000;
const SMALL_CALLS: usize = 200_000;
const BULK_BYTES: usize = 4 << 30;

#[tokio::main]
async fn main() {
    let authority = Authority::generate().unwrap();
    let key = ClusterKeys::one(ClusterKey::generate().unwrap());
    println!("| | plain | TLS 1.3 |");
    println!("|---|---|---|");
    let plain = measure(|_| Security::loopback()).await;
    let tls = measure(|id| security(&authority, id).with_keys(key.clone())).await;
    for ((what, plain), (_, tls)) in plain.into_iter().zip(tls) {
        println!("| {what} | {plain} | {tls} |");
    }
}

async fn measure(security: impl Fn(NodeId) -> Security) -> Vec<(&'static str, String)> {
    let [one, two] = [NodeId(1), NodeId(2)];
    let server = Peers::new(PeerOptions::new(security(two), 2), Arc::new(Member(two)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.serve(listener, Arc::new(Echo)).unwrap();
    let target = Target::node(two, address.to_string());

    let dialled = Instant::now();
    let client = Peers::new(PeerOptions::new(security(one), 1), Arc::new(Member(one)));
    client.who(&target, PATIENCE).await.unwrap();
    let meeting = dialled.elapsed();

    let mut rows = vec![("connect and handshake", format!("{meeting:.1?}"))];
    let trips = round_trips(&client, &target).await;
    rows.push(("round trip, p50", format!("{:.1?}", trips[ROUND_TRIPS / 2])));
    rows.push((
        "round trip, p99",
        format!("{:.1?}", trips[ROUND_TRIPS * 99 / 100]),
    ));
    let rate = small_calls(&client, &target).await;
    rows.push((
        "calls of 100 bytes, 64 at once",
        format!("{:.0} k/s", rate / 1e3),
    ));
    for (what, bytes) in [
        ("requests of 64 KiB, 16 at once", 64 << 10),
        ("requests of 1 MiB, 16 at once", 1 << 20),
    ] {
        let rate = bulk(&client, &target, bytes).await;
        rows.push((what, format!("{rate:.0} MiB/s")));
    }
    client.close(PATIENCE).await;
    server.close(PATIENCE).await;
    rows
}

/// One call after the other, from the quickest to the slowest.
async fn round_trips(client: &Peers, target: &Target) -> Vec<Duration> {
    let mut trips = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let started = Instant::now();
        call(client, target, Bytes::from_static(&[7; 100])).await;
        trips.push(started.elapsed());
    }
    trips.sort_unstable();
    trips
}

/// Calls per second.
async fn small_calls(client: &Peers, target: &Target) -> f64 {
    let started = Instant::now();
    at_once(
        client,
        target,
        64,
        SMALL_CALLS,
        Bytes::from_static(&[7; 100]),
    )
    .await;
    SMALL_CALLS as f64 / started.elapsed().as_secs_f64()
}

/// MiB per second, one way.
async fn bulk(client: &Peers, target: &Target, bytes: usize) -> f64 {
    let started = Instant::now();
    let body = Bytes::from(vec![7; bytes]);
    at_once(client, target, 16, BULK_BYTES / bytes, body).await;
    BULK_BYTES as f64 / f64::from(1 << 20) / started.elapsed().as_secs_f64()
}

async fn at_once(client: &Peers, target: &Target, callers: usize, calls: usize, body: Bytes) {
    let callers = (0..callers).map(|_| {
        let (client, target, body) = (client.clone(), target.clone(), body.clone());
        tokio::spawn(async move {
            for _ in 0..calls / callers {
                call(&client, &target, body.clone()).await;
            }
        })
    });
    for ended in join_all(callers).await {
        ended.unwrap();
    }
}

async fn call(client: &Peers, target: &Target, body: Bytes) {
    let answer = client.call(target, Service::Broker, body, PATIENCE);
    answer.await.unwrap();
}

fn security(authority: &Authority, id: NodeId) -> Security {
    let identity = authority.issue(Holder::Node(id)).unwrap();
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let chain = vec![certificate(&identity.certificate)];
    Security::tls(vec![certificate(authority.certificate())], chain, key).unwrap()
}

/// Answers small requests with the same, large ones with nothing.
struct Echo;

impl Services for Echo {
    fn handle(&self, _: Caller, _: Service, body: Bytes) -> BoxFuture<'_, Bytes> {
        let answer = if body.len() > 1000 {
            Bytes::new()
        } else {
            body
        };
        async move { answer }.boxed()
    }
}

struct Member(NodeId);

impl Admission for Member {
    fn claim(&self) -> Claim {
        Claim {
            cluster: None,
            id: Some(self.0),
            storage: StorageId::from_bytes([1; 16]),
            boot: BootId::from_bytes([2; 16]),
            known_boots: vec![],
            incarnation: Incarnation(1),
        }
    }

    fn admit(&self, _: &Claim) -> Result<(), Refusal> {
        Ok(())
    }
}
