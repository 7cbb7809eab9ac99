//! Sealed datagrams: what gossip travels in.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..2 | magic | `HG` |
//! | 2 | version | 1 |
//! | 3..7 | key | which key of the ring sealed it |
//! | 7..31 | nonce | random |
//! | 31.. | sealed | boot id of the sender (16), sequence (u64), the message |
//! | last 16 | tag | Poly1305 |
//!
//! Sealed with XChaCha20-Poly1305; bytes 0..7 and the id of the cluster are associated data, so a
//! datagram of another cluster does not open even under the same key. The nonce is long enough to be
//! drawn at random for ever.
//!
//! Whatever does not open is dropped without a word and counted. A datagram opens once: each sender
//! counts, and each receiver remembers the last 1,024 numbers of every sender.
//!
//! A cluster without a key seals with one that everybody knows. That protects from nothing but
//! accidents, such as the datagrams of another cluster that had this port before.

mod replay;

use std::fmt;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use model::limits::DATAGRAM_BYTES_MAX;
use model::{BootId, ClusterId};
use thiserror::Error;

use crate::ClusterKeys;
use replay::Senders;

/// Bytes of a nonce. Every datagram needs new ones, from a source that never repeats itself.
pub const NONCE_BYTES: usize = 24;
/// Longest message that fits.
pub const MESSAGE_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - OVERHEAD_BYTES;

const MAGIC: [u8; 2] = *b"HG";
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const PREFIX_BYTES: usize = MAGIC.len() + 1 + KEY_ID_BYTES;
const HEAD_BYTES: usize = PREFIX_BYTES + NONCE_BYTES;
const ORIGIN_BYTES: usize = 16 + 8;
const TAG_BYTES: usize = 16;
const OVERHEAD_BYTES: usize = HEAD_BYTES + ORIGIN_BYTES + TAG_BYTES;
/// What clusters without a key seal with. No secret.
const KNOWN_TO_ALL: [u8; 32] = *b"this key is public, and no guard";
/// No datagram is sealed under it: it is what a key is told by.
const KEY_ID_NONCE: [u8; NONCE_BYTES] = [0xFF; NONCE_BYTES];

/// Seals what this process sends and opens what others sent.
pub struct Sealer {
    keys: Vec<Key>,
    cluster: ClusterId,
    boot: BootId,
    sequence: u64,
    senders: Senders,
    counters: DatagramCounters,
}

/// A datagram that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The process that sealed it.
    pub sender: BootId,
    /// What it says.
    pub message: Vec<u8>,
}

/// Datagrams, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatagramCounters {
    /// Sealed.
    pub sealed: u64,
    /// Opened.
    pub opened: u64,
    /// Dropped: too short, too long, or not of this protocol and version.
    pub foreign: u64,
    /// Dropped: sealed with a key that is not in the ring.
    pub unknown_key: u64,
    /// Dropped: changed, forged, or of another cluster.
    pub forged: u64,
    /// Dropped: opened before, or too old to tell.
    pub repeated: u64,
}

/// The message does not fit into a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a message of {0} bytes is longer than a datagram takes ({MESSAGE_BYTES_MAX})")]
pub struct TooLong(pub usize);

struct Key {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
}

impl Sealer {
    /// For one process of a cluster. Without keys, the one that everybody knows.
    #[must_use]
    pub fn new(cluster: ClusterId, boot: BootId, keys: Option<&ClusterKeys>) -> Self {
        Self {
            keys: key_ring(keys),
            cluster,
            boot,
            sequence: 0,
            senders: Senders::default(),
            counters: DatagramCounters::default(),
        }
    }

    /// Other keys from now on: the first seals, all of them open.
    pub fn set_keys(&mut self, keys: Option<&ClusterKeys>) {
        self.keys = key_ring(keys);
    }

