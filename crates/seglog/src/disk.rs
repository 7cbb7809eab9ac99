//! The seam to the disk: everything the log does to files, and nothing more.
//!
//! Paths are relative to the data directory, with `/` between parts. The promises are those of a
//! POSIX file system and no stronger: a write may be lost or torn until `sync_data` has returned; a
//! created, renamed or removed name may come or go until `sync_dir` of its directory has returned.

mod real;
pub mod sim;

use std::fmt;
use std::io;
use std::sync::Arc;

pub use real::RealDisk;

use crate::StoreError;

/// The lock file of a data directory, whatever engine has its files there.
pub const LOCK_FILE: &str = "LOCK";

/// A directory tree on a disk.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a new, empty file; an existing one is an error.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Names in a directory, sorted; an absent directory has none.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Makes a directory and its parents; an existing one is fine.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Removes a file; an absent one is fine.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Removes a directory with all it holds; an absent one is fine.
    fn remove_dir(&self, dir: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Takes the lock file of the directory for the life of the disk; `WouldBlock` when held.
    fn lock(&self, path: &str) -> io::Result<()>;
    /// What to call the directory in a message.
    fn name(&self) -> String {
        "the data directory".to_owned()
    }
    /// Syncs all these files, at the same time if that helps. After an error none is to be trusted.
    fn sync_files(&self, files: &[Arc<dyn DiskFile>]) -> io::Result<()> {
        files.iter().try_for_each(|file| file.sync_data())
    }
}

/// Takes the data directory for this process, for the life of the disk.
pub fn lock_directory(disk: &dyn Disk) -> Result<(), StoreError> {
    disk.lock(LOCK_FILE).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => StoreError::Locked(disk.name()),
        _ => StoreError::Io {
            what: "cannot lock the data directory".to_owned(),
            source,
        },
    })
}

/// What the other engines say of a directory that holds a log of `engine`.
pub(crate) fn made_by(disk: &dyn Disk, engine: &str) -> StoreError {
    StoreError::Format(format!(
        "{} holds a log made with --store {engine}; start with that, or choose another --data \
         directory",
        disk.name()
    ))
}

/// One open file.
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `buf` from `position`; a short file is `UnexpectedEof`.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<()>;
    /// Writes all parts back to back from `position`.
    fn write_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()>;
    /// [`DiskFile::write_at`] for many bytes that will not be read soon: they need not stay in the
    /// system's cache, and may be on their way to the disk already.
    fn stream_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        self.write_at(parts, position)
    }
    /// [`DiskFile::read_at`] for many bytes that will not be read again soon.
    fn stream_from(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        self.read_at(buf, position)
    }
    /// The first `len` bytes, which are synced, need not stay in the system's cache.
    fn forget(&self, len: u64) {
        let _ = len;
    }
    /// Reserves space up to `len` without changing the length; makes later writes cheap and safe
    /// from a full disk. May do nothing where the file system cannot.
    fn reserve(&self, len: u64) -> io::Result<()>;
    /// Cuts or zero-extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Returns once all that was written is on the disk. After an error the file must not be
    /// trusted, and must never be synced again in hope.
    fn sync_data(&self) -> io::Result<()>;
}
