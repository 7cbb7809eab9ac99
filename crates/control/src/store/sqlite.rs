//! `control.db`: the store in SQLite, on a thread of its own.
//!
//! Write-ahead log with `synchronous = FULL`: a commit is one sync. Two tables:
//!
//! ```text
//! value(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
//! log(position INTEGER PRIMARY KEY, entry BLOB NOT NULL)
//! ```
//!
//! `user_version` is the format, 1. Who else may open the file is decided by the lock of the data
//! directory, not here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use super::{Change, Key, Saved, Store, StoreError};
use crate::BoxFuture;

/// The format that this release writes.
const FORMAT: i64 = 1;

/// The store in an SQLite database. The thread that holds the database ends with this value.
#[derive(Debug)]
pub struct SqliteStore {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Load(oneshot::Sender<Result<Saved, StoreError>>),
    Commit(Vec<Change>, oneshot::Sender<Result<(), StoreError>>),
}

impl SqliteStore {
    /// Opens the database, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = connect(path)?;
        sync_directory(path)?;
        let (jobs, inbox) = mpsc::channel();
        thread::Builder::new()
            .name("control-db".to_owned())
            .spawn(move || serve(connection, &inbox))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Self { jobs })
    }

    /// The usual place of the database in a data directory.
    #[must_use]
    pub fn path_in(directory: &Path) -> PathBuf {
        directory.join("control.db")
    }
}

impl Store for SqliteStore {
    fn load(&self) -> BoxFuture<'_, Result<Saved, StoreError>> {
        let (answer, arrival) = oneshot::channel();
        let sent = self.jobs.send(Job::Load(answer));
        Box::pin(async move {
            sent.map_err(|_| ended())?;
            arrival.await.map_err(|_| ended())?
        })
    }

    fn commit(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>> {
        let (answer, arrival) = oneshot::channel();
        let sent = self.jobs.send(Job::Commit(changes, answer));
        Box::pin(async move {
            sent.map_err(|_| ended())?;
            arrival.await.map_err(|_| ended())?
        })
    }
}

fn ended() -> StoreError {
    StoreError::Failed("its thread has ended".to_owned())
}

/// Does the jobs in their order until nobody can send one. After a failed commit no other is tried: the
/// database's pages may not be what SQLite believes them to be.
fn serve(mut connection: Connection, inbox: &mpsc::Receiver<Job>) {
    let mut failure = None;
    while let Ok(job) = inbox.recv() {
        match job {
            Job::Load(answer) => {
                let _ = answer.send(load(&connection));
            }
            Job::Commit(changes, answer) => {
                let outcome = match &failure {
                    Some(failure) => Err(StoreError::clone(failure)),
                    None => commit(&mut connection, changes),
                };
                failure = outcome.clone().err();
                let _ = answer.send(outcome);
            }
        }
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).map_err(failed)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(failed)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::Failed(format!("journal mode is {mode}")));
    }
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(failed)?;
    let found = version(&connection)?;
    match found {
        0 => make(&connection)?,
        FORMAT => {}
        found => {
            return Err(StoreError::Version {
                found,
                expected: FORMAT,
            });
        }
    }
    Ok(connection)
}

/// The names of new files must survive as well as what is in them.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::Failed(error.to_string()))
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)
}

fn make(connection: &Connection) -> Result<(), StoreError> {
    connection
        .execute_batch(
            "BEGIN IMMEDIATE;
             CREATE TABLE value(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
             CREATE TABLE log(position INTEGER PRIMARY KEY, entry BLOB NOT NULL);
             PRAGMA user_version = 1;
             COMMIT;",
        )
        .map_err(failed)
}

fn load(connection: &Connection) -> Result<Saved, StoreError> {
    let mut saved = Saved::default();
    let mut values = connection
        .prepare("SELECT key, value FROM value")
        .map_err(failed)?;
    let mut rows = values.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let key: String = row.get(0).map_err(failed)?;
        let key = Key::parse(&key).ok_or_else(|| StoreError::Damaged(format!("value '{key}'")))?;
        saved.values.insert(key, row.get(1).map_err(failed)?);
    }
    let mut entries = connection
        .prepare("SELECT position, entry FROM log ORDER BY position")
        .map_err(failed)?;
    let mut rows = entries.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let position: i64 = row.get(0).map_err(failed)?;
        let entry = row.get(1).map_err(failed)?;
        saved.log.insert(from_sql(position), entry);
    }
    Ok(saved)
}

fn commit(connection: &mut Connection, changes: Vec<Change>) -> Result<(), StoreError> {
    let transaction = connection.transaction().map_err(failed)?;
    for change in changes {
        make_change(&transaction, change).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn make_change(transaction: &Transaction<'_>, change: Change) -> rusqlite::Result<()> {
    match change {
        Change::Put(key, value) => transaction
            .prepare_cached("INSERT OR REPLACE INTO value(key, value) VALUES (?1, ?2)")?
            .execute((key.as_str(), value)),
        Change::Append(position, entry) => transaction
            .prepare_cached("INSERT OR REPLACE INTO log(position, entry) VALUES (?1, ?2)")?
            .execute((to_sql(position), entry)),
        Change::TruncateFrom(position) => transaction
            .prepare_cached("DELETE FROM log WHERE position >= ?1")?
            .execute((to_sql(position),)),
        Change::PurgeTo(position) => transaction
            .prepare_cached("DELETE FROM log WHERE position <= ?1")?
            .execute((to_sql(position),)),
    }
    .map(drop)
}

/// SQLite's integers have a sign; no log grows to 2^63 entries.
const fn to_sql(position: u64) -> i64 {
    position.cast_signed()
}

const fn from_sql(position: i64) -> u64 {
    position.cast_unsigned()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where a function of the error is wanted"
)]
fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            StoreError::Damaged(error.to_string())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
