//! Several brokers in one process over one catalog: agreement is a lock, and a call is a function.

mod member;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker::seams::{CallError, Cluster, OsEntropy, ProposeError, SystemClock};
use broker::{Broker, BrokerOptions};
use bytes::Bytes;
use catalog::{Addresses, Catalog, Claim, Command, Outcome, Registration};
use model::{BootId, ClusterId, Incarnation, NodeId, Site, StorageId, Timestamp};
use parking_lot::Mutex;
use seglog::Store;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use self::member::Member;
use crate::memory::MemoryStore;
use crate::node::options;

/// Answers up to this size never stand in line.
const SMALL_BYTES: usize = 64 * 1024;

/// What all nodes agree on, and how they reach each other.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
    /// Rung when answers that stood in line are on their way.
    gone: Notify,
}

#[derive(Debug)]
struct State {
    catalog: Arc<Catalog>,
    views: BTreeMap<NodeId, watch::Sender<Arc<Catalog>>>,
    brokers: BTreeMap<NodeId, Broker>,
    /// Nodes that nobody reaches, and that reach nobody.
    cut: BTreeSet<NodeId>,
    /// Nodes that take every question and never answer.
    mute: BTreeSet<NodeId>,
    /// Nodes that learn what was agreed on only when they ask.
    late: BTreeSet<NodeId>,
    /// So many answers of a node are lost, after it has done what was asked.
    lost_answers: BTreeMap<NodeId, usize>,
    /// Nodes that no majority answers.
    minority: BTreeSet<NodeId>,
    /// Nodes whose start is not registered yet.
    unregistered: BTreeSet<NodeId>,
    /// Nodes whose large answers stand in line until they are let go.
    congested: BTreeSet<NodeId>,
    standing: Vec<Bytes>,
    standing_bytes_max: usize,
    answer_bytes: usize,
    calls: usize,
}

/// A node of the cluster.
pub(crate) struct ClusterNode {
    pub(crate) id: NodeId,
    pub(crate) broker: Broker,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) dir: TempDir,
}

impl Hub {
    /// A cluster of this name that has no nodes yet.
    pub(crate) fn new(name: u8) -> Arc<Self> {
        let mut catalog = Catalog::default();
        let cluster = ClusterId::from_bytes([name; 16]);
        catalog.apply(&Command::Found { cluster }).unwrap();
        Arc::new(Self {
            state: Mutex::new(State {
                catalog: Arc::new(catalog),
                views: BTreeMap::new(),
                brokers: BTreeMap::new(),
                cut: BTreeSet::new(),
                mute: BTreeSet::new(),
                late: BTreeSet::new(),
                lost_answers: BTreeMap::new(),
                minority: BTreeSet::new(),
                unregistered: BTreeSet::new(),
                congested: BTreeSet::new(),
                standing: Vec::new(),
                standing_bytes_max: 0,
                answer_bytes: 0,
                calls: 0,
            }),
            gone: Notify::new(),
        })
    }

    /// A cluster of so many nodes, numbered from 0.
    pub(crate) async fn of(nodes: u16) -> (Arc<Self>, Vec<ClusterNode>) {
        let hub = Self::new(1);
        (0..nodes).for_each(|id| hub.register(NodeId(id)));
        let mut started = Vec::new();
        for id in 0..nodes {
            started.push(hub.start(NodeId(id), options()).await);
        }
        (hub, started)
    }

    pub(crate) fn register(&self, id: NodeId) {
        let [low, high] = id.0.to_be_bytes();
        let identity = [low, high, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
        let registration = Registration {
            id: Some(id),
            site: Site::EVERYWHERE,
            storage: StorageId::from_bytes(identity),
            boot: BootId::from_bytes(identity),
            known_boots: Vec::new(),
            addresses: Addresses {
                peer: format!("node-{id}:7946"),
                http: format!("node-{id}:7070"),
            },
            rack: None,
            holder_is_alive: false,
            at: Timestamp::from_millis(0).unwrap(),
        };
        self.agree(&Command::Register(registration)).unwrap();
    }

    /// The cluster as this node sees it.
    pub(crate) fn member(self: &Arc<Self>, me: NodeId) -> Arc<dyn Cluster> {
        let mut state = self.state.lock();
        let newest = Arc::clone(&state.catalog);
        state
            .views
            .entry(me)
            .or_insert_with(|| watch::Sender::new(newest));
        Arc::new(Member {
            me,
            hub: Arc::clone(self),
        })
    }

    /// A broker of this node on an empty directory.
    pub(crate) async fn start(self: &Arc<Self>, id: NodeId, options: BrokerOptions) -> ClusterNode {
        let dir = tempfile::tempdir().unwrap();
        self.start_on(id, dir, MemoryStore::new(), options)
            .await
            .unwrap()
    }

    /// A broker of this node on what is there.
    pub(crate) async fn start_on(
        self: &Arc<Self>,
        id: NodeId,
        dir: TempDir,
        store: Arc<MemoryStore>,
        options: BrokerOptions,
    ) -> Result<ClusterNode, broker::OpenError> {
        let broker = self.open(id, &dir, store.clone(), options).await?;
        Ok(ClusterNode {
            id,
            broker,
            store,
            dir,
        })
    }

    /// The same on any store.
    pub(crate) async fn open(
        self: &Arc<Self>,
        id: NodeId,
        dir: &TempDir,
        store: Arc<dyn Store>,
        options: BrokerOptions,
    ) -> Result<Broker, broker::OpenError> {
        let registered = self.claim(id);
        let claim = Claim {
            incarnation: Incarnation(0),
            ..registered
        };
        broker::bind(dir.path(), &claim)?;
        self.open_bound(id, dir, store, options).await
    }

    /// The same where `hark.db` was seen to.
    pub(crate) async fn open_bound(
        self: &Arc<Self>,
        id: NodeId,
        dir: &TempDir,
        store: Arc<dyn Store>,
        options: BrokerOptions,
    ) -> Result<Broker, broker::OpenError> {
        let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(OsEntropy));
        let member = self.member(id);
        let broker = Broker::open(dir.path(), store, member, options, clock, entropy).await?;
        self.state.lock().brokers.insert(id, broker.clone());
        Ok(broker)
    }

