//! What the coordinator stores: records in the one partition of the internal topic `__groups`.
//!
//! The log is written anew when it has grown: everything that is known goes to its end, and then
//! all before that is deleted. A crash in between leaves a log that says the same things twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::groups::{Restoring, StateRecord};
use model::limits::{BATCH_BYTES_DEFAULT, GROUPS_LOG_BYTES_MAX, GROUPS_LOG_SEGMENT_BYTES};
use model::{Offset, PartitionId, PartitionIndex, Record, Timestamp, TopicId};
use seglog::{Bounds, PartitionSettings, ReadError, Store};
use tokio::sync::oneshot;
use wire::{Batch, BatchBuilder, BatchError};

use crate::error::OpenError;
use crate::partition::{Appended, Partition};

/// The name that people see in messages.
pub(crate) const GROUPS_TOPIC: &str = "__groups";

/// How much is read at once when the log is read back.
const READ_BYTES: usize = 1 << 20;

/// The one partition of the internal topic. Its id is the same in every data directory.
pub(crate) const fn groups_partition() -> PartitionId {
    PartitionId {
        topic: TopicId::from_bytes(*b"hark-__groups-v1"),
        index: PartitionIndex(0),
    }
}

/// How the internal partition is kept: for ever, in small segments.
pub(crate) fn settings() -> PartitionSettings {
    PartitionSettings {
        segment_bytes: GROUPS_LOG_SEGMENT_BYTES,
        ..PartitionSettings::default()
    }
}

/// What has been restored.
pub(crate) struct RestoredLog {
    pub(crate) records: Restoring,
    pub(crate) bounds: Bounds,
    pub(crate) bytes: u64,
}

/// Reads the log back; makes it if the store is new.
pub(crate) fn restore(store: &dyn Store) -> Result<RestoredLog, OpenError> {
    let id = groups_partition();
    if !store.partitions().contains(&id) {
        store.create_partitions(&[id], settings())?;
    }
    let bounds = store.bounds(id).map_err(|error| corrupt(&error))?;
    let mut restored = RestoredLog {
        records: Restoring::new(),
        bounds,
        bytes: 0,
    };
    let mut next = bounds.start;
    while next < bounds.end {
        match store.read(id, next, READ_BYTES) {
            Ok(batches) => {
                for batch in &batches {
                    restored.take(batch, bounds.start)?;
                }
                let last = batches.last().map(|batch| batch.header().last_offset);
                next = last.map_or(bounds.end, |last| last.saturating_add(1));
            }
            Err(ReadError::Damaged { at, resume_at }) if resume_at > next => {
                tracing::error!(%at, %resume_at, "commits of groups are damaged and passed over");
                next = resume_at;
            }
            Err(error) => return Err(corrupt(&error)),
        }
    }
    Ok(restored)
}

impl RestoredLog {
    fn take(&mut self, batch: &Batch, start: Offset) -> Result<(), OpenError> {
        self.bytes += batch.bytes().len() as u64;
        let records = compress::records(batch).map_err(|error| corrupt(&error))?;
        for item in records {
            let (offset, record) = item.map_err(|error| corrupt(&error))?;
            if offset < start {
                continue;
            }
            let key = record.key.unwrap_or_default();
            let decoded = StateRecord::decode(&key, record.value.as_deref());
            self.records
                .apply(decoded.map_err(|error| corrupt(&error))?);
        }
        Ok(())
    }
}

fn corrupt(why: &dyn std::fmt::Display) -> OpenError {
    OpenError::Corrupt(format!(
        "the internal topic {GROUPS_TOPIC} cannot be read: {why}"
    ))
}

/// The log, for appending.
#[derive(Debug)]
pub(crate) struct Log {
    partition: Arc<Partition>,
    /// Bytes since it was last written anew.
    bytes: AtomicU64,
    /// Bytes that it had then.
    live_bytes: AtomicU64,
}

/// A batch on its way to the disk, or what was wrong with it.
#[derive(Debug)]
pub(crate) enum Pending {
    Accepted(oneshot::Receiver<Appended>),
    Refused(String),
}

impl Pending {
    /// Where the batch stands, once it is on disk.
    pub(crate) async fn settled(self) -> Result<Offset, String> {
        match self {
            Self::Accepted(fate) => match fate.await {
                Ok(appended) => appended
                    .map(|p| p.offset)
                    .map_err(|error| error.to_string()),
                Err(_) => Err("the store is gone".to_owned()),
            },
            Self::Refused(why) => Err(why),
        }
    }
}

impl Log {
    pub(crate) const fn new(partition: Arc<Partition>, bytes: u64) -> Self {
        Self {
            partition,
            bytes: AtomicU64::new(bytes),
            live_bytes: AtomicU64::new(0),
        }
    }

    pub(crate) fn partition(&self) -> PartitionId {
        self.partition.id
    }

    pub(crate) fn moved_start(&self, start: Offset) {
        self.partition.moved_start(start);
    }

    /// Whether it has grown enough to be written anew.
    pub(crate) fn wants_rewrite(&self) -> bool {
        let live = self.live_bytes.load(Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed) > GROUPS_LOG_BYTES_MAX.max(live.saturating_mul(4))
    }

    /// What comes now is what the log begins with from now on.
    pub(crate) fn begin_rewrite(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// What was written since is everything that lives.
    pub(crate) fn end_rewrite(&self) {
        let live = self.bytes.load(Ordering::Relaxed);
        self.live_bytes.store(live, Ordering::Relaxed);
    }

    /// Appends records, in as many batches as they need.
    pub(crate) fn append(
        &self,
        store: &dyn Store,
        now: Timestamp,
        records: impl Iterator<Item = StateRecord>,
    ) -> Vec<Pending> {
        let batches = match batches(now, records) {
            Ok(batches) => batches,
            Err(error) => return vec![Pending::Refused(error.to_string())],
        };
        let mut pending = Vec::with_capacity(batches.len());
        for batch in batches {
            self.bytes
                .fetch_add(batch.bytes().len() as u64, Ordering::Relaxed);
            // Small and few: they do not count against the budget of publishers.
            match self.partition.append(store, batch, ()) {
                Ok(fate) => pending.push(Pending::Accepted(fate)),
                Err(error) => {
                    pending.push(Pending::Refused(error.to_string()));
                    break;
                }
            }
        }
        pending
    }
}

fn batches(
    now: Timestamp,
    records: impl Iterator<Item = StateRecord>,
) -> Result<Vec<Batch>, BatchError> {
    let mut built = Vec::new();
    let mut builder = BatchBuilder::new(now);
    for record in records {
        if builder.size() > BATCH_BYTES_DEFAULT {
            built.extend(std::mem::replace(&mut builder, BatchBuilder::new(now)).build());
        }
        builder.push(&Record {
            key: Some(record.key()),
            value: record.value(),
            ..Record::default()
        })?;
    }
    built.extend(builder.build());
    Ok(built)
}