    /// Seals a message of at most [`MESSAGE_BYTES_MAX`] bytes.
    #[expect(
        clippy::indexing_slicing,
        reason = "a ring has at least one key, and the buffer was just filled to this length"
    )]
    pub fn seal(&mut self, nonce: [u8; NONCE_BYTES], message: &[u8]) -> Result<Vec<u8>, TooLong> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(TooLong(message.len()));
        }
        self.sequence += 1;
        let key = &self.keys[0];
        let mut datagram = Vec::with_capacity(OVERHEAD_BYTES + message.len());
        datagram.extend_from_slice(&MAGIC);
        datagram.push(VERSION);
        datagram.extend_from_slice(&key.id);
        datagram.extend_from_slice(&nonce);
        datagram.extend_from_slice(self.boot.as_bytes());
        datagram.extend_from_slice(&self.sequence.to_be_bytes());
        datagram.extend_from_slice(message);
        let associated = associated(&datagram[..PREFIX_BYTES], self.cluster);
        let tag = key
            .cipher
            .encrypt_in_place_detached(
                &XNonce::from(nonce),
                &associated,
                &mut datagram[HEAD_BYTES..],
            )
            .map_err(|_| TooLong(message.len()))?;
        datagram.extend_from_slice(&tag);
        self.counters.sealed += 1;
        Ok(datagram)
    }

    /// Opens a datagram, once. `None` for all that is not one of ours.
    pub fn open(&mut self, datagram: &[u8]) -> Option<Opened> {
        let Some(parts) = Parts::split(datagram) else {
            self.counters.foreign += 1;
            return None;
        };
        let Some(key) = self.keys.iter().find(|key| key.id == parts.key_id) else {
            self.counters.unknown_key += 1;
            return None;
        };
        let Some((sender, sequence, message)) = parts.open(&key.cipher, self.cluster) else {
            self.counters.forged += 1;
            return None;
        };
        if !self.senders.is_new(sender, sequence) {
            self.counters.repeated += 1;
            return None;
        }
        self.counters.opened += 1;
        Some(Opened { sender, message })
    }

    /// What became of all datagrams so far.
    #[must_use]
    pub const fn counters(&self) -> DatagramCounters {
        self.counters
    }
}

/// Never the keys.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("cluster", &self.cluster)
            .field("boot", &self.boot)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// A datagram that looks like one of ours, still closed.
struct Parts<'a> {
    prefix: &'a [u8],
    key_id: [u8; KEY_ID_BYTES],
    nonce: [u8; NONCE_BYTES],
    sealed: &'a [u8],
    tag: [u8; TAG_BYTES],
}

impl<'a> Parts<'a> {
    fn split(datagram: &'a [u8]) -> Option<Self> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return None;
        }
        let (prefix, rest) = datagram.split_at_checked(PREFIX_BYTES)?;
        let key_id = prefix.strip_prefix(&MAGIC)?.strip_prefix(&[VERSION])?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (sealed, tag) = rest.split_last_chunk()?;
        Some(Self {
            prefix,
            key_id: key_id.try_into().ok()?,
            nonce: *nonce,
            sealed,
            tag: *tag,
        })
    }

    fn open(
        &self,
        cipher: &XChaCha20Poly1305,
        cluster: ClusterId,
    ) -> Option<(BootId, u64, Vec<u8>)> {
        let mut plain = self.sealed.to_vec();
        let associated = associated(self.prefix, cluster);
        let (nonce, tag) = (XNonce::from(self.nonce), Tag::from(self.tag));
        cipher
            .decrypt_in_place_detached(&nonce, &associated, &mut plain, &tag)
            .ok()?;
        let (boot, rest) = plain.split_first_chunk()?;
        let (sequence, message) = rest.split_first_chunk()?;
        let sequence = u64::from_be_bytes(*sequence);
        Some((BootId::from_bytes(*boot), sequence, message.to_vec()))
    }
}

fn key_ring(keys: Option<&ClusterKeys>) -> Vec<Key> {
    keys.map_or_else(
        || vec![Key::new(&KNOWN_TO_ALL)],
        |keys| keys.iter().map(|key| Key::new(key.as_bytes())).collect(),
    )
}

impl Key {
    /// The id is the beginning of the tag of nothing, under a nonce that nothing else is sealed with: it
    /// tells keys apart and says nothing about them.
    fn new(key: &[u8; 32]) -> Self {
        let cipher = XChaCha20Poly1305::new(key.into());
        let tag = cipher.encrypt_in_place_detached(&XNonce::from(KEY_ID_NONCE), b"key id", &mut []);
        let mut id = [0; KEY_ID_BYTES];
        for (to, from) in id.iter_mut().zip(tag.unwrap_or_default()) {
            *to = from;
        }
        Self { id, cipher }
    }
}

fn associated(prefix: &[u8], cluster: ClusterId) -> Vec<u8> {
    [prefix, cluster.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