    /// What a node as registered says of itself when it knows no earlier start.
    pub(crate) fn claim(&self, id: NodeId) -> Claim {
        let catalog = self.catalog();
        let node = catalog.node(id).unwrap();
        Claim {
            cluster: catalog.cluster(),
            id: Some(id),
            storage: node.storage,
            boot: node.boot,
            known_boots: Vec::new(),
            incarnation: node.incarnation,
        }
    }

    /// What the cluster agrees on now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.state.lock().catalog)
    }

    /// Nobody reaches this node any more, or everybody does again.
    pub(crate) fn cut(&self, id: NodeId, is_cut: bool) {
        let mut state = self.state.lock();
        if is_cut {
            state.cut.insert(id);
        } else {
            state.cut.remove(&id);
            state.tell(id);
        }
    }

    /// The node's process has ended.
    pub(crate) fn forget(&self, id: NodeId) {
        let mut state = self.state.lock();
        state.brokers.remove(&id);
        state.views.remove(&id);
    }

    /// From now on this node takes every question and never answers.
    pub(crate) fn mute(&self, id: NodeId) {
        self.state.lock().mute.insert(id);
    }

    /// From now on this node learns what was agreed on only when it asks, or at once again.
    pub(crate) fn make_late(&self, id: NodeId, is_late: bool) {
        let mut state = self.state.lock();
        if is_late {
            state.late.insert(id);
        } else {
            state.late.remove(&id);
            state.tell(id);
        }
    }

    /// The next answers of this node are lost, after it has done what was asked.
    pub(crate) fn lose_answers(&self, id: NodeId, count: usize) {
        self.state.lock().lost_answers.insert(id, count);
    }

    /// From now on no majority answers this node.
    pub(crate) fn leave_to_minority(&self, id: NodeId) {
        self.state.lock().minority.insert(id);
    }

    /// The start of this node waits to be registered, or is registered.
    pub(crate) fn wait_for_majority(&self, id: NodeId, waits: bool) {
        let mut state = self.state.lock();
        if waits {
            state.unregistered.insert(id);
        } else {
            state.unregistered.remove(&id);
        }
    }

    /// From now on large answers of this node stand in line until they are let go.
    pub(crate) fn congest(&self, id: NodeId) {
        self.state.lock().congested.insert(id);
    }

    /// Lets go what stands in line. Gives its bytes.
    pub(crate) fn let_go(&self) -> usize {
        let gone = std::mem::take(&mut self.state.lock().standing);
        let bytes = gone.iter().map(Bytes::len).sum();
        drop(gone);
        self.gone.notify_waiters();
        bytes
    }

    /// The most bytes that ever stood in line.
    pub(crate) fn standing_bytes_max(&self) -> usize {
        self.state.lock().standing_bytes_max
    }

    /// Bytes of all answers so far.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.state.lock().answer_bytes
    }

    /// An answer on its way, like one on a connection: what arrives is a copy.
    async fn send(&self, from: NodeId, answer: Bytes) -> Bytes {
        let copy = Bytes::copy_from_slice(&answer);
        let gone = self.gone.notified();
        let stands = self.state.lock().push(from, answer);
        if stands {
            gone.await;
        }
        copy
    }

    /// How often brokers have asked each other.
    pub(crate) fn calls(&self) -> usize {
        self.state.lock().calls
    }

    pub(crate) fn agree(&self, command: &Command) -> Result<Outcome, ProposeError> {
        let mut state = self.state.lock();
        let mut catalog = Catalog::clone(&state.catalog);
        let outcome = catalog.apply(command)?;
        state.catalog = Arc::new(catalog);
        let ids: Vec<NodeId> = state.views.keys().copied().collect();
        for id in ids {
            if !state.cut.contains(&id) && !state.late.contains(&id) {
                state.tell(id);
            }
        }
        Ok(outcome)
    }
}

impl State {
    fn tell(&mut self, id: NodeId) {
        if let Some(view) = self.views.get(&id) {
            view.send_replace(Arc::clone(&self.catalog));
        }
    }

    /// Whom a call reaches.
    fn reached(&mut self, from: NodeId, to: NodeId) -> Result<Broker, CallError> {
        self.calls += 1;
        let broker = self.brokers.get(&to).cloned();
        let broker = broker.filter(|_| !self.cut.contains(&from) && !self.cut.contains(&to));
        broker.ok_or_else(|| CallError::Unreachable(format!("node {to} is cut off")))
    }

    /// Whether the answer stands in line now.
    fn push(&mut self, from: NodeId, answer: Bytes) -> bool {
        self.answer_bytes += answer.len();
        if answer.len() <= SMALL_BYTES || !self.congested.contains(&from) {
            return false;
        }
        self.standing.push(answer);
        let bytes = self.standing.iter().map(Bytes::len).sum();
        self.standing_bytes_max = self.standing_bytes_max.max(bytes);
        true
    }

    fn loses_answer(&mut self, of: NodeId) -> bool {
        let left = self.lost_answers.entry(of).or_default();
        let is_lost = *left > 0;
        *left = left.saturating_sub(1);
        is_lost
    }
}
