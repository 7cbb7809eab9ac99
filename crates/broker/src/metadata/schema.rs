//! The tables of `hark.db`, and how the file is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::OpenError;

/// What `PRAGMA user_version` says.
const VERSION: i64 = 4;

const TABLES: &str = "
CREATE TABLE node (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    storage_id BLOB NOT NULL CHECK (length(storage_id) = 16),
    next_producer_id INTEGER NOT NULL DEFAULT 0,
    default_retention_ms INTEGER,
    default_retention_bytes INTEGER,
    default_segment_bytes INTEGER,
    cluster BLOB CHECK (length(cluster) = 16),
    boot BLOB CHECK (length(boot) = 16),
    opened INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE producers (
    topic BLOB NOT NULL,
    partition INTEGER NOT NULL,
    up_to INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
";

/// Since version 3. Two topics may have one name: one that was deleted while this node was away, and
/// the one that was made then.
const TOPICS: &str = "
CREATE TABLE topics (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL,
    partitions INTEGER NOT NULL CHECK (partitions > 0),
    created_ms INTEGER NOT NULL,
    applied INTEGER NOT NULL,
    retention_ms INTEGER,
    retention_bytes INTEGER,
    segment_bytes INTEGER,
    max_message_bytes INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE held (
    topic BLOB NOT NULL CHECK (length(topic) = 16),
    partition INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
";

/// From version 1: the store had been told of the built-in defaults, which is what NULL means.
const DEFAULTS: &str = "
ALTER TABLE node ADD COLUMN default_retention_ms INTEGER;
ALTER TABLE node ADD COLUMN default_retention_bytes INTEGER;
ALTER TABLE node ADD COLUMN default_segment_bytes INTEGER;
";

/// From version 2, before and after the tables of topics are made: a node held all partitions of every
/// topic, and belonged to no cluster.
const SET_ASIDE: &str = "
ALTER TABLE node ADD COLUMN cluster BLOB CHECK (length(cluster) = 16);
ALTER TABLE topics RENAME TO topics_before;
";
const BRING_OVER: &str = "
INSERT INTO topics SELECT id, name, partitions, created_ms, applied, retention_ms, retention_bytes,
    segment_bytes, max_message_bytes FROM topics_before;
DROP TABLE topics_before;
WITH RECURSIVE numbers (number) AS (
    SELECT 0 UNION ALL
    SELECT number + 1 FROM numbers WHERE number + 1 < (SELECT max(partitions) FROM topics)
) INSERT INTO held SELECT id, number FROM topics JOIN numbers ON number < partitions;
";

/// From version 3: nothing says of which start it is, and a broker has used it.
const START: &str = "
ALTER TABLE node ADD COLUMN boot BLOB CHECK (length(boot) = 16);
ALTER TABLE node ADD COLUMN opened INTEGER NOT NULL DEFAULT 1;
";

/// Opens the database, makes its tables if it is new and may be, brings up an older one, and refuses
/// a newer one.
pub(super) fn open(path: &Path, new_identity: Option<[u8; 16]>) -> Result<Connection, OpenError> {
    let mut connection = control("opening it", Connection::open(path))?;
    control("setting it up", set_up(&connection))?;
    let version = control("reading its version", version_of(&connection))?;
    match version {
        0 => {
            let identity = new_identity.ok_or_else(missing)?;
            control("making its tables", make(&mut connection, identity))?;
        }
        1..VERSION => control("bringing it up", bring_up(&mut connection, version))?,
        VERSION => {}
        newer => {
            return Err(OpenError::Corrupt(format!(
                "hark.db has the schema version {newer}, this program knows {VERSION}; \
                 use the program that made it, or a newer one"
            )));
        }
    }
    Ok(connection)
}

/// There is none, and none may be made.
fn missing() -> OpenError {
    OpenError::Foreign(
        "hark.db is missing or empty, but this node has run before: nothing says which of its \
         records are whole, and what it held would begin again as if it had been empty; put the \
         data directory back as it was, or give it up: empty it, and run `hark node replace` on \
         another node of its cluster"
            .to_owned(),
    )
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // The answer of this pragma is the mode that it got; a file system without shared memory keeps
    // the rollback journal, which is as durable.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -512)
}

fn version_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn make(connection: &mut Connection, storage_id: [u8; 16]) -> rusqlite::Result<()> {
    let change = Transaction::new(connection, TransactionBehavior::Immediate)?;
    change.execute_batch(TABLES)?;
    change.execute_batch(TOPICS)?;
    change.execute(
        "INSERT INTO node (one, storage_id, opened) VALUES (1, ?1, 0)",
        [storage_id],
    )?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}

/// Brings up a database of an older version.
fn bring_up(connection: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let steps: &[&str] = match version {
        1 => &[DEFAULTS, SET_ASIDE, TOPICS, BRING_OVER, START],
        2 => &[SET_ASIDE, TOPICS, BRING_OVER, START],
        _ => &[START],
    };
    let change = Transaction::new(connection, TransactionBehavior::Immediate)?;
    for step in steps {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}

/// Names what was tried beside what SQLite said.
fn control<T>(what: &'static str, result: rusqlite::Result<T>) -> Result<T, OpenError> {
    result.map_err(|source| OpenError::Control { what, source })
}
