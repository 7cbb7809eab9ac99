//! Disks of control, with a record of what is on them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use control::testing::MemoryDisk;
use control::{BoxFuture, Change, Key, Saved, Store, StoreError};
use model::BootId;
use parking_lot::Mutex;

use super::bytes::{self, Origin, Payload, Vote};

/// A disk, and every start on it.
#[derive(Debug, Clone)]
pub(super) struct WholeDisk {
    pub(super) disk: MemoryDisk,
    pub(super) record: Arc<Mutex<Record>>,
    /// Every start on this disk, or on the one that it is a copy of.
    pub(super) ancestors: Vec<BootId>,
}

/// What is on a disk, as checkers look at it.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) vote: Option<Vote>,
    pub(super) log: BTreeMap<u64, (Origin, Payload)>,
    /// Up to where the log is gone, or covered by a snapshot.
    pub(super) covered: Option<u64>,
    /// What was agreed on and is gone from the log: between two looks much can come and go.
    gone: BTreeMap<u64, (Origin, Payload)>,
    identity: Vec<u8>,
}

impl WholeDisk {
    /// An empty disk that takes this long to sync.
    pub(super) fn new(sync: Duration) -> Self {
        let disk = MemoryDisk::new();
        disk.set_sync_time(sync);
        Self {
            disk,
            record: Arc::default(),
            ancestors: Vec::new(),
        }
    }

    /// The store of a process that starts now.
    pub(super) fn open(&self) -> Arc<dyn Store> {
        let inner = self.disk.open();
        self.read_again();
        Arc::new(Recorder {
            inner,
            record: Arc::clone(&self.record),
        })
    }

    /// The power fails.
    pub(super) fn crash(&self, keep_pending: bool) {
        self.disk.crash(keep_pending);
        self.read_again();
    }

    fn read_again(&self) {
        let mut record = self.record.lock();
        let gone = std::mem::take(&mut record.gone);
        *record = Record {
            gone,
            ..Record::of(self.disk.saved())
        };
    }

    /// Another disk with the same on it.
    pub(super) fn copy(&self, sync: Duration) -> Self {
        let disk = self.disk.copy();
        disk.set_sync_time(sync);
        let record = Record::of(disk.saved());
        Self {
            disk,
            record: Arc::new(Mutex::new(record)),
            ancestors: self.ancestors.clone(),
        }
    }
}

impl Record {
    fn of(saved: Saved) -> Self {
        let mut record = Self::default();
        let values = saved
            .values
            .into_iter()
            .map(|(key, value)| Change::Put(key, value));
        let entries = saved
            .log
            .into_iter()
            .map(|(index, entry)| Change::Append(index, entry));
        values
            .chain(entries)
            .for_each(|change| record.apply(&change));
        record
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Put(Key::Vote, value) => self.vote = bytes::vote(value),
            Change::Put(Key::Purged, value) => {
                self.covered = self.covered.max(bytes::purged(value));
            }
            Change::Put(Key::Snapshot, value) => {
                self.covered = self.covered.max(bytes::snapshot_end(value));
            }
            Change::Put(Key::Identity, value) => self.identity.clone_from(value),
            Change::Put(Key::Committed, _) => {}
            Change::Append(index, value) => {
                if let Some(entry) = bytes::entry(value) {
                    self.log.insert(*index, entry);
                }
            }
            Change::TruncateFrom(index) => {
                self.log.split_off(index);
            }
            Change::PurgeTo(index) => self.purge(*index),
        }
    }

    /// Where the log does not reach so far, a snapshot of somebody else takes its place, and what was in the
    /// log need not have been agreed on.
    fn purge(&mut self, index: u64) {
        let rest = self.log.split_off(&(index + 1));
        let purged = std::mem::replace(&mut self.log, rest);
        if purged.contains_key(&index) {
            self.gone.extend(purged);
        }
    }

    /// What was written at this index, if it may be told: it is there, or was when it was agreed on.
    pub(super) fn entry(&self, index: u64) -> Option<&(Origin, Payload)> {
        self.log.get(&index).or_else(|| self.gone.get(&index))
    }

    /// Whether this start is written down, as tried or as confirmed.
    pub(super) fn knows(&self, boot: BootId) -> bool {
        self.identity
            .windows(16)
            .any(|bytes| bytes == boot.as_bytes())
    }

    /// Whether everything up to this index is on the disk, in one form or the other.
    pub(super) fn reaches(&self, index: u64) -> bool {
        self.covered.is_some_and(|covered| covered >= index) || self.log.contains_key(&index)
    }
}

#[derive(Debug)]
struct Recorder {
    inner: Arc<dyn Store>,
    record: Arc<Mutex<Record>>,
}

impl Store for Recorder {
    fn load(&self) -> BoxFuture<'_, Result<Saved, StoreError>> {
        self.inner.load()
    }

    fn commit(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.inner.commit(changes.clone()).await?;
            let mut record = self.record.lock();
            changes.iter().for_each(|change| record.apply(change));
            Ok(())
        })
    }
}
