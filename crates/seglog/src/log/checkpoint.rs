//! The third step: makes durable what has settled, says so, and frees the journal behind it.
//!
//! The order is the safety: segments are synced, then a checkpoint that names their durable ends is
//! written, synced and renamed, in two copies, then the directory is synced; only then are journal
//! files used again and dropped files removed.

mod table;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::{Disk, DiskFile, StoreError};

use super::partition::{Partition, State};
use super::poison::Failure;
use super::retain::Removable;
use super::settle::{Settling, write_index};
use super::{Log, Progress};

pub(super) use table::{PartitionRow, SegmentRow, Table};

/// Two copies, so that one flipped bit does not cost the whole store.
const COPIES: [&str; 2] = ["checkpoint", "checkpoint.copy"];
/// More than any number of partitions and segments takes.
const CHECKPOINT_BYTES_MAX: u64 = 1 << 31;

/// What the last checkpoint said.
pub(super) struct Checkpointing {
    pub(super) generation: u64,
    pub(super) journal: u64,
    /// Sequence of the first group that it does not cover.
    pub(super) next_sequence: u64,
    /// Files that it synced, and how much of each. They stay in the system's cache until the next
    /// one, for readers that are a little behind.
    pub(super) warm: Vec<Warm>,
}

/// A file, and how much of it is synced.
pub(super) struct Warm {
    file: Arc<dyn DiskFile>,
    bytes: u64,
}

/// How a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Save {
    /// If there is anything new.
    IfChanged,
    /// In any case: the log was just opened.
    Opened,
    /// In any case, as the last one: nothing will be written any more.
    Closing,
}

/// What a checkpoint says, and what has to be synced before.
struct Snapshot {
    table: Table,
    files: Vec<Arc<dyn DiskFile>>,
    lengths: Vec<u64>,
    names: BTreeSet<String>,
    removable: Removable,
}

impl Log {
    /// Syncs what has settled, writes a checkpoint if there is anything new, and frees the journal
    /// files that it covers. `Blocked` when the disk is full.
    pub fn checkpoint_step(&self) -> Progress {
        self.save(Save::IfChanged)
    }

    pub(super) fn save(&self, save: Save) -> Progress {
        let mut last = self.checkpointing.lock();
        if self.poison.is_set() {
            return Progress::Idle;
        }
        let Some(snapshot) = self.snapshot(&last, save) else {
            return Progress::Idle;
        };
        if let Err(error) = self.sync(&snapshot) {
            return self.fail(format!("cannot sync the segments: {error}"));
        }
        match write_copies(self, &snapshot.table.encode()) {
            Ok(()) => {}
            Err(Failure::Full) => {
                self.garbage.lock().put_back(snapshot.removable);
                return self.enter_full();
            }
            Err(Failure::Fatal(reason)) => return self.fail(reason),
        }
        last.generation = snapshot.table.generation;
        last.next_sequence = snapshot.table.next_sequence;
        self.covered.store(last.next_sequence, Ordering::Release);
        let warm = snapshot.files.into_iter().zip(snapshot.lengths);
        let warm = warm.map(|(file, bytes)| Warm { file, bytes }).collect();
        for cold in std::mem::replace(&mut last.warm, warm) {
            cold.file.forget(cold.bytes);
        }
        self.remove(snapshot.removable);
        self.wakes.commit.notify();
        self.wakes.settle.notify();
        Progress::Worked
    }

    /// What there is to save, taken at one moment; `None` when nothing is new.
    fn snapshot(&self, last: &Checkpointing, save: Save) -> Option<Snapshot> {
        let mut settling = self.settling.lock();
        let next_sequence = settling.sequence + 1;
        let removable = self.garbage.lock().take(settling.sequence);
        // A settle that a full disk cut short waits for these, and only a checkpoint syncs them.
        let crowded = settling.dirty.len() >= self.options.open_files_max;
        let changed = next_sequence > last.next_sequence || !removable.is_empty() || crowded;
        if save == Save::IfChanged && !changed {
            return None;
        }
        if save == Save::Closing {
            self.write_open_indexes();
        }
        let Settling {
            dirty, names, end, ..
        } = &mut *settling;
        let dirty = std::mem::take(dirty).into_values();
        let (files, lengths) = dirty
            .map(|dirty| (dirty.file, dirty.segment.extent().bytes))
            .unzip();
        Some(Snapshot {
            table: Table {
                generation: last.generation + 1,
                journal: last.journal,
                next_sequence,
                end: *end,
                clean: save == Save::Closing,
                partitions: self.all_partitions().iter().map(|p| row(p)).collect(),
            },
            files,
            lengths,
            names: std::mem::take(names),
            removable,
        })
    }

