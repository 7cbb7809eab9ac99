//! A store in a temporary directory, and short words for what tests do with it.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use model::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Record, Timestamp, TopicId};
use seglog::{AppendError, Bounds, PartitionSettings, ReadError, Store};
use tempfile::TempDir;
use wire::{Batch, BatchBuilder};

use crate::engines::Engine;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// Small segments, everything kept.
pub(crate) const KEEP: PartitionSettings = PartitionSettings {
    segment_bytes: model::limits::SEGMENT_BYTES_MIN,
    retention: None,
    retention_bytes: None,
};

/// An open store in a directory of its own.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    directory: TempDir,
    store: Option<Box<dyn Store>>,
}

impl Bench {
    pub(crate) fn new(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Some(engine.open(directory.path()).unwrap());
        Self {
            engine,
            directory,
            store,
        }
    }

    /// With partition 0, which keeps everything.
    pub(crate) fn with_partition(engine: Engine) -> Self {
        let bench = Self::new(engine);
        bench
            .store()
            .create_partitions(&[partition(0)], KEEP)
            .unwrap();
        bench
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &**self.store.as_ref().unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Closes the store, and leaves the directory.
    pub(crate) fn shut(&mut self) {
        self.store().close();
        self.store = None;
    }

    pub(crate) fn open(&mut self) {
        self.store = Some(self.engine.open(self.directory.path()).unwrap());
    }

    /// Goes on with a store that the test opened itself.
    pub(crate) fn take(&mut self, store: Box<dyn Store>) {
        self.store = Some(store);
    }

    pub(crate) fn reopen(&mut self) {
        self.shut();
        self.open();
    }

    /// Appends a batch of `value` at the end of a partition and waits until it is on disk.
    pub(crate) fn append(&self, partition: PartitionId, value: &str) -> Batch {
        self.append_batch(partition, values(&[value]))
    }

    /// The same with a batch of any kind, which gets its offset here.
    pub(crate) fn append_batch(&self, partition: PartitionId, batch: Batch) -> Batch {
        let end = self.store().bounds(partition).unwrap().end;
        let batch = batch.placed_at(end, LeaderEpoch(0));
        acked(&queue(self.store(), partition, batch.clone()).unwrap()).unwrap();
        batch
    }

    /// Everything that the partition holds, read in pieces of `max_bytes`.
    pub(crate) fn read_all(&self, partition: PartitionId, max_bytes: usize) -> Vec<Batch> {
        let Bounds { start, end } = self.store().bounds(partition).unwrap();
        let mut batches: Vec<Batch> = Vec::new();
        let mut next = start;
        while next < end {
            let more = self.store().read(partition, next, max_bytes).unwrap();
            next = more.last().map(next_of).expect("no batch before the end");
            batches.extend(more);
        }
        assert_eq!(next, end);
        batches
    }

    /// Everything from an offset on. A single read may stop early, for instance where records
    /// come from another file: what is promised is that the next one goes on.
    pub(crate) fn read(&self, partition: PartitionId, from: u64) -> Result<Vec<Batch>, ReadError> {
        let end = self.store().bounds(partition)?.end;
        let mut batches = self.store().read(partition, offset(from), usize::MAX)?;
        while let Some(next) = batches.last().map(next_of).filter(|next| *next < end) {
            batches.extend(self.store().read(partition, next, usize::MAX)?);
        }
        Ok(batches)
    }

    pub(crate) fn bounds(&self, partition: PartitionId) -> (u64, u64) {
        let bounds = self.store().bounds(partition).unwrap();
        (bounds.start.get(), bounds.end.get())
    }
}

/// Queues a batch; the result comes through the channel.
pub(crate) fn queue(
    store: &dyn Store,
    partition: PartitionId,
    batch: Batch,
) -> Result<Receiver<Result<(), AppendError>>, AppendError> {
    let (sender, receiver) = channel();
    let done = Box::new(move |result| {
        // A test that no longer listens does not care.
        let _ = sender.send(result);
    });
    store.append(partition, batch, done).map(|()| receiver)
}

/// Waits for the result of an append.
pub(crate) fn acked(receiver: &Receiver<Result<(), AppendError>>) -> Result<(), AppendError> {
    receiver
        .recv_timeout(PATIENCE)
        .expect("done was not called")
}

pub(crate) fn partition(index: u32) -> PartitionId {
    PartitionId {
        topic: TopicId::from_bytes([0xa5; 16]),
        index: PartitionIndex(index),
    }
}

pub(crate) fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

/// A batch at offset 0 with one record for each value.
pub(crate) fn values(values: &[&str]) -> Batch {
    values_at(1_000, values)
}

/// The same with a time.
pub(crate) fn values_at(millis: i64, values: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(at(millis));
    for value in values {
        let value = Some(Bytes::copy_from_slice(value.as_bytes()));
        builder
            .push(&Record {
                value,
                ..Record::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

/// A batch of one record of `bytes` bytes that no other batch has.
pub(crate) fn blob(bytes: usize, seed: usize) -> Batch {
    let text: Vec<u8> = (0..bytes)
        .map(|at| b'a' + ((at * 7 + at / 251 + seed) % 26) as u8)
        .collect();
    values(&[std::str::from_utf8(&text).unwrap()])
}

pub(crate) fn base_of(batch: &Batch) -> u64 {
    batch.header().base_offset.get()
}

pub(crate) fn next_of(batch: &Batch) -> Offset {
    batch.header().last_offset.checked_add(1).unwrap()
}

/// The values in a batch.
pub(crate) fn texts(batch: &Batch) -> Vec<String> {
    let records = batch.records_in(batch.payload());
    let value = |record: Record| String::from_utf8(record.value.unwrap().to_vec()).unwrap();
    records.map(|item| value(item.unwrap().1)).collect()
}
