//! The disk of this machine, through the system calls that the log's promises rest on.

mod direct;
mod file;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, OFlags};

use super::{Disk, DiskFile};
use crate::StoreError;

use self::direct::Staging;
use self::file::RealFile;

/// Files synced at the same time. The sync of a growing file also waits for its inode, or for a
/// commit of the file system's own journal, which all that wait share.
const SYNCS_AT_ONCE: usize = 64;

/// A data directory of this machine.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    /// Held open, because closing a file gives its lock up.
    locks: Mutex<Vec<File>>,
    staging: Arc<Staging>,
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
            staging: Arc::default(),
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
        Ok(Box::new(RealFile::new(file, &self.staging)))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = options().create_new(true).mode(0o600).open(self.at(path))?;
        Ok(Box::new(RealFile::new(file, &self.staging)))
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

#[cfg(test)]
mod tests;
