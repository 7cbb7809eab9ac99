//! The engines under test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use model::{Offset, PartitionId};
use seglog::disk::RealDisk;
use seglog::log::{LogOptions, LogStore};
use seglog::{Frame, FrameHead, Sealer, SqliteOptions, SqliteStore, Store, StoreError};

/// One way to store batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Engine {
    pub(crate) kind: Kind,
    pub(crate) sealed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Log,
    Sqlite,
}

impl Engine {
    /// Opens the store in a directory, as this engine does it.
    pub(crate) fn open(self, directory: &Path) -> Result<Box<dyn Store>, StoreError> {
        self.open_with(directory, self.sealed.then(|| key(1)))
    }

    pub(crate) fn open_with(
        self,
        directory: &Path,
        sealer: Option<Sealer>,
    ) -> Result<Box<dyn Store>, StoreError> {
        let disk = Arc::new(RealDisk::open(directory)?);
        let sealer = sealer.map(Arc::new);
        match self.kind {
            Kind::Log => {
                let store = LogStore::open(disk, log_options(), sealer)?;
                Ok(Box::new(store))
            }
            Kind::Sqlite => {
                let options = SqliteOptions {
                    reserve_bytes: 1 << 20,
                    ..SqliteOptions::default()
                };
                let store = SqliteStore::open(disk, directory, options, sealer)?;
                Ok(Box::new(store))
            }
        }
    }

    /// Flips a bit in the stored batch that begins at `base`, of a store that is closed.
    pub(crate) fn damage(self, directory: &Path, partition: PartitionId, base: Offset) {
        match self.kind {
            Kind::Log => damage_segment(directory, partition, base),
            Kind::Sqlite => damage_row(directory, partition, base),
        }
    }
}

/// Small files, so that a test of a few hundred kilobytes goes around the ring.
fn log_options() -> LogOptions {
    LogOptions {
        journal_file_bytes: 2 << 20,
        journal_files_max: 4,
        unsettled_bytes_max: 1 << 20,
        reserve_bytes: 1 << 16,
        ..LogOptions::default()
    }
}

/// A ring of one key with this number, made from the number.
pub(crate) fn key(id: u32) -> Sealer {
    Sealer::from_text(&key_line(id)).unwrap()
}

pub(crate) fn key_line(id: u32) -> String {
    format!("{id}:{id:064x}")
}

fn damage_row(directory: &Path, partition: PartitionId, base: Offset) {
    let database = rusqlite::Connection::open(directory.join(seglog::sqlite::DATABASE_FILE));
    let database = database.unwrap();
    let place = "partition = (SELECT key FROM partitions WHERE topic = ?1 AND number = ?2)
                 AND base = ?3";
    let values = (
        partition.topic.as_bytes(),
        partition.index.0,
        base.to_wire(),
    );
    let select = format!("SELECT frame FROM batches WHERE {place}");
    let mut frame: Vec<u8> = database
        .query_row(&select, values, |row| row.get(0))
        .unwrap();
    let middle = frame.len() / 2;
    frame[middle] ^= 0x10;
    let update = format!("UPDATE batches SET frame = ?4 WHERE {place}");
    let (topic, number, base) = values;
    assert_eq!(
        database
            .execute(&update, (topic, number, base, frame))
            .unwrap(),
        1
    );
}

/// Finds the batch by its own bytes, whatever the layout of the files around it is.
fn damage_segment(directory: &Path, partition: PartitionId, base: Offset) {
    let of_partition = |path: &PathBuf| path.to_string_lossy().contains(&partition.to_string());
    let mut hits = 0;
    for path in files_below(directory).into_iter().filter(of_partition) {
        let mut bytes = std::fs::read(&path).unwrap();
        let Some((at, size)) = find_frame(&bytes, base) else {
            continue;
        };
        bytes[at + size / 2] ^= 0x10;
        std::fs::write(&path, bytes).unwrap();
        hits += 1;
    }
    assert_eq!(
        hits, 1,
        "batch {base} of {partition} is not in exactly one segment"
    );
}

fn find_frame(bytes: &[u8], base: Offset) -> Option<(usize, usize)> {
    let wanted = base.to_wire().to_be_bytes();
    let starts = bytes
        .windows(8)
        .enumerate()
        .filter(|(_, window)| *window == wanted);
    for (at, _) in starts {
        // Zeros look like offset 0 everywhere: only a sound frame counts.
        if FrameHead::peek(&bytes[at..]).is_ok_and(|head| head.base_offset == base)
            && let Ok(frame) = Frame::first(&Bytes::copy_from_slice(&bytes[at..]))
        {
            return Some((at, frame.head().size));
        }
    }
    None
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (directories, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(directories.iter().flat_map(|path| files_below(path)));
    files
}
