//! The database file: its tables, and how connections to it are set up.
//!
//! `partitions` has one row for each partition; `start` is the first offset kept and `crc` the
//! CRC32C of the other columns. `batches` has one row for each batch; `frame` is the batch or its
//! sealed envelope, `crc` the CRC32C of it. The index holds everything but frames, so that looking
//! for offsets, times and sizes never touches them.
//!
//! A row below its partition's `start`, or of a partition that is gone, no longer counts and is
//! removed in small pieces (`purge`). Partition keys are never used again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use model::{Offset, PartitionId, PartitionIndex, TopicId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::state::Partition;
use super::{Fault, SqliteOptions};
use crate::{PartitionSettings, StoreError};

/// Name of the database file in the data directory. SQLite puts `-wal` and `-shm` beside it.
pub const DATABASE_FILE: &str = "hark-log.sqlite";

/// `HARK` in ASCII: tells a Hark log from any other SQLite file.
const APPLICATION_ID: i32 = 0x4841_524b;
const VERSION: i32 = 1;
/// How long a statement waits for a foreign process that holds the file, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

const TABLES: &str = "
    CREATE TABLE partitions (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        topic BLOB NOT NULL,
        number INTEGER NOT NULL,
        segment_bytes INTEGER NOT NULL,
        retention_ms INTEGER,
        retention_bytes INTEGER,
        start INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        UNIQUE (topic, number)
    ) STRICT;
    CREATE TABLE batches (
        partition INTEGER NOT NULL,
        base INTEGER NOT NULL,
        last INTEGER NOT NULL,
        max_timestamp INTEGER NOT NULL,
        size INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        frame BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX batches_by_offset
        ON batches (partition, base, last, max_timestamp, size);
    CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;
";

/// Opens the one connection that writes, and makes the tables when the file is new.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<(Connection, i32, i32, bool), Fault> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Takes effect in a new file only.
        connection.pragma_update(None, "page_size", SqliteOptions::PAGE_BYTES)?;
        let application = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
        let version = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
        let tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
        let tables = connection.query_row(tables, [], |row| row.get(0))?;
        Ok((connection, application, version, tables))
    };
    let (connection, application, version, tables) =
        open().map_err(|fault| opening(fault, path))?;
    match (application, version, tables) {
        (0, 0, false) | (APPLICATION_ID, VERSION, true) => {}
        (APPLICATION_ID, newer, _) => {
            return Err(StoreError::Format(format!(
                "{} has version {newer}; this program reads version {VERSION}",
                path.display()
            )));
        }
        _ => return Err(foreign(path)),
    }
    prepare(&connection, options, !tables, path)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    no_checkpoint_on_close(&connection)?;
    connection.pragma_update(None, "cache_size", -1024)?;
    Ok(connection)
}

/// Whether any batch is stored.
pub(super) fn has_records(connection: &Connection) -> Result<bool, StoreError> {
    let found = connection
        .query_row("SELECT 1 FROM batches LIMIT 1", [], |_| Ok(()))
        .optional();
    found
        .map(|row| row.is_some())
        .map_err(|error| Fault::from(error).store_error("open the log"))
}

/// Every partition with its bounds.
pub(super) fn load(
    connection: &Connection,
) -> Result<BTreeMap<PartitionId, Partition>, StoreError> {
    let read = || -> Result<_, Fault> {
        let mut rows = connection.prepare(
            "SELECT key, topic, number, segment_bytes, retention_ms, retention_bytes, start, crc
             FROM partitions",
        )?;
        let mut last = connection
            .prepare("SELECT last FROM batches WHERE partition = ?1 ORDER BY base DESC LIMIT 1")?;
        let mut rows = rows.query([])?;
        let mut partitions = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (id, mut partition) = partition(row)?;
            let last: Option<i64> = last
                .query_row([partition.key], |row| row.get(0))
                .optional()?;
            partition.set_end(end(partition.start, last)?);
            partitions.insert(id, partition);
        }
        Ok(partitions)
    };
    read().map_err(|fault| fault.store_error("open the log"))
}

