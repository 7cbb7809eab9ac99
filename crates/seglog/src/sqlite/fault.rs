//! What an error of SQLite means for the store.

use std::io;

use rusqlite::ErrorCode;

use crate::{ReadError, StoreError};

/// An error, sorted by what has to follow.
#[derive(Debug)]
pub(super) enum Fault {
    /// No space: refuse, keep reading, try again later.
    Full,
    /// The file holds something that cannot be: tell readers, stop writing.
    Damaged(String),
    /// Anything else: after a failed write or sync nothing may be acknowledged any more.
    Failed(String),
}

impl Fault {
    pub(super) fn store_error(self, what: &str) -> StoreError {
        match self {
            Self::Full => StoreError::Full,
            Self::Damaged(message) => StoreError::Damaged(format!("{what}: {message}")),
            Self::Failed(message) => StoreError::Io {
                what: what.to_owned(),
                source: io::Error::other(message),
            },
        }
    }

    pub(super) fn read_error(self) -> ReadError {
        match self {
            Self::Full => ReadError::Io("the disk is full".to_owned()),
            Self::Damaged(message) | Self::Failed(message) => ReadError::Io(message),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let message = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(message),
            Some(_) => Self::Failed(message),
            // Not from SQLite itself: a column held what the schema does not allow.
            None => Self::Damaged(message),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}
