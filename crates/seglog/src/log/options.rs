//! Sizes and times of a log; the defaults are the product's, the simulator takes tiny ones.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use model::limits;

use super::group::{GROUP_ALIGN, GROUP_OVERHEAD_MAX};

/// How a log is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes of one journal file, a multiple of 4,096. The largest batch must fit in one.
    pub journal_file_bytes: u64,
    /// Most journal files.
    pub journal_files_max: usize,
    /// Most bytes of one group, if more than one batch is in it.
    pub group_commit_bytes: usize,
    /// Most bytes committed but not settled; then commits wait.
    pub unsettled_bytes_max: usize,
    /// After this time without appends the end of the journal is marked as durable.
    pub idle_mark_after: Duration,
    /// Most segment files kept open, except that those not synced stay open until they are.
    pub open_files_max: usize,
    /// Bytes kept back for the checkpoint when the disk is full; 0 keeps none.
    pub reserve_bytes: u64,
    /// Names the journal if this open makes it, so that no other store's groups are taken for its
    /// own; best random.
    pub new_journal_id: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            journal_file_bytes: limits::JOURNAL_FILE_BYTES,
            journal_files_max: limits::JOURNAL_FILES_MAX,
            group_commit_bytes: limits::GROUP_COMMIT_BYTES_MAX,
            unsettled_bytes_max: limits::UNSETTLED_BYTES_MAX,
            idle_mark_after: Duration::from_millis(20),
            open_files_max: 4096,
            reserve_bytes: 8 << 20,
            // The standard library's only source of randomness, and one is enough here.
            new_journal_id: RandomState::new().build_hasher().finish(),
        }
    }
}

impl LogOptions {
    /// The same with every value in the range that works.
    pub(super) fn checked(mut self) -> Self {
        let aligned = self.journal_file_bytes - self.journal_file_bytes % GROUP_ALIGN;
        // Positions in a journal file are 32 bits.
        self.journal_file_bytes = aligned.clamp(2 * GROUP_ALIGN, 1 << 31);
        self.journal_files_max = self.journal_files_max.max(1);
        self.group_commit_bytes = self.group_commit_bytes.max(1);
        self.unsettled_bytes_max = self.unsettled_bytes_max.max(1);
        self.open_files_max = self.open_files_max.max(1);
        self
    }

    /// The largest frame that a group of one entry has room for.
    pub(super) fn frame_bytes_max(&self) -> usize {
        let room = self.journal_file_bytes.saturating_sub(GROUP_OVERHEAD_MAX);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// From this many bytes on the settle thread does not wait for more.
    pub(super) const fn settle_from_bytes(&self) -> usize {
        self.unsettled_bytes_max / 2
    }

    /// The ring counts as a third full, and a checkpoint is due, from this many files in use.
    pub(super) fn checkpoint_at_files(&self) -> usize {
        (self.journal_files_max / 3).max(1)
    }
}
