//! Figures for a person or a metrics page.

use super::Log;

/// How a log is doing, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Partitions that exist.
    pub partitions: usize,
    /// Segment files.
    pub segments: usize,
    /// Segments in which a read met damage. Their files are kept as they are.
    pub damaged_segments: usize,
    /// Bytes committed and not yet in segments.
    pub unsettled_bytes: usize,
    /// Journal files.
    pub journal_files: usize,
    /// Journal files that hold what no checkpoint covers.
    pub journal_files_in_use: usize,
    /// Sequence number of the next group that a checkpoint will cover first.
    pub covered_sequence: u64,
}

impl Log {
    /// Figures for a person or a metrics page. May wait for one group to be written.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let covered = self.covered();
        let mut stats = Stats {
            covered_sequence: covered,
            ..Stats::default()
        };
        for partition in self.all_partitions() {
            let state = partition.state.lock();
            stats.partitions += 1;
            stats.segments += state.segments.len();
            stats.damaged_segments += state
                .segments
                .values()
                .filter(|segment| segment.is_damaged())
                .count();
        }
        stats.unsettled_bytes = self.backlog.lock().bytes;
        let journal = self.journal.lock();
        stats.journal_files = journal.file_count();
        stats.journal_files_in_use = journal.files_in_use(covered);
        stats
    }
}
