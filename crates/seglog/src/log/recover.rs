//! What a start makes of the files that it finds.
//!
//! 1. The checkpoint says what the segments hold durably, and from which group on the journal has
//!    to be replayed. Segments are not read.
//! 2. The journal is looked through (`recover/tail.rs`) to find its end and to tell a torn tail
//!    from damage. Up to here nothing has been changed, and damage refuses the start.
//! 3. What settling had added to the segments beyond the checkpoint is cut off: it was never
//!    synced, and comes again from the journal.
//! 4. The journal is replayed, settled, and a checkpoint is written. So nothing that was read back
//!    is relied on before it was synced anew, and the ring begins empty.

mod cut;
mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::Bytes;
use model::{Offset, PartitionId};
use parking_lot::{Mutex, RwLock};

use crate::disk::{lock_directory, made_by};
use crate::sqlite::DATABASE_FILE;
use crate::{Disk, DiskFile, Sealer, StoreError, seal};

use super::backlog::{Backlog, Committed};
use super::checkpoint::{self, Checkpointing, PartitionRow, Save, Table};
use super::files::Files;
use super::group::{EntryChange, GroupEntry, GroupHead, Place};
use super::journal::{self, JOURNAL_DIR, Journal};
use super::options::LogOptions;
use super::partition::{PARTITIONS_DIR, Partition};
use super::poison::Poison;
use super::queue::{Change, Queue};
use super::retain::Garbage;
use super::segment::Segment;
use super::settle::Settling;
use super::stored::Stored;
use super::wake::Wakes;
use super::{Log, Progress};

use self::tail::Tail;

pub(super) fn open(
    disk: Arc<dyn Disk>,
    options: LogOptions,
    sealer: Option<Arc<Sealer>>,
) -> Result<Log, StoreError> {
    lock_directory(&*disk)?;
    refuse_other_engine(&*disk)?;
    let found = checkpoint::load(&*disk)?;
    let numbers = journal_files(&*disk)?;
    let has_log = found.is_some() || !numbers.is_empty();
    if found.is_none() && (!numbers.is_empty() || !list(&*disk, PARTITIONS_DIR)?.is_empty()) {
        let message = "the checkpoint is missing, though there is a journal";
        return Err(StoreError::Damaged(message.to_owned()));
    }
    let has_records = has_log
        && found
            .as_ref()
            .is_some_and(|table| !table.partitions.is_empty())
        || !numbers.is_empty();
    seal::check_or_create(&*disk, sealer.as_deref(), has_records)?;
    let table = found.unwrap_or_else(|| Table::fresh(options.new_journal_id));
    let tail = Tail::find(&*disk, &table, &numbers)?;
    make_directories(&*disk)
        .map_err(|error| io_error("cannot make the log's directories", error))?;
    let log = assemble(disk, options, sealer, &table, &tail)?;
    if !table.clean {
        log.cut_unsynced(&table)
            .map_err(|error| io_error("cannot cut the segments", error))?;
    }
    log.replay(&tail)?;
    log.begin_empty(&tail)?;
    Ok(log)
}

/// A database that is not empty was begun by the other engine, whose records would seem to be gone.
fn refuse_other_engine(disk: &dyn Disk) -> Result<(), StoreError> {
    let bytes = match disk.open(DATABASE_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.and_then(|file| file.len()),
    };
    match bytes {
        Ok(0) => Ok(()),
        Ok(_) => Err(made_by(disk, "sqlite")),
        Err(error) => Err(io_error(
            "cannot look at the other engine's database",
            error,
        )),
    }
}

/// Sequence of the first group to be written. One is left out, so that what may lie torn on the
/// disk never has the number of a group that counts.
const fn first_sequence(tail: &Tail) -> u64 {
    tail.next_sequence + 1
}

