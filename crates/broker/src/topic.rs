//! One topic and its partitions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::{Mode, PartitionIndex, Timestamp, TopicId, TopicName};
use parking_lot::{Mutex, RwLock};

use crate::api::{EffectiveSettings, PartitionDescription, TopicDescription, TopicSettings};
use crate::partition::{LEADER_EPOCH, Partition};
use crate::wake::Wake;

/// A sticky partition takes so many bytes of keyless records before the next one's turn.
const STICKY_BYTES: usize = 64 * 1024;

/// A topic that exists, or existed until a moment ago.
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) name: TopicName,
    pub(crate) created: Timestamp,
    pub(crate) partitions: Box<[Arc<Partition>]>,
    pub(crate) wake: Arc<Wake>,
    settings: RwLock<TopicSettings>,
    /// The node's, for what the topic does not set.
    defaults: Arc<TopicSettings>,
    deleted: AtomicBool,
    sticky: Mutex<Sticky>,
    /// Counts reads, so that no partition is always first.
    turn: AtomicU64,
}

/// Where keyless records go.
#[derive(Debug, Default)]
struct Sticky {
    partition: u32,
    bytes: usize,
}

impl Topic {
    pub(crate) fn new(
        id: TopicId,
        name: TopicName,
        created: Timestamp,
        settings: (TopicSettings, Arc<TopicSettings>),
        wake: Arc<Wake>,
        partitions: Box<[Arc<Partition>]>,
    ) -> Self {
        let (settings, defaults) = settings;
        Self {
            id,
            name,
            created,
            partitions,
            wake,
            settings: RwLock::new(settings),
            defaults,
            deleted: AtomicBool::new(false),
            sticky: Mutex::default(),
            turn: AtomicU64::new(0),
        }
    }

    /// The partition of this number.
    pub(crate) fn partition(&self, index: PartitionIndex) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// Numbers of all partitions.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = PartitionIndex> {
        (0..self.partition_count()).map(PartitionIndex)
    }

    pub(crate) fn partition_count(&self) -> u32 {
        // At most PARTITIONS_PER_TOPIC_MAX.
        self.partitions.len() as u32
    }

    pub(crate) fn settings(&self) -> TopicSettings {
        self.settings.read().clone()
    }

    pub(crate) fn configure(&self, settings: TopicSettings) {
        *self.settings.write() = settings;
    }

    /// The settings that hold.
    pub(crate) fn effective(&self) -> EffectiveSettings {
        self.settings.read().over(&self.defaults)
    }

    /// The largest batch that the topic takes, in bytes.
    pub(crate) fn max_message_bytes(&self) -> usize {
        self.effective().max_message_bytes
    }

    /// Whether the topic is gone: readers that wait must stop.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::SeqCst)
    }

    /// Tells readers that the topic is gone.
    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::SeqCst);
        self.wake.ring();
    }

    /// The partition for a keyless record of `bytes`.
    pub(crate) fn sticky_partition(&self, bytes: usize) -> PartitionIndex {
        let mut sticky = self.sticky.lock();
        if sticky.bytes >= STICKY_BYTES {
            sticky.bytes = 0;
            sticky.partition = (sticky.partition + 1) % self.partition_count().max(1);
        }
        sticky.bytes += bytes;
        PartitionIndex(sticky.partition)
    }

    /// Which of `of` partitions a read begins with. Spread, so that two readers that take turns do
    /// not each always begin with the same ones.
    pub(crate) fn turn(&self, of: usize) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        // The golden ratio's multiples fill the range evenly.
        let spread = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(spread).unwrap_or(0) % of.max(1)
    }

    /// The topic as it is.
    pub(crate) fn describe(&self) -> TopicDescription {
        let partitions = self.partitions.iter();
        let settings = self.settings();
        TopicDescription {
            name: self.name.clone(),
            id: self.id,
            mode: Mode::Leader,
            created: self.created,
            effective: settings.over(&self.defaults),
            settings,
            partitions: partitions.map(|p| describe_partition(p)).collect(),
        }
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({} {})", self.name, self.id)
    }
}

/// A partition as it is.
pub(crate) fn describe_partition(partition: &Partition) -> PartitionDescription {
    PartitionDescription {
        index: partition.id.index,
        start: partition.start(),
        end: partition.end(),
        bytes: partition.bytes(),
        leader_epoch: LEADER_EPOCH,
    }
}
