//! The engine's log: all of it in memory, every change of it on disk before it counts.
//!
//! The log is short, for a snapshot takes its place every few thousand commands, so reading never
//! touches the disk.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use parking_lot::Mutex;

use crate::codec::{Reader, Writer as Encoder, seal, unseal};
use crate::engine::{Engine, Entry, Position, Vote};
use crate::writer::Writer;
use crate::{Change, Key, Saved, StoreError};

/// The engine's log and vote. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct LogStore {
    held: Arc<Mutex<Held>>,
    writer: Writer,
}

/// What the store holds, or will when the writer is done.
#[derive(Debug, Default)]
struct Held {
    vote: Option<Vote>,
    committed: Option<Position>,
    /// `committed` has changed since it was last handed to the writer. It goes with the next write, or a
    /// moment later: a crash that loses it costs a look at the leader's, if there is one.
    committed_waits: bool,
    purged: Option<Position>,
    entries: BTreeMap<u64, Entry>,
}

impl LogStore {
    /// The log as saved.
    pub(crate) fn new(saved: &Saved, writer: Writer) -> Result<Self, StoreError> {
        let held = Held {
            vote: read(saved, Key::Vote, Reader::vote)?,
            committed: read(saved, Key::Committed, Reader::position_or_none)?.flatten(),
            committed_waits: false,
            purged: read(saved, Key::Purged, Reader::position)?,
            entries: read_entries(saved)?,
        };
        held.check()?;
        Ok(Self {
            held: Arc::new(Mutex::new(held)),
            writer,
        })
    }

    /// Writes down what was left for later.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let changes = Vec::from_iter(self.held.lock().committed_change());
        if changes.is_empty() {
            return Ok(());
        }
        self.writer.write(changes).await
    }

    /// Writes down what was left for later, if there is anything, and does not wait for it.
    pub(crate) fn flush_soon(&self) {
        // Submitted under the lock, so that no newer position passes it on the way.
        let mut held = self.held.lock();
        if let Some(change) = held.committed_change() {
            self.writer.submit(vec![change], Box::new(|_| {}));
        }
    }

    /// Writes these changes, and what was left for later, and waits for the disk.
    async fn write(&self, change: Change) -> io::Result<()> {
        let mut changes = Vec::from_iter(self.held.lock().committed_change());
        changes.push(change);
        self.writer.write(changes).await.map_err(io::Error::other)
    }
}

impl Held {
    fn last(&self) -> Option<Position> {
        let entry = self.entries.last_key_value().map(|(_, entry)| entry.log_id);
        entry.or(self.purged)
    }

    fn committed_change(&mut self) -> Option<Change> {
        std::mem::take(&mut self.committed_waits).then(|| {
            let committed = Encoder::one(|w| {
                w.position_or_none(self.committed.as_ref());
            });
            Change::Put(Key::Committed, seal(committed))
        })
    }

    /// A log without holes that begins right after what was purged.
    fn check(&self) -> Result<(), StoreError> {
        let first = self.entries.first_key_value().map(|(index, _)| *index);
        let last = self.entries.last_key_value().map(|(index, _)| *index);
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(());
        };
        let has_holes = last - first + 1 != self.entries.len() as u64;
        let begins_at = self.purged.map_or(0, |purged| purged.index + 1);
        if has_holes || first != begins_at {
            let why = format!("log {first}..={last} of {} entries", self.entries.len());
            return Err(StoreError::Damaged(why));
        }
        Ok(())
    }
}

impl RaftLogReader<Engine> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let Some(range) = proper(&range) else {
            return Ok(Vec::new());
        };
        let held = self.held.lock();
        Ok(held.entries.range(range).map(|(_, e)| e.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.held.lock().vote)
    }
}

impl RaftLogStorage<Engine> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Engine>> {
        let held = self.held.lock();
        Ok(LogState {
            last_purged_log_id: held.purged,
            last_log_id: held.last(),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.held.lock().vote = Some(*vote);
        let bytes = Encoder::one(|w| {
            w.vote(vote);
        });
        self.write(Change::Put(Key::Vote, seal(bytes))).await
    }

    async fn save_committed(&mut self, committed: Option<Position>) -> io::Result<()> {
        let mut held = self.held.lock();
        held.committed_waits |= held.committed != committed;
        held.committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<Position>> {
        Ok(self.held.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Engine>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        // Submitted under the lock, so that two appends cannot pass each other on the way.
        let mut held = self.held.lock();
        let mut changes = Vec::from_iter(held.committed_change());
        for entry in entries {
            let bytes = Encoder::one(|w| {
                w.entry(&entry);
            });
            changes.push(Change::Append(entry.index(), seal(bytes)));
            held.entries.insert(entry.index(), entry);
        }
        let done = move |outcome: Result<(), StoreError>| {
            callback.io_completed(outcome.map_err(io::Error::other));
        };
        self.writer.submit(changes, Box::new(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<Position>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        self.held.lock().entries.split_off(&from);
        self.write(Change::TruncateFrom(from)).await
    }

    async fn purge(&mut self, upto: Position) -> io::Result<()> {
        let changes = {
            let mut held = self.held.lock();
            held.purged = Some(upto);
            held.entries = held.entries.split_off(&(upto.index + 1));
            let purged = Encoder::one(|w| {
                w.position(&upto);
            });
            let mut changes = Vec::from_iter(held.committed_change());
            changes.push(Change::Put(Key::Purged, seal(purged)));
            changes.push(Change::PurgeTo(upto.index));
            changes
        };
        self.writer.write(changes).await.map_err(io::Error::other)
    }
}

/// The range, unless it is empty, which a map would panic at.
fn proper(range: &impl RangeBounds<u64>) -> Option<(Bound<u64>, Bound<u64>)> {
    let first = match range.start_bound() {
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let last = match range.end_bound() {
        Bound::Included(last) => *last,
        Bound::Excluded(after) => after.checked_sub(1)?,
        Bound::Unbounded => u64::MAX,
    };
    (first <= last).then_some((Bound::Included(first), Bound::Included(last)))
}

fn read_entries(saved: &Saved) -> Result<BTreeMap<u64, Entry>, StoreError> {
    let entries = saved.log.iter().map(|(index, bytes)| {
        let damaged = || StoreError::Damaged(format!("log entry {index}"));
        let bytes = unseal(bytes.clone()).map_err(|_| damaged())?;
        let entry = Reader::one(bytes, Reader::entry).map_err(|_| damaged())?;
        if entry.index() != *index {
            return Err(damaged());
        }
        Ok((*index, entry))
    });
    entries.collect()
}

fn read<T>(
    saved: &Saved,
    key: Key,
    read: impl FnOnce(&mut Reader) -> Result<T, crate::codec::DecodeError>,
) -> Result<Option<T>, StoreError> {
    let value = saved.values.get(&key).cloned();
    let damaged = |_| StoreError::Damaged(format!("value '{}'", key.as_str()));
    value
        .map(|value| unseal(value).and_then(|bytes: Bytes| Reader::one(bytes, read)))
        .transpose()
        .map_err(damaged)
}

#[cfg(test)]
mod tests;
