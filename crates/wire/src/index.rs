//! Entries of the sparse index beside a segment: where an offset is, and where a time is.
//!
//! An index file is entries back to back, ascending, and nothing else. Every entry has its own
//! checksum, so damage is noticed; an index is then thrown away and made again from the segment.
//!
//! One entry, 24 bytes, integers big-endian:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | timestamp | i64, the largest of any record in the segment up to and with this batch |
//! | 8..16 | offset | i64, first offset of a batch |
//! | 16..20 | position | u32, where in the segment file that batch begins |
//! | 20..24 | checksum | u32, CRC-32C of bytes 0..20 |

use alloc::vec::Vec;

use bytes::{Buf, BufMut};
use model::{Offset, Timestamp};
use thiserror::Error;

use crate::segment::SEGMENT_HEADER_BYTES;

/// Bytes of one [`IndexEntry`].
pub const INDEX_ENTRY_BYTES: usize = 24;

const CHECKSUM_BYTES: usize = 4;

/// Where a batch stands in its segment file, and how late the records up to it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// The largest timestamp of any record in the segment up to and with this batch. So the first
    /// batch that reaches a time stands after the last entry below that time.
    pub timestamp: Timestamp,
    /// First offset of the batch.
    pub offset: Offset,
    /// Its first byte, counted from the beginning of the file.
    pub position: u32,
}

impl IndexEntry {
    /// The bytes of the entry.
    #[must_use]
    pub fn encode(&self) -> [u8; INDEX_ENTRY_BYTES] {
        let mut bytes = [0; INDEX_ENTRY_BYTES];
        let mut out = bytes.as_mut_slice();
        out.put_i64(self.timestamp.as_millis());
        out.put_i64(self.offset.to_wire());
        out.put_u32(self.position);
        put_checksum(&mut bytes);
        bytes
    }

    /// Reads and checks one entry.
    pub fn decode(bytes: &[u8; INDEX_ENTRY_BYTES]) -> Result<Self, IndexError> {
        let mut input = checked(bytes)?;
        Ok(Self {
            timestamp: Timestamp::from_millis(input.get_i64()).ok_or(IndexError::Damaged)?,
            offset: offset(input.get_i64())?,
            position: position(input.get_u32())?,
        })
    }

    /// Reads a whole index, which must ascend in offset and position, and never go back in time.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, IndexError> {
        let (entries, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(IndexError::Truncated);
        }
        let entries = entries
            .iter()
            .map(Self::decode)
            .collect::<Result<Vec<_>, _>>()?;
        if entries.is_sorted_by(Self::may_precede) {
            Ok(entries)
        } else {
            Err(IndexError::OutOfOrder)
        }
    }

    fn may_precede(&self, next: &Self) -> bool {
        self.offset < next.offset
            && self.position < next.position
            && self.timestamp <= next.timestamp
    }
}

/// Why bytes are not an index. What helps is always to make the index again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IndexError {
    /// Not a whole number of entries: the last write was cut short.
    #[error("the index ends inside an entry")]
    Truncated,
    /// The bytes are not what was written.
    #[error("the index is damaged")]
    Damaged,
    /// The entries do not ascend.
    #[error("the entries of the index are out of order")]
    OutOfOrder,
}

fn put_checksum(entry: &mut [u8]) {
    if let Some((content, checksum)) = entry.split_last_chunk_mut::<CHECKSUM_BYTES>() {
        *checksum = crc32c::crc32c(content).to_be_bytes();
    }
}

/// The entry without its checksum, which was compared.
fn checked(entry: &[u8]) -> Result<&[u8], IndexError> {
    match entry.split_last_chunk::<CHECKSUM_BYTES>() {
        Some((content, stored)) if crc32c::crc32c(content) == u32::from_be_bytes(*stored) => {
            Ok(content)
        }
        _ => Err(IndexError::Damaged),
    }
}

fn offset(wire: i64) -> Result<Offset, IndexError> {
    Offset::from_wire(wire).ok_or(IndexError::Damaged)
}

/// No batch begins inside the segment's header.
const fn position(position: u32) -> Result<u32, IndexError> {
    if (position as usize) < SEGMENT_HEADER_BYTES {
        return Err(IndexError::Damaged);
    }
    Ok(position)
}
