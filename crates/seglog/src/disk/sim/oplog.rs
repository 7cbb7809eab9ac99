//! What was done to the disk, so that invariants can be checked by joining it with the acks.

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

/// One operation.
#[derive(Debug, Clone)]
pub struct Op {
    /// Counted from 0.
    pub number: u64,
    /// What it was.
    pub kind: OpKind,
    /// On which path; of a file, the one it was opened by.
    pub path: Arc<str>,
    /// The new path of a rename.
    pub to: Option<Arc<str>>,
    /// The file or directory, whatever its name is now; 0 is the root, and of a failed look-up.
    pub inode: u64,
    /// Where in the file it began; the length asked for, of a reserve or a set-length.
    pub position: u64,
    /// The bytes written, empty but for a write.
    pub data: Arc<[u8]>,
    /// How many bytes were read or written.
    pub len: u64,
    /// The error that its caller heard of.
    pub error: Option<ErrorKind>,
}

impl Op {
    /// Whether its caller heard of success.
    #[must_use]
    pub const fn ok(&self) -> bool {
        self.error.is_none()
    }
}

/// What can be done to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpKind {
    /// `Disk::open`
    Open,
    /// `Disk::create`
    Create,
    /// `Disk::list`
    List,
    /// `Disk::create_dir`
    CreateDir,
    /// `Disk::remove`
    Remove,
    /// `Disk::remove_dir`
    RemoveDir,
    /// `Disk::rename`
    Rename,
    /// `Disk::sync_dir`
    SyncDir,
    /// `Disk::lock`
    Lock,
    /// `DiskFile::read_at`
    Read,
    /// `DiskFile::write_at`
    Write,
    /// `DiskFile::reserve`
    Reserve,
    /// `DiskFile::set_len`
    SetLen,
    /// `DiskFile::sync_data`
    Sync,
}

impl OpKind {
    /// Whether the disk is another after it.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Open | Self::List | Self::Lock | Self::Read)
    }

    /// The word for it in a trace.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::List => "list",
            Self::CreateDir => "create-dir",
            Self::Remove => "remove",
            Self::RemoveDir => "remove-dir",
            Self::Rename => "rename",
            Self::SyncDir => "sync-dir",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Write => "write",
            Self::Reserve => "reserve",
            Self::SetLen => "set-len",
            Self::Sync => "sync",
        }
    }
}

/// One line of a trace, such as `12 write journal/3 4096+8192 ok`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.number, self.kind.as_str(), self.path)?;
        if let Some(to) = &self.to {
            write!(f, " -> {to}")?;
        }
        if matches!(
            self.kind,
            OpKind::Read | OpKind::Write | OpKind::Reserve | OpKind::SetLen
        ) {
            write!(f, " {}+{}", self.position, self.len)?;
        }
        f.write_str(if self.ok() { " ok" } else { " failed" })
    }
}
