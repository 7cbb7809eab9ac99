//! The log engine: one shared journal, segments settled behind it.
//!
//! Three steps carry every batch, each one function here, run by a thread each in [`LogStore`] and
//! in seeded order by the simulator:
//!
//! 1. [`Log::commit_step`]: what is queued becomes one group in the journal, one sync makes it
//!    durable, then it is readable and its `done`s are called.
//! 2. [`Log::settle_step`]: committed batches are written to their partitions' segments.
//! 3. [`Log::checkpoint_step`]: segments are synced, a checkpoint says what they hold, and the
//!    journal files that it covers are used again.
//!
//! Locks, in the order in which they may be taken: `checkpointing`, `settling`, `journal`, `queue`,
//! `partitions`, then one partition's state, then `garbage` or one segment's state. The first three
//! are held across disk I/O, and no reader and no `append` ever takes them.
//!
//! Where to start: `commit.rs`, `settle.rs`, `checkpoint.rs` are the steps; `recover.rs` is what a
//! start makes of what they left; `group.rs` and `stored.rs` say what the bytes mean.

mod backlog;
mod checkpoint;
mod close;
mod commit;
mod control;
mod files;
mod full;
mod group;
mod index;
mod journal;
mod options;
mod partition;
mod poison;
mod queue;
mod read;
mod recover;
mod retain;
mod scan;
mod segment;
mod settle;
mod stats;
mod stored;
mod threads;
mod time;
mod wake;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use model::{Offset, PartitionId, Timestamp};
use parking_lot::{Mutex, RwLock};
use wire::Batch;

use crate::{AppendError, Bounds, Disk, Done, Frame, Health, ReadError, Sealer, StoreError};

use self::backlog::Backlog;
use self::checkpoint::Checkpointing;
use self::files::Files;
use self::journal::Journal;
use self::partition::Partition;
use self::poison::Poison;
use self::queue::{Change, Item, Queue};
use self::retain::Garbage;
use self::settle::Settling;
use self::stored::Stored;
use self::wake::Wakes;

pub use options::LogOptions;
pub use stats::Stats;
pub use threads::LogStore;

/// What a step found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It did something; there may be more.
    Worked,
    /// There was nothing to do, or the log has stopped.
    Idle,
    /// There is something to do, but another step has to make room first, or the disk is full.
    Blocked,
}

/// The log without threads: whoever owns it calls the steps. Errors poison it inside; see
/// [`Log::health`].
pub struct Log {
    disk: Arc<dyn Disk>,
    options: LogOptions,
    sealer: Option<Arc<Sealer>>,
    partitions: RwLock<BTreeMap<PartitionId, Arc<Partition>>>,
    queue: Mutex<Queue>,
    journal: Mutex<Journal>,
    backlog: Mutex<Backlog>,
    settling: Mutex<Settling>,
    checkpointing: Mutex<Checkpointing>,
    garbage: Mutex<Garbage>,
    files: Files,
    /// Groups with a smaller sequence number are covered by the checkpoint.
    covered: AtomicU64,
    /// Sequence of the first group that this run may write.
    first_sequence: u64,
    poison: Poison,
    closed: AtomicBool,
    wakes: Wakes,
}

impl Log {
    /// Opens the log on a disk, makes an empty one if there is none, and brings it to the state in
    /// which every acknowledged change is there and the journal is empty.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Key`], [`StoreError::Damaged`] and
    /// [`StoreError::Format`] leave everything as it was found.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        sealer: Option<Arc<Sealer>>,
    ) -> Result<Self, StoreError> {
        recover::open(disk, options.checked(), sealer)
    }

    /// Queues a batch; see [`crate::Store::append`]. Sealing happens here, on the caller's thread.
    ///
    /// The queue itself has no bound: whoever appends counts its bytes in flight.
    pub fn append(
        &self,
        partition: PartitionId,
        batch: Batch,
        done: Done,
    ) -> Result<(), AppendError> {
        let known = self.partition(partition).ok_or(AppendError::NoPartition)?;
        let sealed = Frame::store(partition, batch, self.sealer.as_deref())
            .map_err(|error| AppendError::Stopped(error.to_string()))?;
        let stored = Stored::sound(sealed);
        let bytes = Bytes::len(stored.bytes());
        let bytes_max = self.options.frame_bytes_max();
        if bytes > bytes_max {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        let mut queue = self.queue.lock();
        queue.check_open()?;
        known.continue_queue(&stored.header)?;
        queue.push(Item {
            partition: known,
            change: Change::Append(stored),
            done: Some(done),
        });
        drop(queue);
        self.wakes.commit.notify();
        Ok(())
    }

    /// Whole batches from the one that holds `from`; see [`crate::Store::read`].
    pub fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Batch>, ReadError> {
        read::read(self, &*self.readable(partition)?, from, max_bytes)
    }

    /// The first batch that reaches `timestamp`; see [`crate::Store::find_time`].
    pub fn find_time(
        &self,
        partition: PartitionId,
        timestamp: Timestamp,
    ) -> Result<Option<Offset>, ReadError> {
        time::find(self, &*self.readable(partition)?, timestamp)
    }

    /// The first offset kept and the first not yet durable.
    pub fn bounds(&self, partition: PartitionId) -> Result<Bounds, ReadError> {
        Ok(self.readable(partition)?.state.lock().bounds())
    }

    /// Bytes of one partition in segments and in memory before them.
    pub fn size(&self, partition: PartitionId) -> Result<u64, ReadError> {
        Ok(self.readable(partition)?.state.lock().size())
    }

    /// Every partition that exists, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.read().keys().copied().collect()
    }

    /// Whether appends are taken.
    #[must_use]
    pub fn health(&self) -> Health {
        if let Some(reason) = self.poison.reason() {
            return Health::Failed(reason);
        }
        match self.queue.lock().check_open() {
            Ok(()) => Health::Ok,
            Err(AppendError::Stopped(reason)) => Health::Failed(reason),
            Err(_) => Health::Full,
        }
    }

    /// Sequence of the first group that the checkpoint does not cover.
    fn covered(&self) -> u64 {
        self.covered.load(Ordering::Acquire)
    }

    /// Whether a checkpoint covers all that the start found; before that nothing may be written.
    fn has_begun(&self) -> bool {
        self.covered() >= self.first_sequence
    }

    fn partition(&self, id: PartitionId) -> Option<Arc<Partition>> {
        self.partitions.read().get(&id).cloned()
    }

    fn readable(&self, id: PartitionId) -> Result<Arc<Partition>, ReadError> {
        self.partition(id).ok_or(ReadError::NoPartition)
    }

    /// Every partition, without holding the map.
    fn all_partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().cloned().collect()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("disk", &self.disk)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
