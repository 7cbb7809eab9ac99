//! The second engine: all batches in one SQLite file, easy to copy and to replicate with existing
//! tools.
//!
//! # Durability
//! The database runs in WAL mode with `synchronous = FULL`: a commit appends the changed pages to
//! `hark-log.sqlite-wal` and returns after that file is synced; only then do readers see it, and
//! only then is anything acknowledged. A *checkpoint* copies pages from the WAL into the database
//! file, syncs that, and starts the WAL over. It runs on the writer's thread, so that its errors
//! are seen: one that fails leaves every commit in the WAL, and stops the store like any other
//! failed sync. A power cut loses what was not committed, never what was; the next start reads the
//! WAL again, and copies it before it serves: after a failed sync the system may give back what the
//! disk does not hold.
//!
//! To copy a running store, use SQLite's own means (`VACUUM INTO`, the backup API, a replicator);
//! copying the one file without its WAL loses what was not checkpointed.
//!
//! # Damage
//! Every row carries a checksum of its batch, compared on every read, and offsets must follow each
//! other without a gap. SQLite has no checksum for its own pages: a flipped bit there is found when
//! a page makes no sense or a row is missing between two others. `PRAGMA integrity_check` finds
//! more, but reads the whole file, so the start does not run it.
//!
//! # Where to start
//! `schema` for the tables, `writer` for the one thread that changes them, `read` for the rest.

mod change;
mod fault;
mod purge;
mod read;
mod reserve;
mod schema;
mod state;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use model::{Offset, PartitionId, Timestamp};
use parking_lot::Mutex;
use wire::Batch;

use crate::disk::{lock_directory, made_by};
use crate::seal::{self, Sealer};
use crate::{
    AppendError, Bounds, Disk, Done, Frame, Health, PartitionSettings, ReadError, Store, StoreError,
};
use change::{Change, Move};
use fault::Fault;
use read::Readers;
use state::Shared;
use writer::Writer;

pub use schema::DATABASE_FILE;

/// What the log engine has in its data directories.
const LOG_ENGINE_DIR: &str = "journal";

/// How the engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Largest size of the database file in pages of [`SqliteOptions::PAGE_BYTES`] bytes; appends
    /// past it are refused as on a full disk. `None` for no limit but the disk's.
    pub pages_max: Option<u32>,
    /// Bytes set aside on the disk, given back when it is full so that records can still be
    /// deleted and positions stored.
    pub reserve_bytes: u64,
}

impl SqliteOptions {
    /// Bytes of one page of the database file.
    pub const PAGE_BYTES: u32 = 8192;
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            pages_max: None,
            reserve_bytes: 8 << 20,
        }
    }
}

/// The SQLite engine.
pub struct SqliteStore {
    shared: Arc<Shared>,
    readers: Readers,
    sealer: Option<Arc<Sealer>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Holds the lock of the directory.
    disk: Arc<dyn Disk>,
}

