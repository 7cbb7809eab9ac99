//! One partition: where it begins and ends, what has not settled yet, and its segments.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::{Offset, PartitionId};
use parking_lot::Mutex;

use crate::{AppendError, Bounds, PartitionSettings};

use super::queue::Change;
use super::segment::Segment;
use super::stored::{Stored, StoredHeader};

/// The directory of all partitions' directories.
pub(super) const PARTITIONS_DIR: &str = "partitions";

/// One partition of the log.
pub(super) struct Partition {
    pub(super) id: PartitionId,
    pub(super) state: Mutex<State>,
    queued: Queued,
}

/// What was promised to the queue. Only read and written under the queue's lock, which is what
/// orders these accesses.
#[derive(Default)]
struct Queued {
    /// One past the last record queued.
    end: AtomicU64,
    /// One past the last record handed to the journal.
    taken: AtomicU64,
    dropping: AtomicBool,
}

/// What readers see.
pub(super) struct State {
    pub(super) settings: PartitionSettings,
    /// First offset kept.
    pub(super) start: Offset,
    /// One past the last durable record.
    pub(super) end: Offset,
    /// One past the last record in segments.
    pub(super) settled: Offset,
    /// Durable batches from `settled` on, held in memory until they have settled.
    pub(super) tail: VecDeque<TailEntry>,
    pub(super) segments: BTreeMap<Offset, Arc<Segment>>,
    /// Nothing of it is to be written any more.
    pub(super) dropped: bool,
    /// Its directory exists.
    pub(super) has_directory: bool,
}

/// A batch in memory and the group that made it durable.
pub(super) struct TailEntry {
    pub(super) sequence: u64,
    pub(super) stored: Stored,
}

/// Path of a partition's directory.
pub(super) fn directory(id: PartitionId) -> String {
    format!("{PARTITIONS_DIR}/{id}")
}

impl Partition {
    /// An empty partition, or one that ends at `settled` with segments still to be added.
    pub(super) fn new(id: PartitionId, settings: PartitionSettings, settled: Offset) -> Self {
        let state = State {
            settings,
            start: Offset::ZERO,
            end: settled,
            settled,
            tail: VecDeque::new(),
            segments: BTreeMap::new(),
            dropped: false,
            has_directory: false,
        };
        let partition = Self {
            id,
            state: Mutex::new(state),
            queued: Queued::default(),
        };
        partition.queue_from(settled);
        partition
    }

    /// Appends continue here; for a start.
    pub(super) fn queue_from(&self, end: Offset) {
        self.queued.end.store(end.get(), Ordering::Relaxed);
        self.queued.taken.store(end.get(), Ordering::Relaxed);
    }

    /// Lets a batch into the queue if it continues the partition.
    pub(super) fn continue_queue(&self, header: &StoredHeader) -> Result<(), AppendError> {
        if self.queued.dropping.load(Ordering::Relaxed) {
            return Err(AppendError::NoPartition);
        }
        let expected = Offset::new(self.queued.end.load(Ordering::Relaxed)).unwrap_or(Offset::MAX);
        if header.base != expected {
            return Err(AppendError::OutOfOrder {
                expected,
                given: header.base,
            });
        }
        self.queued
            .end
            .store(header.next().get(), Ordering::Relaxed);
        Ok(())
    }

    /// Lets no more appends into the queue; false when that was so already.
    pub(super) fn begin_drop(&self) -> bool {
        !self.queued.dropping.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_dropping(&self) -> bool {
        self.queued.dropping.load(Ordering::Relaxed)
    }

    /// A change leaves the queue for the journal.
    pub(super) fn taken(&self, change: &Change) {
        if let Change::Append(stored) = change {
            self.queued
                .taken
                .store(stored.header.next().get(), Ordering::Relaxed);
        }
    }

    /// A change leaves the queue unmade: the next append continues what the journal has.
    pub(super) fn roll_back(&self, change: &Change) {
        match change {
            Change::Append(_) => {
                let taken = self.queued.taken.load(Ordering::Relaxed);
                self.queued.end.store(taken, Ordering::Relaxed);
            }
            Change::Drop => self.queued.dropping.store(false, Ordering::Relaxed),
            Change::Create(_) | Change::Start(_) => {}
        }
    }
}

impl State {
    pub(super) const fn bounds(&self) -> Bounds {
        Bounds {
            start: self.start,
            end: self.end,
        }
    }

    /// Makes a durable batch readable.
    pub(super) fn commit(&mut self, sequence: u64, stored: Stored) {
        if self.dropped {
            return;
        }
        self.end = stored.header.next();
        self.tail.push_back(TailEntry { sequence, stored });
    }

    /// Forgets the first `count` batches in memory: they are in segments now.
    pub(super) fn settle(&mut self, count: usize) {
        if let Some(last) = count.checked_sub(1).and_then(|last| self.tail.get(last)) {
            self.settled = last.stored.header.next();
        }
        self.tail.drain(..count.min(self.tail.len()));
        if self.tail.is_empty() {
            // A partition that is written to rarely must not hold on to its busiest moment.
            self.tail.shrink_to(16);
        }
    }

    /// Bytes in segments and in memory.
    pub(super) fn size(&self) -> u64 {
        let (mut settled, mut end) = (0, Offset::ZERO);
        for extent in self.segments.values().map(|segment| segment.extent()) {
            settled += extent.bytes;
            end = extent.end;
        }
        // For a moment what is being settled is in both.
        let tail = self.tail.iter().map(|entry| &entry.stored.header);
        let tail = tail.filter(|header| header.base >= end);
        settled + tail.map(StoredHeader::stored_bytes).sum::<u64>()
    }

    /// Takes out the segments that lie wholly below the start, never the newest.
    pub(super) fn take_below_start(&mut self) -> Vec<Arc<Segment>> {
        let mut taken = Vec::new();
        while self.segments.len() > 1
            && let Some(first) = self.segments.first_entry()
            && first.get().extent().end <= self.start
        {
            taken.push(first.remove());
        }
        taken
    }
}
