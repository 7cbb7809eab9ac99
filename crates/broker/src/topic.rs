//! One topic and its partitions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::{NodeId, PartitionIndex, Timestamp, TopicId, TopicName};
use parking_lot::{Mutex, RwLock};

use crate::api::{EffectiveSettings, TopicDescription, TopicSettings};
use crate::partition::Partition;
use crate::seat::Seat;
use crate::settings::effective;
use crate::wake::Wake;

/// A sticky partition takes so many bytes of keyless records before the next one's turn.
const STICKY_BYTES: usize = 64 * 1024;

/// A topic that exists, or existed until a moment ago.
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) name: TopicName,
    pub(crate) created: Timestamp,
    pub(crate) seats: Box<[Seat]>,
    pub(crate) wake: Arc<Wake>,
    /// What the catalog says of it.
    agreed: RwLock<Arc<catalog::Topic>>,
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
    /// A topic of which nothing is in this node's store yet.
    pub(crate) fn new(
        agreed: Arc<catalog::Topic>,
        me: NodeId,
        defaults: Arc<TopicSettings>,
        wake: Arc<Wake>,
    ) -> Self {
        let states = (0..).map(PartitionIndex).zip(&agreed.partitions);
        let seats = states.map(|(index, state)| {
            let seat = Seat::new(index, state);
            seat.agree(state, me);
            seat
        });
        Self {
            id: agreed.id,
            name: agreed.name.clone(),
            created: agreed.created,
            seats: seats.collect(),
            wake,
            agreed: RwLock::new(agreed),
            defaults,
            deleted: AtomicBool::new(false),
            sticky: Mutex::default(),
            turn: AtomicU64::new(0),
        }
    }

    /// The partition of this number, wherever it is.
    pub(crate) fn seat(&self, index: PartitionIndex) -> Option<&Seat> {
        self.seats.get(usize::try_from(index.0).ok()?)
    }

    /// The partition of this number, if this node leads it.
    pub(crate) fn led(&self, index: PartitionIndex) -> Option<&Arc<Partition>> {
        self.seat(index)?.led()
    }

    /// The partitions in this node's store.
    pub(crate) fn here(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.seats.iter().filter_map(Seat::here)
    }

    /// Numbers of all partitions.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = PartitionIndex> {
        (0..self.partition_count()).map(PartitionIndex)
    }

    pub(crate) fn partition_count(&self) -> u32 {
        // At most PARTITIONS_PER_TOPIC_MAX.
        self.seats.len() as u32
    }

    /// What the catalog says of it.
    pub(crate) fn agreed(&self) -> Arc<catalog::Topic> {
        Arc::clone(&self.agreed.read())
    }

    /// Takes note of what the catalog says now, and tells readers whose partitions have moved.
    pub(crate) fn agree(&self, agreed: Arc<catalog::Topic>, me: NodeId) {
        for (seat, state) in self.seats.iter().zip(&agreed.partitions) {
            seat.agree(state, me);
        }
        *self.agreed.write() = agreed;
        self.wake.ring();
    }

    /// The settings that hold.
    pub(crate) fn effective(&self) -> EffectiveSettings {
        effective(&self.agreed.read().settings, &self.defaults)
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

    /// The topic as far as this node knows it.
    pub(crate) fn describe(&self) -> TopicDescription {
        let agreed = self.agreed();
        TopicDescription {
            name: self.name.clone(),
            id: self.id,
            mode: agreed.mode,
            created: self.created,
            effective: effective(&agreed.settings, &self.defaults),
            settings: agreed.settings.clone(),
            partitions: self.seats.iter().map(Seat::describe).collect(),
        }
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({} {})", self.name, self.id)
    }
}
