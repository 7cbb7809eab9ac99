//! A real log that can be told to refuse appends, or to hold them back.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use model::{Offset, PartitionId, Timestamp};
use seglog::{
    AppendError, Bounds, Done, Health, LogOptions, LogStore, PartitionSettings, ReadError,
    RealDisk, Store, StoreError,
};
use wire::Batch;

pub(crate) struct FaultyStore {
    log: LogStore,
    mood: AtomicU8,
    /// Appends that came while they were to be held, in order.
    held: Mutex<Vec<(PartitionId, Batch, Done)>>,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyStore").finish_non_exhaustive()
    }
}

/// How appends are answered.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Mood {
    Well,
    Full,
    Failed,
    /// Not yet: once all is well again.
    Held,
}

impl FaultyStore {
    pub(crate) fn open(directory: &std::path::Path) -> Arc<Self> {
        let disk = Arc::new(RealDisk::open(directory).unwrap());
        let options = LogOptions {
            journal_file_bytes: 2 << 20,
            journal_files_max: 4,
            reserve_bytes: 0,
            ..LogOptions::default()
        };
        let log = LogStore::open(disk, options, None).unwrap();
        Arc::new(Self {
            log,
            mood: AtomicU8::new(Mood::Well as u8),
            held: Mutex::default(),
        })
    }

    pub(crate) fn set(&self, mood: Mood) {
        let mut held = self.held.lock().unwrap();
        self.mood.store(mood as u8, Ordering::SeqCst);
        if matches!(mood, Mood::Well) {
            for (partition, batch, done) in held.drain(..) {
                Store::append(&self.log, partition, batch, done).unwrap();
            }
        }
    }

    fn mood(&self) -> Mood {
        match self.mood.load(Ordering::SeqCst) {
            0 => Mood::Well,
            1 => Mood::Full,
            2 => Mood::Failed,
            _ => Mood::Held,
        }
    }
}

const WHY: &str = "the test said so";

impl Store for FaultyStore {
    fn create_partitions(
        &self,
        partitions: &[PartitionId],
        settings: PartitionSettings,
    ) -> Result<(), StoreError> {
        self.log.create_partitions(partitions, settings)
    }

    fn drop_partitions(&self, partitions: &[PartitionId]) -> Result<(), StoreError> {
        self.log.drop_partitions(partitions)
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.log.partitions()
    }

    fn append(&self, partition: PartitionId, batch: Batch, done: Done) -> Result<(), AppendError> {
        let mut held = self.held.lock().unwrap();
        match self.mood() {
            Mood::Well => Store::append(&self.log, partition, batch, done),
            Mood::Full => Err(AppendError::Full),
            Mood::Failed => Err(AppendError::Stopped(WHY.to_owned())),
            Mood::Held => {
                held.push((partition, batch, done));
                Ok(())
            }
        }
    }

    fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Batch>, ReadError> {
        Store::read(&self.log, partition, from, max_bytes)
    }

    fn bounds(&self, partition: PartitionId) -> Result<Bounds, ReadError> {
        Store::bounds(&self.log, partition)
    }

    fn find_time(
        &self,
        partition: PartitionId,
        timestamp: Timestamp,
    ) -> Result<Option<Offset>, ReadError> {
        Store::find_time(&self.log, partition, timestamp)
    }

    fn delete_before(&self, partition: PartitionId, before: Offset) -> Result<Bounds, StoreError> {
        Store::delete_before(&self.log, partition, before)
    }

    fn retain(&self, now: Timestamp) -> Result<(), StoreError> {
        Store::retain(&self.log, now)
    }

    fn size(&self, partition: PartitionId) -> Result<u64, ReadError> {
        Store::size(&self.log, partition)
    }

    fn health(&self) -> Health {
        match self.mood() {
            Mood::Well | Mood::Held => Store::health(&self.log),
            Mood::Full => Health::Full,
            Mood::Failed => Health::Failed(WHY.to_owned()),
        }
    }

    fn close(&self) {
        Store::close(&self.log);
    }
}
