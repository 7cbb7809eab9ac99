//! The disk of this machine, through the system calls that the log's promises rest on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Builder;

use parking_lot::Mutex;
use rustix::fs::{Advice, FallocateFlags, FlockOperation, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::{Disk, DiskFile};
use crate::StoreError;

/// Parts that one `pwritev` takes (`IOV_MAX` of Linux).
const PARTS_PER_CALL: usize = 1024;
const PAGE_BYTES: u64 = 4096;
/// Files synced at the same time. The sync of a growing file also waits for its inode, or for a
/// commit of the file system's own journal, which all that wait share.
const SYNCS_AT_ONCE: usize = 64;

/// A data directory of this machine.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    /// Held open, because closing a file gives its lock up.
    locks: Mutex<Vec<File>>,
}

impl RealDisk {
    /// Opens the data directory at `path`, and makes it when there is none, for its owner only.
    ///
    /// A path that leads to something else, or nowhere, is refused with what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let root = directory(path).map_err(|source| StoreError::Io {
            what: format!("cannot use {} as data directory", path.display()),
            source,
        })?;
        Ok(Self {
            root,
            locks: Mutex::default(),
        })
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }
}

/// The directory's own path without links, so that a link changed later changes nothing.
fn directory(path: &Path) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => path.canonicalize(),
        Ok(_) => Err(io::Error::new(
            ErrorKind::NotADirectory,
            "it is a file, not a directory",
        )),
        // Something has the name, but leads nowhere: a link to nothing. Making it would surprise.
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_symlink() => Err(
            io::Error::new(ErrorKind::NotFound, "it is a symbolic link to nothing"),
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => make_directory(path),
        Err(error) => Err(error),
    }
}

/// Makes the directory with its parents, and their names durable.
fn make_directory(path: &Path) -> io::Result<PathBuf> {
    let made = missing(path);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    let root = path.canonicalize()?;
    for holder in root.ancestors().skip(1).take(made) {
        File::open(holder)?.sync_all()?;
    }
    Ok(root)
}

/// How many directories of a path are still to be made.
fn missing(path: &Path) -> usize {
    path.ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .count()
}

impl Disk for RealDisk {
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = options().open(self.at(path))?;
        Ok(Box::new(RealFile::new(file)))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = options().create_new(true).mode(0o600).open(self.at(path))?;
        Ok(Box::new(RealFile::new(file)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.at(dir)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.at(dir))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.at(path)))
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(self.at(dir)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.at(dir))?.sync_all()
    }

    fn lock(&self, path: &str) -> io::Result<()> {
        let file = options()
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.at(path))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        self.locks.lock().push(file);
        Ok(())
    }

    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn sync_files(&self, files: &[Arc<dyn DiskFile>]) -> io::Result<()> {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                file.sync_data()?;
            }
            Ok(())
        };
        match files {
            [] => Ok(()),
            [file] => file.sync_data(),
            _ => in_threads(SYNCS_AT_ONCE.min(files.len()), work),
        }
    }
}

/// Runs `work` in `count` threads at once, this one among them, or in as many as the system gives;
/// the first error wins.
fn in_threads(count: usize, work: impl Fn() -> io::Result<()> + Sync) -> io::Result<()> {
    std::thread::scope(|scope| {
        let start = |_| Builder::new().spawn_scoped(scope, &work).ok();
        let threads: Vec<_> = (1..count).map_while(start).collect();
        let mut result = work();
        for thread in threads {
            let ended = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a sync panicked")));
            result = result.and(ended);
        }
        result
    })
}

/// A link in place of a file is never followed: the log reads and writes its own files only.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    /// The file system knows nothing of [`DONT_CACHE`].
    always_caches: AtomicBool,
}

/// `RWF_DONTCACHE` of Linux 6.14: written at once, and not kept in the cache. Memory that is used
/// over and over is several times cheaper than memory that is new.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

impl RealFile {
    const fn new(file: File) -> Self {
        Self {
            file,
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

    /// Whether the streaming flag is to be used.
    fn streams(&self) -> bool {
        !self.always_caches.load(Ordering::Relaxed)
    }

    /// Whether `error` only says that the flag is unknown; then it is not used again.
    fn is_unknown_flag(&self, error: &io::Error) -> bool {
        let raw = error.raw_os_error().map(Errno::from_raw_os_error);
        let unknown = matches!(raw, Some(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS));
        if unknown {
            self.always_caches.store(true, Ordering::Relaxed);
        }
        unknown
    }
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
        if self.streams() {
            match self.write_parts(parts, position, DONT_CACHE) {
                Err(error) if self.is_unknown_flag(&error) => {}
                result => return result,
            }
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

#[cfg(test)]
mod tests;
