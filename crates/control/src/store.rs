//! Where control keeps what must survive: a few named values and the log, changed in transactions.
//!
//! A store knows no meaning. What it is given is on disk, whole or not at all, before
//! [`Store::commit`] returns; two commits never pass each other.

mod sqlite;

use std::fmt;

use thiserror::Error;

use crate::BoxFuture;

pub use sqlite::SqliteStore;

/// Where control keeps what must survive.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Everything that is there. Called once, before the first commit.
    fn load(&self) -> BoxFuture<'_, Result<Saved, StoreError>>;

    /// Makes these changes in their order, all or none, and returns when they would survive the loss of
    /// power. After an error nothing more is asked of the store. Never called before the last call
    /// has returned.
    fn commit(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// One change to what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another value.
    Put(Key, Vec<u8>),
    /// An entry of the log. Its position follows the last one, or the log is empty.
    Append(u64, Vec<u8>),
    /// All entries from this position on are gone.
    TruncateFrom(u64),
    /// All entries up to this position, and this one, are gone.
    PurgeTo(u64),
}

/// The named values. Their texts are in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Who this node is.
    Identity,
    /// The last vote that was given.
    Vote,
    /// How far the log is known to be agreed on.
    Committed,
    /// The last position that was purged.
    Purged,
    /// The catalog at a position.
    Snapshot,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Identity,
        Self::Vote,
        Self::Committed,
        Self::Purged,
        Self::Snapshot,
    ];

    /// Its text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Vote => "vote",
            Self::Committed => "committed",
            Self::Purged => "purged",
            Self::Snapshot => "snapshot",
        }
    }

    /// The key of this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == text)
    }
}

/// Everything that a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// The named values.
    pub values: std::collections::BTreeMap<Key, Vec<u8>>,
    /// The log, by position.
    pub log: std::collections::BTreeMap<u64, Vec<u8>>,
}

impl Saved {
    /// Makes one change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Put(key, value) => {
                self.values.insert(key, value);
            }
            Change::Append(position, entry) => {
                self.log.insert(position, entry);
            }
            Change::TruncateFrom(position) => {
                self.log.split_off(&position);
            }
            Change::PurgeTo(position) => {
                self.log.retain(|held, _| *held > position);
            }
        }
    }
}

/// The store cannot be used, or failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The disk or the database failed.
    #[error("the control database failed: {0}")]
    Failed(String),
    /// What is there is not what was written.
    #[error(
        "the control database is damaged ({0}); this node must not vote with it. Empty its data directory and run `hark node replace ID` on another node"
    )]
    Damaged(String),
    /// Written by another release.
    #[error("the control database has format {found}, and this release reads {expected}")]
    Version {
        /// What it has.
        found: i64,
        /// What can be read.
        expected: i64,
    },
}
