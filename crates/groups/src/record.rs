//! What the coordinator stores: the records of the internal topic.
//!
//! The topic is compacted: of the records with one key only the last counts, and one without a
//! value deletes the key. All numbers are big-endian; `text` and `bytes` are a `u32` length and
//! that many bytes; `option` is a byte 0, or a byte 1 and the thing; `list` is a `u32` count and
//! the things.
//!
//! ```text
//! key of a commit      01 · group: text · topic: 16 bytes · partition: u32
//! key of a membership  02 · group: text
//!
//! commit      01 · offset: u64 · leader epoch: option u32 · metadata: text
//! membership  01 · generation: u32 · assigner: u8 (0 nobody yet, 1 a leader, 2 the coordinator)
//!             · protocol type: text · protocol: option text · leader: option text
//!             · members: list of member
//! member      id: text · instance: option text · client: text · host: text
//!             · session timeout, rebalance timeout: u32 milliseconds
//!             · kind: u8 (1 by client, 2 by server)
//!             · protocol type: text                                  only of kind 1
//!             · protocols: list of (name: text, metadata: bytes)     only of kind 1
//!             · topics: list of text
//!             · assignment: u8 (0 none, 1 opaque: bytes, 2 partitions: list of share)
//! share       topic: 16 bytes · partitions: list of u32
//! ```
//!
//! The first byte of a value is its version. A reader refuses what it does not know, and bytes
//! left over at the end.

mod codec;
mod decode;
mod encode;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use model::PartitionId;
use thiserror::Error;

use crate::{Assignment, Assigns, Commit, GroupName, InstanceId, MemberId};

/// One record of the internal topic. `None` deletes the key.
#[derive(Debug, Clone, PartialEq)]
pub enum StateRecord {
    /// How far a group has read one partition.
    Commit {
        /// The group.
        group: GroupName,
        /// The partition.
        partition: PartitionId,
        /// Where to go on.
        value: Option<Commit>,
    },
    /// The members of a group, as of its last rebalance.
    Membership {
        /// The group.
        group: GroupName,
        /// The members.
        value: Option<Arc<Membership>>,
    },
}

impl StateRecord {
    /// The record's key.
    #[must_use]
    pub fn key(&self) -> Bytes {
        encode::key(self)
    }

    /// The record's value, `None` when it deletes the key.
    #[must_use]
    pub fn value(&self) -> Option<Bytes> {
        encode::value(self)
    }

    /// Reads back what [`Self::key`] and [`Self::value`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not of this format or of a newer version of it.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError> {
        decode::record(key, value)
    }
}

/// The members of a group and what they agreed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Membership {
    /// The generation.
    pub generation: u32,
    /// Who assigned in it.
    pub assigner: Assigner,
    /// The kind of protocols.
    pub protocol_type: Arc<str>,
    /// The protocol chosen among the clients.
    pub protocol: Option<Arc<str>>,
    /// The member that assigns.
    pub leader: Option<MemberId>,
    /// The members, by id.
    pub members: Vec<StoredMember>,
}

/// Who assigned the partitions of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigner {
    /// Nobody yet: the leader is to do it.
    Nobody,
    /// The leader.
    Leader,
    /// The coordinator.
    Coordinator,
}

/// A member that survives a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMember {
    /// Its id.
    pub member: MemberId,
    /// Its lasting name, if it has one.
    pub instance: Option<InstanceId>,
    /// What the client calls itself.
    pub client: Arc<str>,
    /// Where the client is.
    pub host: Arc<str>,
    /// How long it may be silent; whole milliseconds.
    pub session_timeout: Duration,
    /// How long a rebalance waits for it; whole milliseconds.
    pub rebalance_timeout: Duration,
    /// What it wants.
    pub assigns: Assigns,
    /// What it reads.
    pub assignment: Assignment,
}

/// The bytes are not a record of this topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Fewer bytes than the format says.
    #[error("the record is cut short")]
    Truncated,
    /// More bytes than the format says.
    #[error("the record has bytes left over")]
    LeftOver,
    /// A kind or version from a newer release, or no record of this topic at all.
    #[error("the record's kind or version is not known")]
    UnknownKind,
    /// A text that is not UTF-8, a name that is too long, or a number out of range.
    #[error("the record holds an invalid {0}")]
    Invalid(&'static str),
}
