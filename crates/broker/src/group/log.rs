//! What the coordinator stores: records in the one partition of the internal topic `__groups`.
//!
//! The log is written anew when it has grown: everything that is known goes to its end, and then
//! all before that is deleted. A crash in between leaves a log that says the same things twice.

use std::sync::Arc;

use ::groups::{Restoring, StateRecord};
use model::limits::{BATCH_BYTES_DEFAULT, GROUPS_LOG_SEGMENT_BYTES};
use model::{Offset, PartitionId, PartitionIndex, Record, Timestamp, TopicId};
use seglog::{Bounds, PartitionSettings, ReadError, Store};
use tokio::sync::oneshot;
use wire::{Batch, BatchBuilder, BatchError};

use super::growth::Growth;
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
    pub(super) growth: Growth,
}

/// A batch on its way to the disk, or what was wrong with it.
#[derive(Debug)]
pub(crate) enum Pending {
    Accepted(oneshot::Receiver<Appended>),
    Refused(String),
}

impl Pending {
    /// Waits until the batch is on disk, or will never be.
    pub(crate) async fn settled(self) -> Result<(), String> {
        match self {
            Self::Accepted(fate) => match fate.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the store is gone".to_owned()),
            },
            Self::Refused(why) => Err(why),
        }
    }
}

impl Log {
    pub(crate) fn new(partition: Arc<Partition>, bytes: u64) -> Self {
        Self {
            partition,
            growth: Growth::new(bytes),
        }
    }

    pub(crate) fn partition(&self) -> PartitionId {
        self.partition.id
    }

    /// One past the last durable record.
    pub(crate) fn end(&self) -> Offset {
        self.partition.end()
    }

    pub(crate) fn moved_start(&self, start: Offset) {
        self.partition.moved_start(start);
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
            self.growth.add(batch.bytes().len() as u64);
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
