//! Removal of rows that no longer count, in pieces that no append waits long for.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use super::Fault;

/// Most rows of one piece.
const PIECE_ROWS_MAX: i64 = 4096;
/// Most bytes of one piece, give or take a batch.
const PIECE_BYTES_MAX: i64 = 4 << 20;

/// Which partitions may hold rows to remove. Not stored: a start looks for itself.
#[derive(Debug, Default)]
pub(super) struct Purge {
    keys: BTreeSet<i64>,
}

impl Purge {
    /// Looks at every partition once, also at those that are gone.
    pub(super) fn of_everything(connection: &Connection) -> Result<Self, Fault> {
        let mut keys = BTreeSet::new();
        let mut next =
            connection.prepare("SELECT min(partition) FROM batches WHERE partition > ?1")?;
        let mut after = i64::MIN;
        // One step in the index for each partition, however many batches it has.
        while let Some(key) = next.query_row([after], |row| row.get::<_, Option<i64>>(0))? {
            keys.insert(key);
            after = key;
        }
        Ok(Self { keys })
    }

    pub(super) fn add(&mut self, key: i64) {
        self.keys.insert(key);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Removes one piece.
    pub(super) fn step(&mut self, connection: &Connection) -> Result<(), Fault> {
        let Some(key) = self.keys.first().copied() else {
            return Ok(());
        };
        let start = start_of(connection, key)?;
        let Some(upto) = piece(connection, key, start)? else {
            self.keys.remove(&key);
            return Ok(());
        };
        // The whole piece in one transaction: a statement is one by itself.
        let mut delete =
            connection.prepare_cached("DELETE FROM batches WHERE partition = ?1 AND base <= ?2")?;
        delete.execute([key, upto])?;
        Ok(())
    }
}

/// First offset that the partition with this key keeps, as stored; `None` when it is gone.
fn start_of(connection: &Connection, key: i64) -> Result<Option<i64>, Fault> {
    let mut start = connection.prepare_cached("SELECT start FROM partitions WHERE key = ?1")?;
    Ok(start.query_row([key], |row| row.get(0)).optional()?)
}

/// Base offset of the last batch of the next piece; `None` when nothing is left to remove.
fn piece(connection: &Connection, key: i64, start: Option<i64>) -> Result<Option<i64>, Fault> {
    let below = start.unwrap_or(i64::MAX);
    let mut rows = connection.prepare_cached(
        "SELECT base, last, size FROM batches WHERE partition = ?1 ORDER BY base LIMIT ?2",
    )?;
    let mut rows = rows.query((key, PIECE_ROWS_MAX))?;
    let (mut upto, mut bytes) = (None, 0_i64);
    while let Some(row) = rows.next()? {
        let (base, last, size): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if last >= below || bytes >= PIECE_BYTES_MAX {
            break;
        }
        (upto, bytes) = (Some(base), bytes.saturating_add(size));
    }
    Ok(upto)
}
