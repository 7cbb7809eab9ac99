//! Space set aside, so that a full disk still takes deletions and positions.

use std::io;

use crate::Disk;

const RESERVE_FILE: &str = "hark-log.reserve";

/// A file that holds nothing but blocks.
#[derive(Debug)]
pub(super) struct Reserve {
    bytes: u64,
}

impl Reserve {
    pub(super) const fn new(bytes: u64) -> Self {
        Self { bytes }
    }

    /// Takes the space, anew if the file is there already; `StorageFull` when there is none.
    pub(super) fn take(&self, disk: &dyn Disk) -> io::Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let file = match disk.open(RESERVE_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(RESERVE_FILE)?,
            opened => opened?,
        };
        let reserved = file.reserve(self.bytes);
        if reserved.is_err() {
            // Half a reserve is of no use, and its blocks may be what is missing.
            disk.remove(RESERVE_FILE)?;
        }
        reserved
    }

    /// Gives the space back.
    pub(super) fn release(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.remove(RESERVE_FILE)
    }
}
