//! The membership over UDP.

mod counters;
mod resolve;
mod run;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use model::limits::MEMBERSHIP_REQUESTS_MAX;
use model::{ClusterId, Instant, NodeId, Timestamp};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use counters::GossipCounters;

use super::{MemberId, MemberView, Membership, Profile};
use crate::ClusterKeys;

/// What a gossip is started with.
#[derive(Debug)]
pub struct GossipOptions {
    /// This process. Its incarnation is that of a registration that the catalog has confirmed.
    pub me: MemberId,
    /// The cluster.
    pub cluster: ClusterId,
    /// The keys of the cluster; without, datagrams protect from accidents only, and only those from the
    /// same machine are taken.
    pub keys: Option<ClusterKeys>,
    /// The times.
    pub profile: Profile,
    /// For choices among members.
    pub seed: u64,
}

/// Both kinds of time.
pub trait Clock: Send + Sync + 'static {
    /// The monotonic clock, the same for the whole node.
    fn now(&self) -> Instant;

    /// The civil clock.
    fn wall(&self) -> Timestamp;
}

/// Calls another node's service `MemberSync`.
pub trait Exchange: Send + Sync + 'static {
    /// Sends `body`, and brings the answer; `None` when there is none soon.
    fn exchange(&self, with: NodeId, body: Bytes) -> BoxFuture<'static, Option<Bytes>>;
}

/// A running membership.
pub struct Gossip {
    requests: mpsc::Sender<Request>,
    roster: watch::Sender<Vec<(NodeId, String)>>,
    view: watch::Receiver<Arc<MemberView>>,
    counters: Arc<Mutex<GossipCounters>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the rest of the node asks of the running membership.
#[derive(Debug)]
enum Request {
    Roster(Vec<super::Listed>),
    Asked(Bytes, oneshot::Sender<Option<Bytes>>),
    Link { node: NodeId, works: bool },
    Keys(Option<ClusterKeys>),
    Leave,
}

impl Gossip {
    /// Starts, over this socket. Nobody is heard before the first roster.
    #[must_use]
    pub fn start(
        options: GossipOptions,
        socket: UdpSocket,
        clock: Arc<dyn Clock>,
        exchange: Arc<dyn Exchange>,
    ) -> Self {
        let (requests, incoming) = mpsc::channel(MEMBERSHIP_REQUESTS_MAX);
        let (roster, rosters) = watch::channel(Vec::new());
        let (publish, view) = watch::channel(Arc::default());
        let counters = Arc::default();
        let resolver = resolve::run(rosters, requests.clone(), resolve::look_up);
        let shared = run::Shared {
            publish,
            counters: Arc::clone(&counters),
            clock,
            exchange,
        };
        let run = run::run(options, socket, shared, incoming);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = run => {}
                () = resolver => {}
            }
        });
        Self {
            requests,
            roster,
            view,
            counters,
            task: Mutex::new(Some(task)),
        }
    }

    /// Answers another node's call of the service `MemberSync`. `None`: it was no such call, or the
    /// membership has ended.
    pub async fn answer(&self, body: Bytes) -> Option<Bytes> {
        let (answer, answered) = oneshot::channel();
        self.requests
            .send(Request::Asked(body, answer))
            .await
            .ok()?;
        answered.await.ok().flatten()
    }

    /// Other keys from now on.
    pub async fn set_keys(&self, keys: Option<ClusterKeys>) {
        let _ = self.requests.send(Request::Keys(keys)).await;
    }

    /// What became of all datagrams, messages and claims so far.
    #[must_use]
    pub fn counters(&self) -> GossipCounters {
        *self.counters.lock()
    }

    /// Tells the others that this node leaves, and ends. The view stays as it was.
    pub async fn close(&self) {
        let _ = self.requests.send(Request::Leave).await;
        let task = self.task.lock().take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

impl Membership for Gossip {
    fn view(&self) -> Arc<MemberView> {
        Arc::clone(&self.view.borrow())
    }

    fn watch(&self) -> watch::Receiver<Arc<MemberView>> {
        self.view.clone()
    }

    fn set_roster(&self, roster: Vec<(NodeId, String)>) {
        self.roster.send_if_modified(|known| {
            let is_new = *known != roster;
            *known = roster;
            is_new
        });
    }

    /// A report that finds the queue full is lost; the next call on that link makes another.
    fn report_link(&self, node: NodeId, works: bool) {
        let _ = self.requests.try_send(Request::Link { node, works });
    }
}

impl fmt::Debug for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gossip")
            .field("view", &self.view.borrow())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}
