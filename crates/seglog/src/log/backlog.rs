//! Groups that are on disk in the journal and not yet in segments.

use std::collections::VecDeque;
use std::sync::Arc;

use super::group::Place;
use super::partition::Partition;

/// One such group.
pub(super) struct Committed {
    pub(super) sequence: u64,
    /// Where the group after it stands, if it is in the same file.
    pub(super) end: Place,
    /// Bytes of its frames.
    pub(super) bytes: usize,
    /// Partitions that it appended to; one may be here more than once.
    pub(super) partitions: Vec<Arc<Partition>>,
}

/// All of them, oldest first.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) groups: VecDeque<Committed>,
    pub(super) bytes: usize,
}

impl Backlog {
    /// Returns how many bytes there are now.
    pub(super) fn push(&mut self, group: Committed) -> usize {
        self.bytes += group.bytes;
        self.groups.push_back(group);
        self.bytes
    }

    /// Forgets the groups up to `sequence`, which have settled.
    pub(super) fn settled(&mut self, sequence: u64) {
        while let Some(group) = self.groups.pop_front_if(|group| group.sequence <= sequence) {
            self.bytes -= group.bytes;
        }
    }
}
