//! Writing past the system's cache.
//!
//! A large group written through the cache is copied and looked up page by page, and its sync waits
//! while segments are being written back. Written directly it is on its way at once, and its sync
//! only empties the disk's own cache: the slowest seconds of a long run are a third faster.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::OnceLock;

use parking_lot::Mutex;
use rustix::fs::OFlags;

/// Positions, lengths and memory are multiples of this, which is enough for every disk known.
const ALIGN: usize = 4096;
/// Bytes of one write.
const PIECE_BYTES: usize = 4 << 20;

/// The way past the cache to one file.
#[derive(Debug, Default)]
pub(super) struct Direct(OnceLock<Option<File>>);

impl Direct {
    /// The same file, opened for direct writes; `None` where the file system has none.
    pub(super) fn file(&self, of: &File) -> Option<&File> {
        let open = || {
            // Not by its path, which may be another file's by now.
            let path = format!("/proc/self/fd/{}", of.as_raw_fd());
            let mut options = OpenOptions::new();
            options.write(true);
            options.custom_flags(OFlags::DIRECT.bits().cast_signed());
            options.open(path).ok()
        };
        self.0.get_or_init(open).as_ref()
    }
}

/// Whether parts can be written directly at `position`: groups of the journal always, what goes to a
/// segment by chance.
pub(super) fn fits(parts: &[&[u8]], position: u64) -> bool {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    bytes.is_multiple_of(ALIGN) && position.is_multiple_of(ALIGN as u64)
}

/// Aligned memory, made when it is first needed and shared by all files of a disk.
#[derive(Debug, Default)]
pub(super) struct Staging(Mutex<Vec<u8>>);

impl Staging {
    /// Writes all parts back to back from `position`. An error may leave any of it written.
    pub(super) fn write(&self, file: &File, parts: &[&[u8]], position: u64) -> io::Result<()> {
        let mut memory = self.0.lock();
        let piece = aligned_piece(&mut memory).ok_or(io::ErrorKind::OutOfMemory)?;
        let (mut at, mut filled) = (position, 0);
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(PIECE_BYTES - filled));
                if let Some(room) = piece.get_mut(filled..filled + now.len()) {
                    room.copy_from_slice(now);
                }
                (rest, filled) = (later, filled + now.len());
                if filled == PIECE_BYTES {
                    file.write_all_at(piece, at)?;
                    (at, filled) = (at + filled as u64, 0);
                }
            }
        }
        file.write_all_at(piece.get(..filled).unwrap_or_default(), at)
    }
}

/// As much of `memory` as one write takes, from an aligned address on.
fn aligned_piece(memory: &mut Vec<u8>) -> Option<&mut [u8]> {
    memory.resize(PIECE_BYTES + ALIGN, 0);
    let from = memory.as_ptr().align_offset(ALIGN);
    memory.get_mut(from..from.checked_add(PIECE_BYTES)?)
}
