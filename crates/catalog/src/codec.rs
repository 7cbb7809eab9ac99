//! Commands, outcomes and whole catalogs as bytes, for the log, for snapshots and for other nodes.
//!
//! Equal values have equal bytes, and only the bytes that `encode` would write are read: a number in
//! more bytes than it needs, or a map out of order, is refused. [`tables`] has every field of every
//! type; what they are made of is in [`bytes`].
//!
//! ```text
//! command   01 · kind: byte · the fields of that kind
//! result    01 · 00 outcome, or 01 refusal
//! catalog   01 · cluster: option id · revision: number · nodes: list of node, by id
//!           · removed: list of (node id, slot), by id · topics: list of topic, by name
//!           · deleted: list of topic id, ascending · next slot, next producer id: numbers
//!           · users: list of user, by name · rules: list of rule, ascending
//! ```
//!
//! The first byte is the version of the format. A reader refuses those it does not know.

mod bytes;
mod snapshot;
mod tables;

use alloc::vec::Vec;

use model::limits::{CATALOG_BYTES_MAX, COMMAND_BYTES_MAX};
use thiserror::Error;

use crate::{Catalog, Command, Outcome, Refusal};
use bytes::{Coded, Reader};

const VERSION: u8 = 1;

/// The bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a valid encoding at byte {at}")]
pub struct DecodeError {
    /// Where.
    pub at: usize,
}

impl Command {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads what `encode` wrote. Who puts commands of others into the log reads them first, so that all
    /// who apply them can.
    ///
    /// # Errors
    /// Not a command, or longer than [`COMMAND_BYTES_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, COMMAND_BYTES_MAX)
    }
}

/// What came of a command, as it travels between nodes.
#[must_use]
pub fn encode_result(result: &Result<Outcome, Refusal>) -> Vec<u8> {
    encode(result)
}

/// Reads what [`encode_result`] wrote.
///
/// # Errors
/// Not such bytes.
pub fn decode_result(bytes: &[u8]) -> Result<Result<Outcome, Refusal>, DecodeError> {
    decode(bytes, CATALOG_BYTES_MAX)
}

impl Catalog {
    /// The whole catalog as bytes: equal catalogs have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Not a catalog, longer than [`CATALOG_BYTES_MAX`], or one that contradicts itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, CATALOG_BYTES_MAX)
    }

    /// A fingerprint of [`Catalog::encode`]: two nodes at the same place in the log have the same.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        // FNV-1a with 64 bits. It finds faults, not forgers.
        let digest = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        self.encode().iter().fold(0xCBF2_9CE4_8422_2325, digest)
    }
}

fn encode(value: &impl Coded) -> Vec<u8> {
    let mut bytes = Vec::from([VERSION]);
    value.write(&mut bytes);
    bytes
}

fn decode<T: Coded>(bytes: &[u8], bytes_max: usize) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    if bytes.len() > bytes_max || reader.byte()? != VERSION {
        return Err(DecodeError { at: 0 });
    }
    let value = T::read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}