    fn sync(&self, snapshot: &Snapshot) -> io::Result<()> {
        self.disk.sync_files(&snapshot.files)?;
        snapshot
            .names
            .iter()
            .try_for_each(|dir| self.disk.sync_dir(dir))
    }

    /// So that the next start need not go over the newest segments.
    fn write_open_indexes(&self) {
        for partition in self.all_partitions() {
            let newest = partition
                .state
                .lock()
                .segments
                .values()
                .next_back()
                .cloned();
            let Some(newest) = newest.filter(|segment| segment.has_grown()) else {
                continue;
            };
            // Derivable, so a failure only costs time later.
            if newest.load_index(&self.files).is_ok()
                && let Some(bytes) = newest.encode_index()
            {
                let _derivable = write_index(self, &newest, &bytes);
            }
        }
    }
}

fn row(partition: &Partition) -> PartitionRow {
    let state: &State = &partition.state.lock();
    let segments = state.segments.iter().map(|(base, segment)| SegmentRow {
        base: *base,
        extent: segment.extent(),
    });
    PartitionRow {
        id: partition.id,
        settings: state.settings,
        start: state.start,
        settled: state.settled,
        segments: segments.collect(),
    }
}

fn write_copies(log: &Log, bytes: &[u8]) -> Result<(), Failure> {
    for name in COPIES {
        log.with_reserve(|| write_new(&*log.disk, name, bytes))?;
    }
    let fatal = |error: io::Error| Failure::fatal("cannot put the checkpoint in place", error);
    for name in COPIES {
        log.disk.rename(&unfinished(name), name).map_err(fatal)?;
    }
    log.disk.sync_dir("").map_err(fatal)
}

fn unfinished(name: &str) -> String {
    format!("{name}.new")
}

fn write_new(disk: &dyn Disk, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::of_write("cannot write the checkpoint", &error);
    let path = unfinished(name);
    disk.remove(&path).map_err(failed)?;
    let file = disk.create(&path).map_err(failed)?;
    let written = file
        .reserve(bytes.len() as u64)
        .and_then(|()| file.write_at(&[bytes], 0));
    if let Err(error) = written {
        drop(file);
        disk.remove(&path).map_err(failed)?;
        return Err(failed(error));
    }
    file.sync_data()
        .map_err(|error| Failure::fatal("cannot sync the checkpoint", error))
}

/// The newest checkpoint that is sound; `None` when there is no copy of one.
pub(super) fn load(disk: &dyn Disk) -> Result<Option<Table>, StoreError> {
    let mut newest: Option<Table> = None;
    let mut damage = None;
    for name in COPIES {
        match read_copy(disk, name) {
            Ok(None) => {}
            Ok(Some(table)) => {
                if newest
                    .as_ref()
                    .is_none_or(|other| other.generation < table.generation)
                {
                    newest = Some(table);
                }
            }
            Err(StoreError::Damaged(what)) => damage = Some(what),
            Err(error) => return Err(error),
        }
    }
    match (newest, damage) {
        (None, Some(what)) => Err(StoreError::Damaged(what)),
        (newest, _) => Ok(newest),
    }
}

fn read_copy(disk: &dyn Disk, name: &str) -> Result<Option<Table>, StoreError> {
    let failed = |source| StoreError::Io {
        what: format!("cannot read {name}"),
        source,
    };
    let damaged = || StoreError::Damaged(format!("{name} is not what was written"));
    let file = match disk.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let bytes = file.len().map_err(failed)?;
    if bytes > CHECKPOINT_BYTES_MAX {
        return Err(damaged());
    }
    let mut buffer = vec![0; usize::try_from(bytes).map_err(|_| damaged())?];
    file.read_at(&mut buffer, 0).map_err(failed)?;
    Table::decode(&buffer, name).map(Some)
}
