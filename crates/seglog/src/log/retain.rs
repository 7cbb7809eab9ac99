//! What goes: segments that are too old or too many, segments below the start, dropped partitions.
//!
//! Their files are removed only behind a checkpoint that no longer names them, so a start never
//! looks for a file that is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Offset, PartitionId, Timestamp};

use super::Log;
use super::partition::{Partition, State, directory};
use super::segment::Segment;

/// Files that wait to be removed.
#[derive(Default)]
pub(super) struct Garbage {
    segments: Vec<Arc<Segment>>,
    /// Dropped partitions, and the group that dropped each; until their files are gone.
    partitions: BTreeMap<PartitionId, u64>,
}

/// What a checkpoint frees.
#[derive(Default)]
pub(super) struct Removable {
    segments: Vec<Arc<Segment>>,
    partitions: Vec<PartitionId>,
    /// The last group whose drops these are.
    up_to: u64,
}

impl Garbage {
    /// Whether the files of one of these partitions, dropped, may still be there.
    pub(super) fn holds_any(&self, partitions: &[PartitionId]) -> bool {
        partitions.iter().any(|id| self.partitions.contains_key(id))
    }

    /// What can go behind a checkpoint that covers the groups up to `settled`. A partition whose
    /// drop the journal would replay must not be made again yet, and neither one whose files are
    /// still there: it stays on the list until [`Garbage::removed`].
    pub(super) fn take(&mut self, settled: u64) -> Removable {
        let dropped = self.partitions.iter();
        let covered = dropped.filter(|(_, sequence)| **sequence <= settled);
        Removable {
            segments: std::mem::take(&mut self.segments),
            partitions: covered.map(|(id, _)| *id).collect(),
            up_to: settled,
        }
    }

    /// The checkpoint could not be written.
    pub(super) fn put_back(&mut self, removable: Removable) {
        self.segments.extend(removable.segments);
    }

    /// The files of partitions that the groups up to `up_to` dropped are gone.
    fn removed(&mut self, up_to: u64) {
        self.partitions.retain(|_, sequence| *sequence > up_to);
    }
}

impl Removable {
    pub(super) const fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.partitions.is_empty()
    }
}

impl Log {
    /// Applies every partition's retention; see [`crate::Store::retain`]. By size the newest
    /// segment always stays; by time it goes too once all of its records are too old, so that a
    /// quiet topic does not keep its last records for ever. The next checkpoint removes the files.
    pub fn retain(&self, now: Timestamp) {
        for partition in self.all_partitions() {
            let mut state = partition.state.lock();
            if state.dropped {
                continue;
            }
            let mut removed = take_too_old(&mut state, now);
            removed.extend(take_too_many(&mut state));
            if let Some(last) = removed.last() {
                state.start = state.start.max(last.extent().end);
            }
            unload_indexes(&state);
            self.discard(&state, removed);
        }
    }

    /// Moves the first offset kept forward.
    pub(super) fn move_start(&self, partition: &Partition, start: Offset) {
        let mut state = partition.state.lock();
        state.start = state.start.max(start);
        let removed = state.take_below_start();
        self.discard(&state, removed);
    }

    /// A dropped partition: nobody finds it any more, nothing of it is written any more.
    pub(super) fn forget(&self, partition: &Partition, sequence: u64) {
        self.garbage
            .lock()
            .partitions
            .insert(partition.id, sequence);
        self.partitions.write().remove(&partition.id);
        let mut state = partition.state.lock();
        state.dropped = true;
        state.tail.clear();
        // The next checkpoint frees their space, even if a full disk keeps it from covering this
        // group: it no longer names the partition.
        let segments = std::mem::take(&mut state.segments);
        self.discard(&state, segments.into_values().collect());
    }

    /// Removes what the checkpoint just written no longer names. A file that cannot be removed is
    /// only space lost: the next start that was not preceded by a clean end looks for such files.
    pub(super) fn remove(&self, removable: Removable) {
        for segment in removable.segments {
            segment.set_open_file(None);
            let _space = self.disk.remove(&segment.path());
            let _space = self.disk.remove(&segment.index_path());
        }
        for id in removable.partitions {
            let _space = self.disk.remove_dir(&directory(id));
        }
        self.garbage.lock().removed(removable.up_to);
    }

    /// Segments just taken out of a partition wait to be removed. Holding its state proves that they
    /// do before a drop of it can be complete: later, their paths may be those of another partition
    /// under the same id.
    fn discard(&self, _taken_from: &State, removed: Vec<Arc<Segment>>) {
        if !removed.is_empty() {
            self.garbage.lock().segments.extend(removed);
            self.wakes.checkpoint.notify();
        }
    }
}

fn take_too_old(state: &mut State, now: Timestamp) -> Vec<Arc<Segment>> {
    let Some(retention) = state.settings.retention else {
        return Vec::new();
    };
    let oldest_kept = now.before(retention);
    let mut taken = Vec::new();
    // The newest one is written to while anything waits to settle.
    let keep = usize::from(!state.tail.is_empty());
    while state.segments.len() > keep
        && let Some(first) = state.segments.first_entry()
        && first.get().extent().max_timestamp < oldest_kept
    {
        taken.push(first.remove());
    }
    taken
}

fn take_too_many(state: &mut State) -> Vec<Arc<Segment>> {
    let Some(most) = state.settings.retention_bytes else {
        return Vec::new();
    };
    let mut taken = Vec::new();
    let mut size = state.size();
    while state.segments.len() > 1
        && let Some(first) = state.segments.first_entry()
    {
        size -= first.get().extent().bytes;
        if size < most {
            break;
        }
        taken.push(first.remove());
    }
    taken
}

/// Segments that nobody appends to load theirs again when somebody reads there.
fn unload_indexes(state: &State) {
    for segment in state.segments.values().rev().skip(1) {
        segment.unload_index();
    }
}

#[cfg(test)]
mod tests {
    use model::{PartitionIndex, TopicId};

    use super::*;

    #[test]
    fn a_dropped_partition_is_listed_until_its_files_are_gone() {
        let id = |index| PartitionId {
            topic: TopicId::from_bytes([1; 16]),
            index: PartitionIndex(index),
        };
        let mut garbage = Garbage::default();
        garbage.partitions.insert(id(0), 5);
        garbage.partitions.insert(id(1), 6);
        let removable = garbage.take(5);
        assert_eq!(removable.partitions, [id(0)]);
        // A checkpoint is being written; the files go behind it.
        assert!(garbage.holds_any(&[id(0)]));
        garbage.removed(removable.up_to);
        assert!(!garbage.holds_any(&[id(0)]));
        assert!(garbage.holds_any(&[id(0), id(1)]));
    }
}
