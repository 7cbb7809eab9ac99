//! Encryption at rest: AES-256-GCM over each batch.
//!
//! # What is protected
//! Keys, values, headers and timestamps of records, producer ids and sequence numbers: the whole
//! batch is ciphertext, in the journal, in segments and in the SQLite file. A changed envelope is
//! refused, and so is one that was moved to another partition or another offset.
//!
//! # What is not
//! - Topic ids, partition numbers, offsets, leader epochs, sizes, how many records a batch holds
//!   and its largest timestamp stand in clear, because recovery and retention work without keys.
//! - A batch that was compressed before it was sealed shows how well it compressed.
//! - Whoever can write the disk can bring back an old copy of the whole directory, or cut off the
//!   newest records: nothing outside the disk remembers what was there.
//! - Memory and network: this is about stolen disks, snapshots and backups.
//!
//! # Keys and nonces
//! An envelope names its key by number, so a key ring may hold several: the first seals, all open.
//! A key is replaced by putting a new one in front; the old one stays behind it for as long as
//! something sealed with it may be read.
//!
//! Each batch has its own random nonce of 192 bits and, derived from it as XAES-256-GCM does, its
//! own AES key. The 96 bits of plain AES-GCM would allow 2³² batches for one key before two nonces
//! may meet (NIST SP 800-38D), which a busy node writes in a day; a counter would have to survive
//! power cuts and copied directories. With 192 random bits 2⁸⁰ batches are safe, and nothing needs
//! to be remembered.

mod check;
mod envelope;
mod keys;
mod xaes;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use model::PartitionId;
use thiserror::Error;
use wire::Batch;

pub use check::{KEY_CHECK_FILE, check_or_create};
pub use envelope::{ENVELOPE_HEAD_BYTES, ENVELOPE_OVERHEAD_BYTES};
pub(crate) use envelope::{Envelope, Head, MAGIC};
pub use keys::{KeyId, KeyRingError};
use xaes::{NONCE_BYTES, TAG_BYTES, Xaes};

/// A ring of keys: seals with the first, opens with all. Its `Debug` shows key numbers only, and
/// the keys are wiped from memory when it is dropped.
pub struct Sealer {
    current: KeyId,
    keys: BTreeMap<KeyId, Xaes>,
}

impl Sealer {
    /// The number of the key that seals.
    #[must_use]
    pub const fn current(&self) -> KeyId {
        self.current
    }

    /// The numbers of all keys, smallest first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.keys().copied()
    }

    /// Seals a batch for its place in `partition`; the batch must have its final offset and epoch.
    /// Fails only when the system has no randomness or the batch is impossibly large.
    pub(crate) fn seal(
        &self,
        partition: PartitionId,
        batch: &Batch,
    ) -> Result<Envelope, SealError> {
        let key = self.keys.get(&self.current).ok_or(SealError)?;
        envelope::seal(partition, batch, self.current, key)
    }

    /// The batch in an envelope of `partition`.
    pub(crate) fn open(
        &self,
        partition: PartitionId,
        envelope: &Envelope,
    ) -> Result<Batch, OpenError> {
        let id = envelope.key_id();
        let key = self.keys.get(&id).ok_or(OpenError::NoKey(id))?;
        let plain = envelope::open(partition, envelope, key).ok_or(OpenError::Forged)?;
        let batch = Batch::parse(Bytes::from(plain)).map_err(|_| OpenError::Forged)?;
        // The head is authentic, so a difference means a faulty writer; it must not get through.
        if envelope.describes(&batch) {
            Ok(batch)
        } else {
            Err(OpenError::Forged)
        }
    }

    fn key(&self, id: KeyId) -> Option<&Xaes> {
        self.keys.get(&id)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u32> = self.keys.keys().map(|id| id.0).collect();
        f.debug_struct("Sealer")
            .field("current", &self.current.0)
            .field("key_ids", &ids)
            .finish()
    }
}

/// A batch could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the system gave no random bytes to encrypt with")]
pub struct SealError;

/// Why a stored frame does not give a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Sealed with a key that the ring does not hold.
    #[error("encrypted with key {0}, which was not given")]
    NoKey(KeyId),
    /// Changed, moved from another place, or sealed with another key of the same number.
    #[error("the encrypted batch was changed, moved, or sealed with another key")]
    Forged,
    /// Stored in clear where everything is encrypted: not written by this store.
    #[error("a batch in clear among encrypted ones")]
    Clear,
}

#[cfg(test)]
mod tests;
