//! What all clones of a broker share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use model::limits::DISK_READS_MAX;
use model::{BootId, Instant, StorageId, Timestamp, TopicId};
use parking_lot::Mutex;
use seglog::{Health, Store};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::api::{BrokerOptions, Counters, NodeStatus, TopicSettings};
use crate::budget::Budget;
use crate::counts::Counts;
use crate::error::FetchError;
use crate::fresh::Fresh;
use crate::group::Groups;
use crate::metadata::Metadata;
use crate::partition::Partition;
use crate::producer_ids::ProducerIds;
use crate::reconcile::{Made, Reconciler};
use crate::remote::Remote;
use crate::seams::{Clock, Cluster, Entropy};
use crate::standing::Standing;
use crate::topics::Topics;
use crate::wake::Wake;

/// A running broker.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cluster: Arc<dyn Cluster>,
    /// What other nodes hold.
    pub(crate) remote: Remote,
    pub(crate) reconciler: Reconciler,
    /// Whether anything may be acknowledged.
    pub(crate) standing: Standing,
    pub(crate) metadata: Metadata,
    pub(crate) options: BrokerOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) makers: Makers,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) budget: Budget,
    /// Partitions that idempotent producers write to.
    pub(crate) with_producers: Mutex<Vec<Weak<Partition>>>,
    /// Bytes that a restart now would read to learn what producers wrote.
    pub(crate) unsaved_bytes: AtomicU64,
    pub(crate) save_now: Notify,
    storage_id: StorageId,
    started: (Timestamp, Instant),
    disk_reads: Arc<Semaphore>,
    /// Nobody waits any more.
    closed: AtomicBool,
    /// Everything is on the disk.
    saved_all: AtomicBool,
}

/// What a new topic or partition needs from the node.
#[derive(Debug, Clone)]
pub(crate) struct Makers {
    pub(crate) counts: Arc<Counts>,
    pub(crate) topic_defaults: Arc<TopicSettings>,
    fresh_bytes: Arc<AtomicUsize>,
    runtime: Handle,
}

impl Makers {
    /// To be called on the runtime that the broker lives on.
    pub(crate) fn new(topic_defaults: TopicSettings) -> Self {
        Self {
            counts: Arc::default(),
            topic_defaults: Arc::new(topic_defaults),
            fresh_bytes: Arc::default(),
            runtime: Handle::current(),
        }
    }

    pub(crate) fn wake(&self) -> Arc<Wake> {
        Arc::new(Wake::new(self.runtime.clone(), Arc::clone(&self.counts)))
    }

    pub(crate) fn fresh(&self) -> Fresh {
        Fresh::new(Arc::clone(&self.fresh_bytes))
    }
}

/// The parts that were restored from the disk.
pub(crate) struct Restored {
    pub(crate) metadata: Metadata,
    pub(crate) storage_id: StorageId,
    pub(crate) boot: BootId,
    pub(crate) made: Made,
    pub(crate) groups: Groups,
}

/// What the broker was given of the world.
pub(crate) struct Seams {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Inner {
    pub(crate) fn new(
        restored: Restored,
        seams: Seams,
        options: BrokerOptions,
        makers: Makers,
    ) -> Self {
        let Seams {
            store,
            cluster,
            clock,
            entropy,
        } = seams;
        let started = (clock.wall(), clock.now());
        Self {
            store,
            remote: Remote::new(Arc::clone(&cluster), Arc::clone(&makers.counts)),
            reconciler: Reconciler::new(restored.made),
            standing: Standing::new(Arc::clone(&cluster), restored.storage_id, restored.boot),
            producer_ids: ProducerIds::new(Arc::clone(&cluster), restored.metadata.clone()),
            cluster,
            metadata: restored.metadata,
            options,
            clock,
            entropy,
            makers,
            topics: Topics::default(),
            groups: restored.groups,
            budget: Budget::new(),
            with_producers: Mutex::default(),
            unsaved_bytes: AtomicU64::new(0),
            save_now: Notify::new(),
            storage_id: restored.storage_id,
            started,
            disk_reads: Arc::new(Semaphore::new(DISK_READS_MAX)),
            closed: AtomicBool::new(false),
            saved_all: AtomicBool::new(false),
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.makers.counts
    }

    /// Whether the broker was closed: nobody waits any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Sends home who waits: readers, and those who asked the coordinator of groups.
    pub(crate) fn begin_close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.reconciler.stop();
        self.groups.stop();
        self.topics.all().iter().for_each(|topic| topic.wake.ring());
    }

    /// Closes the store, which finishes what was accepted, and writes what a quick start needs.
    /// Nothing uses the store any more when this returns.
    pub(crate) async fn close(&self) {
        let _no_change = self.reconciler.made.lock().await;
        let _no_read = self.disk_reads.acquire_many(DISK_READS_MAX as u32).await;
        // Those who stand in line behind this are sent home.
        self.disk_reads.close();
        if self.saved_all.swap(true, Ordering::SeqCst) {
            return;
        }
        let store = Arc::clone(&self.store);
        if tokio::task::spawn_blocking(move || store.close())
            .await
            .is_err()
        {
            tracing::error!("the store did not close cleanly");
        }
        self.save_producers().await;
        if let Err(error) = self.metadata.run(Metadata::close).await {
            tracing::warn!(?error, "hark.db was not merged at the end");
        }
    }

    /// Runs a read that may wait for the disk, off the async workers and not too many at once.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> T + Send + 'static,
    ) -> Result<T, FetchError> {
        let stopping = || FetchError::Io("the node is stopping".to_owned());
        let turn = Arc::clone(&self.disk_reads).acquire_owned().await;
        let turn = turn.map_err(|_| stopping())?;
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || {
            let answer = read(&*store);
            drop(store);
            // Last, for a close takes all turns to be sure that nobody reads.
            drop(turn);
            answer
        });
        done.await.map_err(|_| stopping())
    }

    /// A new identity.
    pub(crate) fn new_topic_id(&self) -> TopicId {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        TopicId::from_bytes(bytes)
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let topics = self.topics.all();
        let seats = || topics.iter().flat_map(|topic| &topic.seats);
        let catalog = self.cluster.catalog();
        let me = self.cluster.me();
        let storage_id = catalog.node(me).map(|node| node.storage);
        let (started, since) = self.started;
        NodeStatus {
            node: me,
            cluster: catalog.cluster(),
            storage_id: storage_id.unwrap_or(self.storage_id).to_string(),
            store: self.store.name(),
            health: self.health(),
            started,
            uptime: self.clock.now().since(since),
            topics: topics.len(),
            partitions: seats().count(),
            partitions_led: seats().filter(|seat| seat.led().is_some()).count(),
            groups: self.groups.count(),
            waits_for: self.standing.waits_for(),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counts().snapshot(self.budget.in_flight() as u64)
    }

    fn health(&self) -> Health {
        if self.is_closed() {
            Health::Failed("the node was stopped".to_owned())
        } else {
            self.store.health()
        }
    }
}