fn assemble(
    disk: Arc<dyn Disk>,
    options: LogOptions,
    sealer: Option<Arc<Sealer>>,
    table: &Table,
    tail: &Tail,
) -> Result<Log, StoreError> {
    let reusable = tail.reusable(options.journal_file_bytes);
    let first_sequence = first_sequence(tail);
    let journal = Journal::new(
        Arc::clone(&disk),
        &options,
        table.journal,
        first_sequence,
        &reusable,
    )
    .map_err(|error| io_error("cannot open the journal", error))?;
    let settling = Settling {
        sequence: table.next_sequence - 1,
        end: table.end,
        dirty: BTreeMap::new(),
        names: BTreeSet::new(),
    };
    let checkpointing = Checkpointing {
        generation: table.generation,
        journal: table.journal,
        next_sequence: table.next_sequence,
        warm: Vec::new(),
    };
    let partitions = table
        .partitions
        .iter()
        .map(|row| (row.id, restore(row)))
        .collect();
    Ok(Log {
        files: Files::new(Arc::clone(&disk), options.open_files_max),
        disk,
        options,
        sealer,
        partitions: RwLock::new(partitions),
        queue: Mutex::new(Queue::default()),
        journal: Mutex::new(journal),
        backlog: Mutex::new(Backlog::default()),
        settling: Mutex::new(settling),
        checkpointing: Mutex::new(checkpointing),
        garbage: Mutex::new(Garbage::default()),
        covered: AtomicU64::new(table.next_sequence),
        first_sequence,
        poison: Poison::default(),
        closed: AtomicBool::new(false),
        wakes: Wakes::default(),
    })
}

fn restore(row: &PartitionRow) -> Arc<Partition> {
    let partition = Partition::new(row.id, row.settings, row.settled);
    let mut state = partition.state.lock();
    state.start = row.start;
    for segment in &row.segments {
        let restored = Segment::new(row.id, segment.base, segment.extent);
        state.segments.insert(segment.base, Arc::new(restored));
    }
    drop(state);
    Arc::new(partition)
}

fn make_directories(disk: &dyn Disk) -> io::Result<()> {
    disk.create_dir(JOURNAL_DIR)?;
    disk.create_dir(PARTITIONS_DIR)?;
    // A journal file may have been named by a process that died before it could sync the name.
    disk.sync_dir(JOURNAL_DIR)?;
    disk.sync_dir("")
}

fn journal_files(disk: &dyn Disk) -> Result<Vec<u32>, StoreError> {
    Ok(list(disk, JOURNAL_DIR)?
        .iter()
        .filter_map(|name| journal::number(name))
        .collect())
}

fn list(disk: &dyn Disk, dir: &str) -> Result<Vec<String>, StoreError> {
    disk.list(dir)
        .map_err(|error| io_error("cannot list a directory", error))
}

fn io_error(what: &str, source: io::Error) -> StoreError {
    StoreError::Io {
        what: what.to_owned(),
        source,
    }
}

impl Log {
    /// Lets the journal's groups take effect, and settles them as memory fills: less of it than in
    /// operation, because what was taken once is not given back to the system.
    fn replay(&self, tail: &Tail) -> Result<(), StoreError> {
        for head in &tail.groups {
            let group = tail.read(&*self.disk, head)?;
            self.replay_group(tail, head, &group)?;
            let full = self.backlog.lock().bytes >= self.options.unsettled_bytes_max / 4;
            // On a full disk it stays in memory; the ring bounds how much that can be.
            if full && self.settle_replayed() == Progress::Idle {
                return Err(self.stopped());
            }
        }
        // The number left out counts as a group, so that the checkpoint covers it.
        let sequence = tail.next_sequence;
        let end = Place {
            file: 0,
            position: 0,
        };
        self.backlog.lock().push(Committed {
            sequence,
            end,
            bytes: 0,
            partitions: Vec::new(),
        });
        Ok(())
    }

