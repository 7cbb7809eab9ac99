//! The header of a segment file; batches follow it back to back.
//!
//! All integers big-endian:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | magic | `HARKSEG1` |
//! | 8..10 | version | u16, 1 |
//! | 10..12 | flags | u16; bit 0: sealed, the batches are encrypted; all others 0 |
//! | 12..28 | topic | 16 bytes, the topic id |
//! | 28..32 | partition | u32 |
//! | 32..40 | base offset | i64, of the first record that the segment may hold |
//! | 40..44 | key id | u32, of the newest key when the segment was begun; 0 unless sealed |
//! | 44..60 | | 0 |
//! | 60..64 | checksum | u32, CRC-32C of bytes 0..60 |

use bytes::{Buf, BufMut};
use model::{Offset, PartitionId, PartitionIndex, TopicId};
use thiserror::Error;

/// Bytes before the first batch.
pub const SEGMENT_HEADER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"HARKSEG1";
const VERSION: u16 = 1;
const SEALED_BIT: u16 = 1;
const RESERVED_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;

/// Which batches a segment file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Whose batches.
    pub partition: PartitionId,
    /// Offset of the first record that the segment may hold.
    pub base_offset: Offset,
    /// How they are stored.
    pub seal: Seal,
}

/// How the batches of a segment are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// As they are.
    Plain,
    /// Encrypted; every envelope names its own key.
    Sealed {
        /// The newest key when the segment was begun.
        key_id: u32,
    },
}

impl SegmentHeader {
    /// The bytes at the front of the file.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let (flags, key_id) = match self.seal {
            Seal::Plain => (0, 0),
            Seal::Sealed { key_id } => (SEALED_BIT, key_id),
        };
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let mut out = bytes.as_mut_slice();
        out.put_slice(MAGIC);
        out.put_u16(VERSION);
        out.put_u16(flags);
        out.put_slice(self.partition.topic.as_bytes());
        out.put_u32(self.partition.index.0);
        out.put_i64(self.base_offset.to_wire());
        out.put_u32(key_id);
        let (content, checksum) = bytes.split_at_mut(SEGMENT_HEADER_BYTES - CHECKSUM_BYTES);
        checksum.copy_from_slice(&crc32c::crc32c(content).to_be_bytes());
        bytes
    }

    /// Reads and checks the header at the front of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, SegmentHeaderError> {
        let found = bytes.len();
        let head = bytes
            .first_chunk::<SEGMENT_HEADER_BYTES>()
            .ok_or(SegmentHeaderError::Truncated(found))?;
        if !head.starts_with(MAGIC) {
            return Err(SegmentHeaderError::NotASegment);
        }
        let checksum = head
            .last_chunk::<CHECKSUM_BYTES>()
            .map(|stored| u32::from_be_bytes(*stored));
        let content = head
            .get(..SEGMENT_HEADER_BYTES - CHECKSUM_BYTES)
            .unwrap_or_default();
        if checksum != Some(crc32c::crc32c(content)) {
            return Err(SegmentHeaderError::Damaged);
        }
        decode_content(head)
    }
}

/// The array is as long as all the fields together, so no read below can be short.
fn decode_content(head: &[u8; SEGMENT_HEADER_BYTES]) -> Result<SegmentHeader, SegmentHeaderError> {
    let mut input = head.as_slice();
    input.advance(MAGIC.len());
    let version = input.get_u16();
    if version != VERSION {
        return Err(SegmentHeaderError::Version(version));
    }
    let flags = input.get_u16();
    let mut topic = [0; 16];
    input.copy_to_slice(&mut topic);
    let index = PartitionIndex(input.get_u32());
    let base_offset = Offset::from_wire(input.get_i64()).ok_or(SegmentHeaderError::Content)?;
    let key_id = input.get_u32();
    let seal = match (flags, key_id) {
        (0, 0) => Seal::Plain,
        (SEALED_BIT, key_id) => Seal::Sealed { key_id },
        _ => return Err(SegmentHeaderError::Content),
    };
    if input.iter().take(RESERVED_BYTES).any(|byte| *byte != 0) {
        return Err(SegmentHeaderError::Content);
    }
    let partition = PartitionId {
        topic: TopicId::from_bytes(topic),
        index,
    };
    Ok(SegmentHeader {
        partition,
        base_offset,
        seal,
    })
}

/// Why bytes are not the header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SegmentHeaderError {
    /// Fewer bytes than a header has: perhaps the making of the file was cut short.
    #[error("a segment header has {SEGMENT_HEADER_BYTES} bytes, there are {0}")]
    Truncated(usize),
    /// Another kind of file.
    #[error("this is not a segment file")]
    NotASegment,
    /// The bytes are not what was written.
    #[error("the segment header is damaged")]
    Damaged,
    /// Made by a version that this one cannot read.
    #[error("the segment has format version {0}, only {VERSION} is supported")]
    Version(u16),
    /// The checksum is right, but a field means nothing here: made by a newer version.
    #[error("the segment header has a value that this version does not know")]
    Content,
}
