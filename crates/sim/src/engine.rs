//! How the shipped log is opened and what its files are called.

use std::sync::Arc;
use std::time::Duration;

use seglog::disk::sim::{Crash, SimDisk};
use seglog::log::LogOptions;
use seglog::{Health, StoreError};

pub(crate) use seglog::log::Log;

/// Sizes so small that every few steps wrap the ring, and every bound is met.
fn options() -> LogOptions {
    LogOptions {
        journal_file_bytes: 16 * 1024,
        journal_files_max: 4,
        group_commit_bytes: 6 * 1024,
        unsettled_bytes_max: 16 * 1024,
        idle_mark_after: Duration::from_millis(1),
        open_files_max: 6,
        reserve_bytes: 4 * 1024,
        new_journal_id: 0x5eed,
    }
}

/// Opens the store on `disk` as a process of its own.
pub(crate) fn open(disk: &SimDisk) -> Result<Log, StoreError> {
    Log::open(Arc::new(disk.another_process()), options(), None)
}

/// Whether the log takes nothing any more.
pub(crate) fn has_stopped(log: &Log) -> bool {
    matches!(log.health(), Health::Failed(_))
}

/// The same bytes on another disk.
pub(crate) fn copy(disk: &SimDisk) -> SimDisk {
    disk.crash(Crash::KeepAll, 0)
}

/// Whether the file at `path` can be made again from others.
pub(crate) fn is_index(path: &str) -> bool {
    path.ends_with(".index")
}
