//! The contract of a storage engine.

use std::fmt;
use std::io;
use std::time::Duration;

use model::{Offset, PartitionId, Timestamp};
use thiserror::Error;
use wire::Batch;

/// What is called once an appended batch is on disk, or will never be.
///
/// It runs on the engine's own thread: it must not block and must not call the store.
pub type Done = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

/// A storage engine: partitions of batches, durable before they are acknowledged.
///
/// Promises, for every implementation (the conformance suite holds them to it):
/// - `done(Ok)` means that the batch survives a power cut; calls of one partition come in order.
/// - A batch can be read from the moment `done(Ok)` is called, and never before it is durable.
/// - When one append is refused, every append already queued for any partition is refused with it,
///   and all their `done` have returned before a later append is taken: a caller that rolls its
///   next offset back inside `done` is never overtaken.
/// - A failed write or sync poisons the store: from then on every append fails and reads go on.
/// - A full disk refuses appends with [`AppendError::Full`], keeps reads alive, and recovers by
///   itself once there is space. Changes of partitions are taken for as long as there is room for
///   them, because some of them make room.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Makes these partitions, durably and at one go. One that exists already only gets the settings.
    fn create_partitions(
        &self,
        partitions: &[PartitionId],
        settings: PartitionSettings,
    ) -> Result<(), StoreError>;

    /// Removes these partitions and their records for ever. Unknown ones are passed over.
    fn drop_partitions(&self, partitions: &[PartitionId]) -> Result<(), StoreError>;

    /// Every partition that exists.
    fn partitions(&self) -> Vec<PartitionId>;

    /// Queues a batch. Its base offset must be the end of the partition counting what is queued.
    /// Returns at once; `done` is called later, in every case in which this returns `Ok`.
    fn append(&self, partition: PartitionId, batch: Batch, done: Done) -> Result<(), AppendError>;

    /// Whole batches, from the one that holds `from`, up to about `max_bytes` but at least one.
    /// Empty at the end of the partition. Every batch was checked against its checksum.
    fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Batch>, ReadError>;

    /// The first offset kept and the first not yet durable.
    fn bounds(&self, partition: PartitionId) -> Result<Bounds, ReadError>;

    /// Offset and timestamp of the first batch that holds a record at or after `timestamp` (its
    /// largest timestamp is at least that); `None` when there is none.
    fn find_time(
        &self,
        partition: PartitionId,
        timestamp: Timestamp,
    ) -> Result<Option<Offset>, ReadError>;

    /// Moves the first offset kept forward, durably; later reads below it are out of range.
    /// `before` may lie inside a batch: the batch stays whole on disk. Past the end is refused.
    fn delete_before(&self, partition: PartitionId, before: Offset) -> Result<Bounds, StoreError>;

    /// Applies every partition's retention: whole segments that are too old or too many go.
    fn retain(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Bytes on disk of one partition.
    fn size(&self, partition: PartitionId) -> Result<u64, ReadError>;

    /// The word for the engine: `log` or `sqlite`.
    fn name(&self) -> &'static str {
        "log"
    }

    /// Whether appends are taken.
    fn health(&self) -> Health;

    /// Finishes what is queued, makes a clean end, and refuses everything afterwards.
    fn close(&self);
}

/// The offsets that a partition holds: `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset kept.
    pub start: Offset,
    /// One past the last durable record.
    pub end: Offset,
}

/// How one partition is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionSettings {
    /// Size at which a segment ends and the next begins.
    pub segment_bytes: u64,
    /// How long records are kept; `None` for ever.
    pub retention: Option<Duration>,
    /// How many bytes are kept; `None` without end.
    pub retention_bytes: Option<u64>,
}

impl Default for PartitionSettings {
    fn default() -> Self {
        Self {
            segment_bytes: model::limits::SEGMENT_BYTES_DEFAULT,
            retention: None,
            retention_bytes: None,
        }
    }
}

/// Whether the store takes appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ok,
    /// The disk is full; it will again once there is space.
    Full,
    /// A write or sync failed, or the store was closed. Only a restart helps.
    Failed(String),
}

/// Why a batch was not appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// The partition does not exist (any more).
    #[error("no such partition")]
    NoPartition,
    /// The batch does not continue the partition: the caller's fault.
    #[error("the batch starts at {given}, the partition ends at {expected}")]
    OutOfOrder {
        /// Where it had to start.
        expected: Offset,
        /// Where it starts.
        given: Offset,
    },
    /// Larger than this engine, as it is configured, can store at one go: the caller's fault.
    #[error("the batch takes {bytes} bytes, at most {bytes_max} can be stored")]
    TooLarge {
        /// What it takes on disk.
        bytes: usize,
        /// What is possible.
        bytes_max: usize,
    },
    /// No space left; retry later.
    #[error("the disk is full")]
    Full,
    /// The store is poisoned or closed.
    #[error("the store has stopped: {0}")]
    Stopped(String),
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The partition does not exist (any more).
    #[error("no such partition")]
    NoPartition,
    /// Below the first offset kept or past the end.
    #[error("offset {wanted} is outside {start}..{end}", start = bounds.start, end = bounds.end)]
    OutOfRange {
        /// What was asked for.
        wanted: Offset,
        /// What there is.
        bounds: Bounds,
    },
    /// The bytes on disk are not what was written. They are kept as they are, never served.
    #[error("damaged data at offset {at}; the next readable offset is {resume_at}")]
    Damaged {
        /// Where the damage begins.
        at: Offset,
        /// Where reading can go on.
        resume_at: Offset,
    },
    /// The disk refused the read.
    #[error("read failed: {0}")]
    Io(String),
}

/// Why a store could not be opened or changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error("{0} is in use by another process; stop it, or choose another --data directory")]
    Locked(String),
    /// Encrypted with another key, or not encrypted while a key was given, or the reverse.
    #[error("{0}")]
    Key(String),
    /// Below the durable end the bytes are not what was written; nothing was changed.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Made by a version that this one cannot read.
    #[error("unsupported format: {0}")]
    Format(String),
    /// No space left; retry later.
    #[error("the disk is full")]
    Full,
    /// The store is poisoned or closed.
    #[error("the store has stopped: {0}")]
    Stopped(String),
    /// The offset is past the partition's end, or the partition does not exist.
    #[error("{0}")]
    Invalid(String),
    /// The disk refused.
    #[error("{what}: {source}")]
    Io {
        /// A verb phrase: what was tried.
        what: String,
        /// What the disk said.
        source: io::Error,
    },
}
