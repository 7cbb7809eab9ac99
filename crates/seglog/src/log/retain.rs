//! What goes: segments that are too old or too many, segments below the start, dropped partitions.
//!
//! Their files are removed only behind a checkpoint that no longer names them, so a start never
//! looks for a file that is gone.

use std::sync::Arc;

use model::{Offset, PartitionId, Timestamp};

use super::Log;
use super::partition::{Partition, State, directory};
use super::segment::Segment;

/// Files that wait to be removed.
#[derive(Default)]
pub(super) struct Garbage {
    segments: Vec<Arc<Segment>>,
    /// Dropped partitions, and the group that dropped each.
    partitions: Vec<(PartitionId, u64)>,
}

/// What a checkpoint frees.
#[derive(Default)]
pub(super) struct Removable {
    segments: Vec<Arc<Segment>>,
    partitions: Vec<(PartitionId, u64)>,
}

impl Garbage {
    /// Whether the files of one of these partitions, dropped, may still be there.
    pub(super) fn holds_any(&self, partitions: &[PartitionId]) -> bool {
        self.partitions
            .iter()
            .any(|(id, _)| partitions.contains(id))
    }

    /// What can go behind a checkpoint that covers the groups up to `settled`. A partition whose
    /// drop the journal would replay must not be made again yet, so it stays on the list.
    pub(super) fn take(&mut self, settled: u64) -> Removable {
        let covered = |(_, sequence): &mut (PartitionId, u64)| *sequence <= settled;
        Removable {
            segments: std::mem::take(&mut self.segments),
            partitions: self.partitions.extract_if(.., covered).collect(),
        }
    }

    /// The checkpoint could not be written.
    pub(super) fn put_back(&mut self, removable: Removable) {
        self.segments.extend(removable.segments);
        self.partitions.extend(removable.partitions);
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
            let removed = {
                let mut state = partition.state.lock();
                let mut removed = take_too_old(&mut state, now);
                removed.extend(take_too_many(&mut state));
                if let Some(last) = removed.last() {
                    state.start = state.start.max(last.extent().end);
                }
                unload_indexes(&state);
                removed
            };
            self.discard(removed);
        }
    }

    /// Moves the first offset kept forward.
    pub(super) fn move_start(&self, partition: &Partition, start: Offset) {
        let removed = {
            let mut state = partition.state.lock();
            state.start = state.start.max(start);
            state.take_below_start()
        };
        self.discard(removed);
    }

    /// A dropped partition: nobody finds it any more, nothing of it is written any more.
    pub(super) fn forget(&self, partition: &Partition, sequence: u64) {
        self.garbage
            .lock()
            .partitions
            .push((partition.id, sequence));
        self.partitions.write().remove(&partition.id);
        let mut state = partition.state.lock();
        state.dropped = true;
        state.tail.clear();
    }

    /// Removes what the checkpoint just written no longer names. A file that cannot be removed is
    /// only space lost: the next start that was not preceded by a clean end looks for such files.
    pub(super) fn remove(&self, removable: Removable) {
        for segment in removable.segments {
            segment.set_open_file(None);
            let _space = self.disk.remove(&segment.path());
            let _space = self.disk.remove(&segment.index_path());
        }
        for (id, _) in removable.partitions {
            let _space = self.disk.remove_dir(&directory(id));
        }
    }

    fn discard(&self, removed: Vec<Arc<Segment>>) {
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
