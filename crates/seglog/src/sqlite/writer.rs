//! The one thread that writes: group commits, changes, purging, checkpoints.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::change::{self, Change};
use super::purge::Purge;
use super::reserve::Reserve;
use super::state::{Append, Reply, Shared, Work};
use super::{Fault, SqliteOptions};
use crate::{Disk, StoreError};

/// Bytes written to the WAL after which it is copied into the database file.
const CHECKPOINT_BYTES: usize = 16 << 20;
/// Pages in the WAL from which on a checkpoint waits for readers, so that it can start over.
const WAL_PAGES_MAX: i64 = 16 * 1024;
/// How long such a checkpoint waits.
const READERS_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a statement waits for a foreign process.
const FOREIGN_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that must fit before a full disk counts as having space again.
const PROBE_BYTES: u32 = 256 * 1024;
/// What removing a piece counts as: the pages of the index, and the lists of free pages.
const PURGED_BYTES: usize = 256 * 1024;

pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    reserve: Reserve,
    purge: Purge,
    /// Bytes written since the last checkpoint.
    unchecked_bytes: usize,
    /// Appends and purging take turns while both have work.
    purged_last: bool,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        let opening = |fault: Fault| fault.store_error("open the log");
        let purge = Purge::of_everything(&connection).map_err(opening)?;
        let reserve = Reserve::new(options.reserve_bytes);
        match reserve.take(&*disk).map_err(Fault::from) {
            // A start on a full disk serves readers; the first append finds out.
            Ok(()) | Err(Fault::Full) => {}
            Err(fault) => return Err(fault.store_error("reserve space")),
        }
        Ok(Self {
            connection,
            shared,
            disk,
            reserve,
            purge,
            unchecked_bytes: 0,
            purged_last: false,
        })
    }

    /// Works until the store is closed. A `done` that panics stops the store instead of leaving
    /// callers to wait for ever.
    pub(super) fn run(self) {
        let shared = Arc::clone(&self.shared);
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            shared.refuse(
                Vec::new(),
                Fault::Failed("the writer has panicked".to_owned()),
            );
        }
    }

    fn work(mut self) {
        loop {
            match self.shared.next_work(!self.purge.is_empty()) {
                Work::Group(group) => self.commit(group),
                Work::Change(change, reply) => self.change(&change, &reply),
                Work::Purge => self.purge(),
                Work::Probe => self.probe(),
                Work::Stop => break,
            }
            self.take_turns();
            self.checkpoint_when_due();
        }
        if !self.shared.has_failed() {
            // What cannot be copied now stays in the WAL for the next start.
            drop(checkpoint(&self.connection, "TRUNCATE"));
        }
    }

    fn commit(&mut self, group: Vec<Append>) {
        match insert(&self.connection, &group) {
            Ok(bytes) => {
                self.unchecked_bytes += bytes;
                self.purged_last = false;
                self.shared.committed(&group);
                group.into_iter().for_each(|append| (append.done)(Ok(())));
            }
            Err(fault) => self.refuse(group, fault),
        }
    }

    fn change(&mut self, change: &Change, reply: &Reply) {
        let result = match change::apply(&self.connection, &self.shared, change) {
            Ok(keys) => {
                keys.into_iter().for_each(|key| self.purge.add(key));
                Ok(())
            }
            Err(Fault::Full) => Err(StoreError::Full),
            Err(Fault::Damaged(why) | Fault::Failed(why)) => {
                self.refuse(Vec::new(), Fault::Failed(why.clone()));
                Err(StoreError::Stopped(why))
            }
        };
        // Whoever asked may have gone.
        drop(reply.send(result));
        if self.shared.is_full() {
            self.probe();
        }
    }

    fn purge(&mut self) {
        self.purged_last = true;
        match self.purge.step(&self.connection) {
            Ok(()) => self.unchecked_bytes += PURGED_BYTES,
            Err(fault) => self.refuse(Vec::new(), fault),
        }
    }

    /// A step of purging between two groups, so that appends without end do not fill the disk with
    /// rows that no longer count.
    fn take_turns(&mut self) {
        if !self.purged_last && !self.purge.is_empty() && self.shared.is_well() {
            self.purge();
        }
    }

    fn refuse(&mut self, group: Vec<Append>, fault: Fault) {
        if matches!(fault, Fault::Full) {
            // Whether it helps or not, there is nothing else to try.
            drop(self.reserve.release(&*self.disk));
        }
        self.shared.refuse(group, fault);
    }

    /// Appends are taken again once the reserve is back, a good piece fits, and the WAL can be
    /// copied. Purging goes on meanwhile: it may be what makes the space.
    fn probe(&mut self) {
        let step = self.purge.step(&self.connection);
        let space = step.and_then(|()| {
            self.reserve.take(&*self.disk)?;
            fill(&self.connection)?;
            checkpoint(&self.connection, "PASSIVE").map(drop)
        });
        match space {
            Ok(()) => self.shared.recovered(),
            Err(Fault::Full) => drop(self.reserve.release(&*self.disk)),
            Err(fault) => self.refuse(Vec::new(), fault),
        }
    }

    fn checkpoint_when_due(&mut self) {
        if self.unchecked_bytes < CHECKPOINT_BYTES || !self.shared.is_well() {
            return;
        }
        self.unchecked_bytes = 0;
        let result = checkpoint(&self.connection, "PASSIVE").and_then(|pages| {
            if pages > WAL_PAGES_MAX {
                self.wait_for_readers()
            } else {
                Ok(())
            }
        });
        if let Err(fault) = result {
            self.refuse(Vec::new(), fault);
        }
    }

    /// Lets the WAL start over although there is always some reader.
    fn wait_for_readers(&self) -> Result<(), Fault> {
        self.connection.busy_timeout(READERS_TIMEOUT)?;
        checkpoint(&self.connection, "RESTART")?;
        Ok(self.connection.busy_timeout(FOREIGN_TIMEOUT)?)
    }
}