impl SqliteStore {
    /// Opens or makes the database in `directory`, which must be the one that `disk` shows.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: SqliteOptions,
        sealer: Option<Arc<Sealer>>,
    ) -> Result<Self, StoreError> {
        lock_directory(&*disk)?;
        refuse_other_engine(&*disk)?;
        make_file(&*disk)?;
        let path = directory.join(DATABASE_FILE);
        let connection = schema::open_writer(&path, &options)?;
        let has_records = schema::has_records(&connection)?;
        seal::check_or_create(&*disk, sealer.as_deref(), has_records)?;
        writer::empty_wal(&connection)?;
        let shared = Arc::new(Shared::new(schema::load(&connection)?));
        let writer = Writer::new(connection, Arc::clone(&shared), Arc::clone(&disk), &options)?;
        let thread = std::thread::Builder::new().name("sqlite-writer".to_owned());
        let thread = thread
            .spawn(move || writer.run())
            .map_err(|source| io_error("start the writer thread", source))?;
        let readers = Readers::new(path);
        Ok(Self {
            shared,
            readers,
            sealer,
            writer: Mutex::new(Some(thread)),
            disk,
        })
    }

    /// Hands a change to the writer and waits until it is on disk.
    fn change(&self, change: Change) -> Result<(), StoreError> {
        let (reply, answer) = mpsc::channel();
        self.shared.submit(change, reply)?;
        let stopped = |_| StoreError::Stopped("the writer has ended".to_owned());
        answer.recv().map_err(stopped)?
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("disk", &self.disk)
            .field("sealer", &self.sealer)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl Store for SqliteStore {
    fn create_partitions(
        &self,
        partitions: &[PartitionId],
        settings: PartitionSettings,
    ) -> Result<(), StoreError> {
        self.change(Change::Create {
            partitions: partitions.to_vec(),
            settings,
        })
    }

    fn drop_partitions(&self, partitions: &[PartitionId]) -> Result<(), StoreError> {
        self.change(Change::Drop(partitions.to_vec()))
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.shared.partitions()
    }

    fn append(&self, partition: PartitionId, batch: Batch, done: Done) -> Result<(), AppendError> {
        let frame = Frame::store(partition, batch, self.sealer.as_deref())
            .map_err(|error| AppendError::Stopped(error.to_string()))?;
        self.shared.append(partition, frame, done)
    }

    fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Batch>, ReadError> {
        let place = self.shared.place(partition)?;
        let sealer = self.sealer.as_deref();
        let batches = self
            .readers
            .read(partition, &place, from, max_bytes, sealer);
        batches.map_err(|error| self.shared.explain(partition, &place, from, error))
    }

    fn bounds(&self, partition: PartitionId) -> Result<Bounds, ReadError> {
        self.shared.place(partition).map(|place| place.bounds)
    }

    fn find_time(
        &self,
        partition: PartitionId,
        timestamp: Timestamp,
    ) -> Result<Option<Offset>, ReadError> {
        let place = self.shared.place(partition)?;
        self.readers.find_time(&place, timestamp)
    }

    fn delete_before(&self, partition: PartitionId, before: Offset) -> Result<Bounds, StoreError> {
        let invalid = |error: ReadError| StoreError::Invalid(error.to_string());
        let place = self.shared.place(partition).map_err(invalid)?;
        let bounds = place.bounds;
        if before > bounds.end {
            return Err(StoreError::Invalid(format!(
                "cannot delete up to {before}: the partition ends at {}",
                bounds.end
            )));
        }
        if before > bounds.start {
            let change = Move {
                partition,
                key: place.key,
                start: before,
            };
            self.change(Change::MoveStarts(vec![change]))?;
        }
        self.bounds(partition).map_err(invalid)
    }

    fn retain(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut moves = Vec::new();
        for partition in self.partitions() {
            // One that was dropped since is not in need of retention.
            let Ok(place) = self.shared.place(partition) else {
                continue;
            };
            let start = self
                .readers
                .retained_from(&place, now)
                .map_err(read_failed)?;
            if start > place.bounds.start {
                moves.push(Move {
                    partition,
                    key: place.key,
                    start,
                });
            }
        }
        if moves.is_empty() {
            Ok(())
        } else {
            self.change(Change::MoveStarts(moves))
        }
    }

    fn size(&self, partition: PartitionId) -> Result<u64, ReadError> {
        let place = self.shared.place(partition)?;
        self.readers.size(&place)
    }

    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn health(&self) -> Health {
        self.shared.lock().health.clone()
    }

    fn close(&self) {
        self.shared.close();
        if let Some(thread) = self.writer.lock().take() {
            // The writer catches its own panics.
            drop(thread.join());
        }
        self.readers.close();
        let mut state = self.shared.lock();
        if !matches!(state.health, Health::Failed(_)) {
            state.health = Health::Failed("the store was closed".to_owned());
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// A directory belongs to one engine: with the other one its records would seem to be gone.
fn refuse_other_engine(disk: &dyn Disk) -> Result<(), StoreError> {
    let names = disk
        .list("")
        .map_err(|source| io_error("list the data directory", source))?;
    if names.iter().any(|name| name == LOG_ENGINE_DIR) {
        return Err(made_by(disk, "log"));
    }
    Ok(())
}

/// Makes the file before SQLite does: for its owner only, and with its name on the disk.
fn make_file(disk: &dyn Disk) -> Result<(), StoreError> {
    let made = match disk.open(DATABASE_FILE) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => disk.create(DATABASE_FILE),
        opened => opened,
    };
    made.map_err(|source| io_error("make the database file", source))?;
    disk.sync_dir("")
        .map_err(|source| io_error("sync the data directory", source))
}

fn io_error(what: &str, source: std::io::Error) -> StoreError {
    StoreError::Io {
        what: what.to_owned(),
        source,
    }
}

fn read_failed(error: ReadError) -> StoreError {
    io_error("apply retention", std::io::Error::other(error))
}