    fn replay_group(&self, tail: &Tail, head: &GroupHead, group: &Group) -> Result<(), StoreError> {
        let mut partitions: BTreeMap<PartitionId, Arc<Partition>> = BTreeMap::new();
        let mut at = usize::try_from(head.table_end()).unwrap_or(usize::MAX);
        let mut bytes = 0;
        for entry in &group.entries {
            let length = entry.frame_bytes() as usize;
            let frame = group.bytes.slice(at..at + length);
            at += length;
            let Some((partition, change)) = self.replayed(tail, head, entry, frame)? else {
                continue;
            };
            if matches!(change, Change::Append(_)) {
                partitions.insert(partition.id, Arc::clone(&partition));
                bytes += length;
            }
            self.apply_change(head.sequence, &partition, change);
        }
        self.backlog.lock().push(Committed {
            sequence: head.sequence,
            end: head.end(),
            bytes,
            partitions: partitions.into_values().collect(),
        });
        Ok(())
    }

    /// The change to make, or `None` when it is made already or has no object any more.
    fn replayed(
        &self,
        tail: &Tail,
        head: &GroupHead,
        entry: &GroupEntry,
        frame: Bytes,
    ) -> Result<Option<(Arc<Partition>, Change)>, StoreError> {
        let known = self.partition(entry.partition);
        if let EntryChange::Create(settings) = entry.change {
            let made = || Arc::new(Partition::new(entry.partition, settings, Offset::ZERO));
            return Ok(Some((known.unwrap_or_else(made), Change::Create(settings))));
        }
        let Some(partition) = known else {
            // Gone in the checkpoint already; the journal must say so too, further on.
            if tail.dropped.contains(&entry.partition) {
                return Ok(None);
            }
            return Err(tail::damaged(
                head.place,
                "a change of an unknown partition",
            ));
        };
        let change = match entry.change {
            EntryChange::Append(header) => {
                let end = partition.state.lock().end;
                if header.last < end {
                    return Ok(None);
                }
                if header.base != end {
                    return Err(tail::damaged(head.place, "a gap in the offsets"));
                }
                Change::Append(Stored::read_back(header, frame))
            }
            EntryChange::Drop => Change::Drop,
            EntryChange::Start(offset) => Change::Start(offset),
            EntryChange::Create(settings) => Change::Create(settings),
        };
        Ok(Some((partition, change)))
    }

    /// Settles what was replayed; with a checkpoint in between whenever too many files wait for
    /// their sync.
    fn settle_replayed(&self) -> Progress {
        loop {
            let settled = self.settle_step();
            let crowded = settled == Progress::Blocked && !self.is_full();
            if !crowded || self.save(Save::IfChanged) != Progress::Worked {
                return settled;
            }
        }
    }

    /// Settles all that was replayed and writes the first checkpoint. If the disk is too full for
    /// that, reads are served and appends are refused until it is not.
    fn begin_empty(&self, tail: &Tail) -> Result<(), StoreError> {
        for partition in self.all_partitions() {
            partition.queue_from(partition.state.lock().end);
        }
        let settled = self.settle_replayed();
        if settled != Progress::Blocked {
            self.save(Save::Opened);
        }
        if self.poison.is_set() {
            return Err(self.stopped());
        }
        if self.is_full() {
            return tail.write_last_again(&*self.disk);
        }
        tail.remove_unusable(&*self.disk, self.options.journal_file_bytes)
            .map_err(|error| io_error("cannot remove a journal file", error))?;
        // Without it a full disk is found out a little earlier, that is all.
        let _ = self.make_reserve(&self.checkpointing.lock());
        Ok(())
    }

    fn stopped(&self) -> StoreError {
        StoreError::Stopped(self.poison.reason().unwrap_or_default())
    }
}

/// A group as it was read back.
struct Group {
    /// All of its bytes.
    bytes: Bytes,
    entries: Vec<GroupEntry>,
}

/// Reads exactly these bytes of a file.
fn read_exact(file: &dyn DiskFile, position: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut buffer = vec![0; bytes];
    file.read_at(&mut buffer, position)?;
    Ok(buffer)
}
