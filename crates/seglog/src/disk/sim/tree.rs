//! Files and directories, each as a reader sees it, as a power cut leaves it, and what lies between.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// A file or directory, whatever it is called.
pub(super) type Inode = u64;

/// The inode of the data directory itself.
pub(super) const ROOT: Inode = 0;

/// What an inode is.
#[derive(Debug, Clone)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// A file's bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct FileNode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
    pub(super) reserved: u64,
}

/// A directory's names.
#[derive(Debug, Clone, Default)]
pub(super) struct DirNode {
    pub(super) cached: BTreeMap<String, Inode>,
    pub(super) durable: BTreeMap<String, Inode>,
    pub(super) pending: Vec<NameChange>,
}

/// One change of a file that no sync has covered.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { position: usize, data: Arc<[u8]> },
    SetLen(usize),
}

/// One change of a directory that no sync has covered; a rename within it is both at once.
#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) removed: Option<String>,
    pub(super) added: Option<(String, Inode)>,
}

impl FileNode {
    /// A file with these durable bytes.
    pub(super) fn found(durable: Vec<u8>) -> Self {
        Self {
            cached: durable.clone(),
            durable,
            ..Self::default()
        }
    }

    /// Bytes that it takes on the disk.
    pub(super) fn allocated(&self) -> u64 {
        self.reserved.max(self.cached.len() as u64)
    }

    /// Changes what readers see, and remembers it until the next sync.
    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.pending.push(change);
    }

    /// Makes every change durable.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Fails as a disk does: some changes made it (`kept` says which), and all count as clean now.
    /// With `drop_cache` readers see the disk again; without it they see what is not there.
    pub(super) fn fail_sync(&mut self, drop_cache: bool, mut kept: impl FnMut() -> bool) {
        for change in self.pending.drain(..).filter(|_| kept()) {
            change.apply(&mut self.durable);
        }
        if drop_cache {
            self.cached.clone_from(&self.durable);
        }
    }
}

impl DirNode {
    /// A directory with these durable names.
    pub(super) fn found(durable: BTreeMap<String, Inode>) -> Self {
        Self {
            cached: durable.clone(),
            durable,
            pending: Vec::new(),
        }
    }

    /// Changes what readers see, and remembers it until the next sync.
    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.cached);
        self.pending.push(change);
    }

    /// Makes every change durable.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }
}

impl Change {
    /// Does it to `bytes`.
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { position, data } => write(bytes, *position, data),
            Self::SetLen(len) => bytes.resize(*len, 0),
        }
    }
}

impl NameChange {
    /// Does it to `names`.
    pub(super) fn apply(&self, names: &mut BTreeMap<String, Inode>) {
        if let Some(name) = &self.removed {
            names.remove(name);
        }
        if let Some((name, inode)) = &self.added {
            names.insert(name.clone(), *inode);
        }
    }
}

/// Writes `data` at `position`, filling what lies before it with zeros.
pub(super) fn write(bytes: &mut Vec<u8>, position: usize, data: &[u8]) {
    let end = position.saturating_add(data.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(target) = bytes.get_mut(position..end) {
        target.copy_from_slice(data);
    }
}

/// The directory part and the last name of a path.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The names of a path; none for the data directory itself.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter(|name| !name.is_empty() && *name != ".")
}

/// A position or length as an index; simulated files never come near the limit.
pub(super) fn index(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}
