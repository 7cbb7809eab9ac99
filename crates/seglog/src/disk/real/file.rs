//! One file of this machine.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, FallocateFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::direct::{self, Direct, Staging};
use crate::DiskFile;

/// Parts that one `pwritev` takes (`IOV_MAX` of Linux).
const PARTS_PER_CALL: usize = 1024;
const PAGE_BYTES: u64 = 4096;

#[derive(Debug)]
pub(super) struct RealFile {
    file: File,
    direct: Direct,
    staging: Arc<Staging>,
    /// The file system knows nothing of writing directly.
    never_direct: AtomicBool,
    /// The file system knows nothing of [`DONT_CACHE`].
    always_caches: AtomicBool,
}

/// `RWF_DONTCACHE` of Linux 6.14: written at once, and not kept in the cache. Memory that is used
/// over and over is several times cheaper than memory that is new.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

impl RealFile {
    pub(super) fn new(file: File, staging: &Arc<Staging>) -> Self {
        Self {
            file,
            direct: Direct::default(),
            staging: Arc::clone(staging),
            never_direct: AtomicBool::new(false),
            always_caches: AtomicBool::new(false),
        }
    }

    fn write_parts(&self, parts: &[&[u8]], position: u64, flags: ReadWriteFlags) -> io::Result<()> {
        let mut at = position;
        for chunk in parts.chunks(PARTS_PER_CALL) {
            at += write_parts(&self.file, chunk, at, flags)?;
        }
        Ok(())
    }

    /// Drops pages that are not dirty from the system's cache.
    fn drop_pages(&self, from: u64, to: u64) {
        if let Some(len) = NonZeroU64::new(to.saturating_sub(from)) {
            // Advice; the system may do as it likes.
            let _ = rustix::fs::fadvise(&self.file, from, Some(len), Advice::DontNeed);
        }
    }

    /// Writes past the cache; false where that cannot be done, with any part of it written.
    fn write_directly(&self, parts: &[&[u8]], position: u64) -> io::Result<bool> {
        if self.never_direct.load(Ordering::Relaxed) || !direct::fits(parts, position) {
            return Ok(false);
        }
        let Some(file) = self.direct.file(&self.file) else {
            return Ok(false);
        };
        let written = self.staging.write(file, parts, position);
        unless_unknown(written, &self.never_direct)
    }

    /// Writes through the cache and on; false where that cannot be asked for.
    fn write_through(&self, parts: &[&[u8]], position: u64) -> io::Result<bool> {
        if self.always_caches.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let written = self.write_parts(parts, position, DONT_CACHE);
        unless_unknown(written, &self.always_caches)
    }
}

/// False, and `unknown` is noted, when the error only says that the system has no such way.
pub(super) fn unless_unknown(written: io::Result<()>, unknown: &AtomicBool) -> io::Result<bool> {
    let Err(error) = written else {
        return Ok(true);
    };
    let raw = error.raw_os_error().map(Errno::from_raw_os_error);
    if matches!(raw, Some(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS)) {
        unknown.store(true, Ordering::Relaxed);
        return Ok(false);
    }
    Err(error)
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, position)
    }

    fn write_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        self.write_parts(parts, position, ReadWriteFlags::empty())
    }

    fn stream_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        if self.write_directly(parts, position)? || self.write_through(parts, position)? {
            return Ok(());
        }
        self.write_at(parts, position)
    }

    fn stream_from(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        // Not with DONT_CACHE, which does not read ahead.
        self.read_at(buf, position)?;
        let end = position + buf.len() as u64;
        self.drop_pages(position - position % PAGE_BYTES, end - end % PAGE_BYTES);
        Ok(())
    }

    fn forget(&self, len: u64) {
        // Whole pages only: the last, half-filled one is written to again.
        self.drop_pages(0, len - len % PAGE_BYTES);
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, len) {
                Err(Errno::INTR) => {}
                // A file system without it: the write itself will tell when the disk is full.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        // Never again after an error, so not `File::sync_data`, which repeats an interrupted one.
        Ok(rustix::fs::fdatasync(&self.file)?)
    }
}

/// Writes all parts, however little the system takes at a time; returns how many bytes.
fn write_parts(
    file: &File,
    parts: &[&[u8]],
    position: u64,
    flags: ReadWriteFlags,
) -> io::Result<u64> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    // Empty parts at the front would look like a write of nothing.
    IoSlice::advance_slices(&mut rest, 0);
    let mut at = position;
    while !rest.is_empty() {
        match rustix::io::pwritev2(file, rest, at, flags) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at - position)
}