/// Stores a partition, new or changed, and gives its key.
pub(super) fn save_partition(
    connection: &Connection,
    id: PartitionId,
    partition: &Partition,
) -> Result<i64, Fault> {
    let columns = Columns::of(partition);
    let mut statement = connection.prepare_cached(
        "INSERT INTO partitions
             (topic, number, segment_bytes, retention_ms, retention_bytes, start, crc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (topic, number) DO UPDATE SET segment_bytes = ?3, retention_ms = ?4,
             retention_bytes = ?5, start = ?6, crc = ?7
         RETURNING key",
    )?;
    let values = params![
        id.topic.as_bytes(),
        id.index.0,
        columns.segment_bytes,
        columns.retention_ms,
        columns.retention_bytes,
        columns.start,
        columns.crc(id),
    ];
    Ok(statement.query_row(values, |row| row.get(0))?)
}

fn prepare(
    connection: &Connection,
    options: &SqliteOptions,
    new: bool,
    path: &Path,
) -> Result<(), StoreError> {
    let prepare = || -> Result<String, Fault> {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // The writer runs checkpoints itself, so that their errors are seen.
        no_checkpoint_on_close(connection)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        // A whole group commit fits, so that its pages go to the WAL once.
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        // 2³² − 2 is SQLite's own limit, and the one to set where the last run had a smaller one.
        let pages = options.pages_max.unwrap_or(u32::MAX - 1);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        if new {
            make_tables(connection)?;
        }
        Ok(mode)
    };
    let mode = prepare().map_err(|fault| opening(fault, path))?;
    if mode.eq_ignore_ascii_case("wal") {
        Ok(())
    } else {
        Err(StoreError::Format(format!(
            "the file system of {} cannot hold a database in WAL mode",
            path.display()
        )))
    }
}

/// Else the last connection to close would sync once more, also after a sync that failed.
fn no_checkpoint_on_close(connection: &Connection) -> Result<(), Fault> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// All or nothing: a crash in the middle leaves an empty file, which is new again.
fn make_tables(connection: &Connection) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

fn partition(row: &Row<'_>) -> Result<(PartitionId, Partition), Fault> {
    let topic = TopicId::from_bytes(row.get(1)?);
    let id = PartitionId {
        topic,
        index: PartitionIndex(row.get(2)?),
    };
    let columns = Columns {
        segment_bytes: row.get(3)?,
        retention_ms: row.get(4)?,
        retention_bytes: row.get(5)?,
        start: row.get(6)?,
    };
    let damaged = || Fault::Damaged(format!("the row of partition {id} is not what was written"));
    if row.get::<_, u32>(7)? != columns.crc(id) {
        return Err(damaged());
    }
    let settings = columns.settings().ok_or_else(damaged)?;
    let start = Offset::from_wire(columns.start).ok_or_else(damaged)?;
    Ok((id, Partition::new(row.get(0)?, settings, start)))
}

fn end(start: Offset, last: Option<i64>) -> Result<Offset, Fault> {
    let Some(last) = last else { return Ok(start) };
    let last = Offset::from_wire(last)
        .ok_or_else(|| Fault::Damaged("a batch has a negative offset".to_owned()))?;
    Ok(start.max(last.saturating_add(1)))
}

/// The columns that a partition's checksum covers, besides its name.
struct Columns {
    segment_bytes: i64,
    retention_ms: Option<i64>,
    retention_bytes: Option<i64>,
    start: i64,
}

impl Columns {
    fn of(partition: &Partition) -> Self {
        let clamp = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let settings = &partition.settings;
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self {
            segment_bytes: clamp(settings.segment_bytes),
            retention_ms: settings.retention.map(millis),
            retention_bytes: settings.retention_bytes.map(clamp),
            start: partition.start.to_wire(),
        }
    }

    fn settings(&self) -> Option<PartitionSettings> {
        let retention = self.retention_ms.map(u64::try_from).transpose().ok()?;
        Some(PartitionSettings {
            segment_bytes: u64::try_from(self.segment_bytes).ok()?,
            retention: retention.map(Duration::from_millis),
            retention_bytes: self.retention_bytes.map(u64::try_from).transpose().ok()?,
        })
    }

    fn crc(&self, id: PartitionId) -> u32 {
        let mut bytes = id.topic.as_bytes().to_vec();
        bytes.extend_from_slice(&id.index.0.to_be_bytes());
        bytes.extend_from_slice(&self.segment_bytes.to_be_bytes());
        for limit in [self.retention_ms, self.retention_bytes] {
            // No limit is stored as -1, which no limit is.
            bytes.extend_from_slice(&limit.unwrap_or(-1).to_be_bytes());
        }
        bytes.extend_from_slice(&self.start.to_be_bytes());
        crc32c::crc32c(&bytes)
    }
}

fn opening(fault: Fault, path: &Path) -> StoreError {
    fault.store_error(&format!("open {}", path.display()))
}

fn foreign(path: &Path) -> StoreError {
    StoreError::Format(format!(
        "{} is a database of another program",
        path.display()
    ))
}
