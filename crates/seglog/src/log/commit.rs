//! The first step: from the queue into the journal.

use std::sync::Arc;

use super::backlog::Committed;
use super::group::group_bytes;
use super::journal::{Journal, Room, Written};
use super::partition::Partition;
use super::poison::Failure;
use super::queue::{Change, Item};
use super::{Log, Progress};

/// What the next group may take.
struct Limits {
    /// Bytes left in the journal file.
    room: u64,
    /// Bytes of frames.
    frames: usize,
}

impl Log {
    /// Makes the next group durable and readable, and calls its `done`s.
    ///
    /// `Blocked` until a settle step or a checkpoint has made room.
    pub fn commit_step(&self) -> Progress {
        let mut journal = self.journal.lock();
        if self.poison.is_set() {
            return Progress::Idle;
        }
        let Some(first) = self.queue.lock().first_frame_bytes() else {
            return Progress::Idle;
        };
        let limits = match self.limits(&mut journal, first) {
            Ok(Some(limits)) => limits,
            Ok(None) => return Progress::Blocked,
            Err(Failure::Full) => return self.enter_full_between_groups(&journal),
            Err(Failure::Fatal(reason)) => return self.fail_group(&journal, Vec::new(), reason),
        };
        let items = self.queue.lock().take_group(limits.room, limits.frames);
        if items.is_empty() {
            // Refused meanwhile.
            return Progress::Idle;
        }
        self.commit(&mut journal, items)
    }

    /// Writes a group of nothing behind the last one, if that is not marked yet: later damage to
    /// the last acknowledged group can then be told from a torn write. Cheap; called when no
    /// appends come.
    pub fn mark_durable_end(&self) -> Progress {
        let mut journal = self.journal.lock();
        if self.poison.is_set() || !journal.is_unmarked() {
            return Progress::Idle;
        }
        match self.limits(&mut journal, 0) {
            Ok(Some(_)) => self.commit(&mut journal, Vec::new()),
            Ok(None) | Err(Failure::Full) => Progress::Blocked,
            Err(Failure::Fatal(reason)) => self.fail_group(&journal, Vec::new(), reason),
        }
    }

    /// What the next group may take if its first frame has `first` bytes, or `None` when another
    /// step has to come first.
    fn limits(&self, journal: &mut Journal, first: usize) -> Result<Option<Limits>, Failure> {
        let needed = group_bytes(1, first);
        let unsettled = self.backlog.lock().bytes;
        let free = self.options.unsettled_bytes_max.saturating_sub(unsettled);
        // Whatever the limit, a single batch must get through once nothing is before it. Changes
        // without a frame always do: on a full disk nothing settles, and some of them make room.
        if unsettled > 0 && free < first {
            self.wakes.settle.notify();
            return Ok(None);
        }
        match journal.make_room(needed, self.covered())? {
            Room::Bytes(room) => {
                let frames = self.options.group_commit_bytes.min(free);
                Ok(Some(Limits { room, frames }))
            }
            Room::None => {
                self.wakes.settle.notify();
                self.wakes.checkpoint.notify();
                Ok(None)
            }
        }
    }

    fn commit(&self, journal: &mut Journal, items: Vec<Item>) -> Progress {
        let written = match journal.write(&items) {
            Ok(written) => written,
            Err(error) => {
                let reason = format!("cannot write the journal: {error}");
                return self.fail_group(journal, items, reason);
            }
        };
        if let Some(reason) = self.poison.reason() {
            return self.fail_group(journal, items, reason);
        }
        self.apply(&written, items);
        if journal.files_in_use(self.covered()) >= self.options.checkpoint_at_files() {
            self.wakes.checkpoint.notify();
        }
        Progress::Worked
    }

    /// Makes a durable group take effect, then tells those who wait for it.
    fn apply(&self, written: &Written, items: Vec<Item>) {
        let mut dones = Vec::with_capacity(items.len());
        let mut appended: Vec<Arc<Partition>> = Vec::new();
        let mut bytes = 0;
        for item in items {
            bytes += item.frame_bytes();
            // Neighbours are often of one partition; settling tells the others apart.
            let repeated = appended
                .last()
                .is_some_and(|last| Arc::ptr_eq(last, &item.partition));
            if matches!(item.change, Change::Append(_)) && !repeated {
                appended.push(Arc::clone(&item.partition));
            }
            self.apply_change(written.sequence, &item.partition, item.change);
            dones.extend(item.done);
        }
        let unsettled = self.backlog.lock().push(Committed {
            sequence: written.sequence,
            end: written.end,
            bytes,
            partitions: appended,
        });
        for done in dones {
            done(Ok(()));
        }
        // In between the settle step need not be woken: it comes by itself after a while.
        if unsettled >= self.options.settle_from_bytes() || unsettled == bytes {
            self.wakes.settle.notify();
        }
    }

    /// Makes one durable change take effect; a start replays the journal through it too.
    pub(super) fn apply_change(&self, sequence: u64, partition: &Arc<Partition>, change: Change) {
        match change {
            Change::Append(stored) => partition.state.lock().commit(sequence, stored),
            Change::Create(settings) => {
                let known = Arc::clone(
                    self.partitions
                        .write()
                        .entry(partition.id)
                        .or_insert_with(|| Arc::clone(partition)),
                );
                known.state.lock().settings = settings;
            }
            Change::Drop => self.forget(partition, sequence),
            Change::Start(start) => self.move_start(partition, start),
        }
    }

    /// The group is not durable, or nobody knows: the log ends here. Its `done`s come before those
    /// of the queue, and nothing new is taken in between.
    fn fail_group(&self, journal: &Journal, items: Vec<Item>, reason: String) -> Progress {
        self.poison.set(reason);
        let error = self.queue.lock().stop(self.poison.error());
        for done in items.into_iter().filter_map(|item| item.done) {
            done(Err(error.clone()));
        }
        self.fail_between_groups(journal)
    }
}