/// Copies the WAL that the last run left into the database file. On a full disk the start serves
/// readers from it as it is.
pub(super) fn empty_wal(connection: &Connection) -> Result<(), StoreError> {
    match checkpoint(connection, "TRUNCATE") {
        Ok(_) | Err(Fault::Full) => Ok(()),
        Err(fault) => Err(fault.store_error("open the log")),
    }
}

/// Stores a group in one transaction and gives about how many bytes that wrote.
fn insert(connection: &Connection, group: &[Append]) -> Result<usize, Fault> {
    let transaction = connection.unchecked_transaction()?;
    let mut bytes = 0;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO batches (partition, base, last, max_timestamp, size, crc, frame)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for append in group {
            let head = append.frame.head();
            let frame: &[u8] = append.frame.bytes();
            insert.execute(params![
                append.key,
                head.base_offset.to_wire(),
                head.last_offset.to_wire(),
                head.max_timestamp.as_millis(),
                frame.len() as i64,
                crc32c::crc32c(frame),
                frame,
            ])?;
            // The row, and at worst a page of the table and one of the index.
            bytes += head.size + 2 * SqliteOptions::PAGE_BYTES as usize;
        }
    }
    transaction.commit()?;
    Ok(bytes)
}

/// Copies what it can from the WAL into the database file and syncs it. Gives the pages in the WAL.
fn checkpoint(connection: &Connection, mode: &str) -> Result<i64, Fault> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    // The first column only says whether some reader kept it from finishing; that is no fault.
    Ok(connection.query_row(&sql, [], |row| row.get(1))?)
}

/// Writes a row of some size, durably, and removes it again.
fn fill(connection: &Connection) -> Result<(), Fault> {
    connection.execute(
        "INSERT OR REPLACE INTO probe VALUES (1, zeroblob(?1))",
        [PROBE_BYTES],
    )?;
    connection.execute("DELETE FROM probe", [])?;
    Ok(())
}
