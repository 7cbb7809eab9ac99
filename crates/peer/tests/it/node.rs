//! A node as small as can be: it answers what the tests ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use catalog::{Claim, Refusal};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use model::{BootId, ClusterId, Incarnation, NodeId, StorageId};
use parking_lot::Mutex;
use peer::{
    Admission, CallError, Caller, PeerOptions, PeerTimings, Peers, Rejection, RejectionCode,
    Security, Service, Services, Side, Target,
};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Node {
    pub(crate) peers: Peers,
    pub(crate) identity: Arc<Identity>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) address: String,
}

impl Node {
    /// Listens on a free port.
    pub(crate) async fn start(claim: Claim, security: Security) -> Self {
        Self::start_at("127.0.0.1:0", claim, security).await
    }

    pub(crate) async fn start_at(address: &str, claim: Claim, security: Security) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        Self::build(listener, timings(), claim, security)
    }

    pub(crate) async fn start_with(timings: PeerTimings, claim: Claim, security: Security) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::build(listener, timings, claim, security)
    }

    fn build(
        listener: TcpListener,
        timings: PeerTimings,
        claim: Claim,
        security: Security,
    ) -> Self {
        let identity = Identity::new(claim);
        let options = PeerOptions {
            timings,
            ..PeerOptions::new(security, 1)
        };
        let peers = Peers::new(options, Arc::clone(&identity) as Arc<dyn Admission>);
        let desk = Arc::new(Desk::default());
        let address = peers.serve(listener, Arc::clone(&desk) as Arc<dyn Services>);
        Self {
            peers,
            identity,
            desk,
            address: address.unwrap().to_string(),
        }
    }

    /// The node with this id, without TLS.
    pub(crate) async fn plain(id: u16) -> Self {
        Self::start(claim(id), Security::loopback()).await
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            address: self.address.clone(),
            expect: self.identity.claim().id,
        }
    }

    pub(crate) async fn ask(&self, other: &Self, words: &str) -> Result<Bytes, CallError> {
        self.ask_within(other, words, PATIENCE).await
    }

    pub(crate) async fn ask_within(
        &self,
        other: &Self,
        words: &str,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        self.ask_at(&other.target(), words, deadline).await
    }

    pub(crate) async fn ask_at(
        &self,
        target: &Target,
        words: &str,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let words = Bytes::copy_from_slice(words.as_bytes());
        self.peers
            .call(target, Service::Broker, words, deadline)
            .await
    }

    /// Asks in a task of its own.
    pub(crate) fn begin_to_ask(
        &self,
        other: &Self,
        words: &str,
    ) -> JoinHandle<Result<Bytes, CallError>> {
        let (peers, target) = (self.peers.clone(), other.target());
        let words = Bytes::copy_from_slice(words.as_bytes());
        tokio::spawn(async move { peers.call(&target, Service::Broker, words, PATIENCE).await })
    }
}

pub(crate) fn timings() -> PeerTimings {
    PeerTimings {
        handshake: Duration::from_millis(500),
        ping: Duration::from_millis(50),
        silence: Duration::from_secs(2),
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        ..PeerTimings::default()
    }
}

/// A node of the cluster of all tests, in its first start.
pub(crate) fn claim(id: u16) -> Claim {
    let [high, low] = id.to_be_bytes();
    Claim {
        cluster: Some(ClusterId::from_bytes([0xC1; 16])),
        id: Some(NodeId(id)),
        storage: StorageId::from_bytes([high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]),
        boot: BootId::from_bytes([high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        known_boots: vec![],
        incarnation: Incarnation(1),
    }
}

/// A process that has not joined a cluster.
pub(crate) fn stranger() -> Claim {
    Claim {
        cluster: None,
        id: None,
        ..claim(999)
    }
}

type Judge = Box<dyn Fn(&Claim) -> Result<(), Refusal> + Send + Sync>;

/// Who a node is, and whom it admits; tests change both.
pub(crate) struct Identity {
    claim: Mutex<Claim>,
    judge: Mutex<Judge>,
}

impl Identity {
    pub(crate) fn new(claim: Claim) -> Arc<Self> {
        Arc::new(Self {
            claim: Mutex::new(claim),
            judge: Mutex::new(Box::new(|_| Ok(()))),
        })
    }

    pub(crate) fn become_known_as(&self, claim: Claim) {
        *self.claim.lock() = claim;
    }

    pub(crate) fn admit_only(
        &self,
        judge: impl Fn(&Claim) -> Result<(), Refusal> + Send + Sync + 'static,
    ) {
        *self.judge.lock() = Box::new(judge);
    }
}

impl Admission for Identity {
    fn claim(&self) -> Claim {
        self.claim.lock().clone()
    }

    fn admit(&self, claim: &Claim) -> Result<(), Refusal> {
        (self.judge.lock())(claim)
    }
}

/// Answers words with words:
///
/// - `count`: with the number of bytes;
/// - `wait`: once the gate is opened, with the rest;
/// - `give`: once the gate is opened, with so many bytes;
/// - `panic`: not at all;
/// - `whoami`: with the caller's id;
/// - `maybe`: with whether the caller may have the id that follows;
/// - else: with the same.
pub(crate) struct Desk {
    pub(crate) gate: Semaphore,
    pub(crate) at_work: AtomicUsize,
    pub(crate) seen: AtomicUsize,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            gate: Semaphore::new(0),
            at_work: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
        }
    }
}

impl Desk {
    pub(crate) fn at_work(&self) -> usize {
        self.at_work.load(Ordering::SeqCst)
    }
}

impl Services for Desk {
    fn handle(&self, from: Caller, _: Service, body: Bytes) -> BoxFuture<'_, Bytes> {
        self.seen.fetch_add(1, Ordering::SeqCst);
        async move {
            let _working = Working::begin(&self.at_work);
            if body.starts_with(b"count") {
                return Bytes::from(body.len().to_string());
            }
            if body.starts_with(b"wait") {
                self.gate.acquire().await.unwrap().forget();
                return body.slice(4..);
            }
            if let Some(count) = body.strip_prefix(b"give ") {
                let count = str::from_utf8(count).unwrap().parse().unwrap();
                self.gate.acquire().await.unwrap().forget();
                return Bytes::from(vec![0; count]);
            }
            assert!(!body.starts_with(b"panic"), "as the test wants");
            if body.starts_with(b"whoami") {
                return Bytes::from(format!("{:?}", from.node().map(|id| id.0)));
            }
            if let Some(id) = body.strip_prefix(b"maybe ") {
                let id: NodeId = str::from_utf8(id).unwrap().parse().unwrap();
                return Bytes::from(from.may_be(id).to_string());
            }
            body
        }
        .boxed()
    }
}

struct Working<'a>(&'a AtomicUsize);

impl<'a> Working<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits, without holding up the tasks of the test.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// That one of two did not want the other, for this reason.
pub(crate) fn assert_rejected<T: std::fmt::Debug>(
    outcome: Result<T, CallError>,
    code: RejectionCode,
    by: Side,
) -> Rejection {
    match outcome {
        Err(CallError::Refused(rejection)) => {
            assert_eq!((rejection.code, rejection.by), (code, by), "{rejection}");
            rejection
        }
        other => panic!("should be refused: {other:?}"),
    }
}
