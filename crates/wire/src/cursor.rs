//! Cursors: a reader's position in a topic, as text that doors hand out and take back.
//!
//! The text is base64 for URLs, without padding, of these bytes:
//!
//! | field | |
//! |---|---|
//! | version | one byte, 1 |
//! | topic | 16 bytes, the topic id |
//! | count | varint |
//! | each position | varint, how many partition numbers were left out before this one; varint, the offset of the next record to read |
//! | checksum | u32 big-endian, CRC-32C of all before; last in every version |
//!
//! A varint has seven bits a byte, the lowest first, and no sign. Eight partitions with offsets
//! below two million take at most 74 characters.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::limits::{CURSOR_TEXT_BYTES_MAX, PARTITIONS_PER_TOPIC_MAX};
use model::{Offset, PartitionIndex, TopicId};
use thiserror::Error;

use crate::reader::{ReadFault, Reader};
use crate::varint;

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
/// Version, topic, count.
const BYTES_MIN: usize = 1 + 16 + 1;
/// The fewest bytes of one position.
const POSITION_BYTES_MIN: usize = 2;

/// Where a reader stands in a topic: for each partition, the offset of the next record to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    topic: TopicId,
    /// Ascending, each partition once.
    positions: Vec<(PartitionIndex, Offset)>,
}

impl Cursor {
    /// A cursor with these positions, in any order; of two for one partition the later counts.
    /// Partition numbers are below [`PARTITIONS_PER_TOPIC_MAX`], as they are in every topic; a
    /// text with others is not read back.
    #[must_use]
    pub fn new(
        topic: TopicId,
        positions: impl IntoIterator<Item = (PartitionIndex, Offset)>,
    ) -> Self {
        let mut positions: Vec<_> = positions.into_iter().collect();
        positions.reverse();
        positions.sort_by_key(|(partition, _)| *partition);
        positions.dedup_by_key(|(partition, _)| *partition);
        Self { topic, positions }
    }

    /// The topic that the positions belong to.
    #[must_use]
    pub const fn topic(&self) -> TopicId {
        self.topic
    }

    /// The positions, by ascending partition, each partition once.
    #[must_use]
    pub fn positions(&self) -> &[(PartitionIndex, Offset)] {
        &self.positions
    }

    /// The position in one partition, if the cursor has one: a topic may have grown since.
    #[must_use]
    pub fn position(&self, partition: PartitionIndex) -> Option<Offset> {
        let found = self
            .positions
            .binary_search_by_key(&partition, |(index, _)| *index);
        found
            .ok()
            .and_then(|at| self.positions.get(at))
            .map(|(_, offset)| *offset)
    }

    /// Moves the position in one partition, which the cursor need not have had.
    pub fn set(&mut self, partition: PartitionIndex, offset: Offset) {
        let found = self
            .positions
            .binary_search_by_key(&partition, |(index, _)| *index);
        match found {
            Err(at) => self.positions.insert(at, (partition, offset)),
            Ok(at) => {
                if let Some((_, position)) = self.positions.get_mut(at) {
                    *position = offset;
                }
            }
        }
    }

    /// The text; `parse` reads it back.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES_MIN + CHECKSUM_BYTES + self.positions.len() * 4);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.topic.as_bytes());
        varint::put(&mut bytes, self.positions.len() as u64);
        let mut expected = 0;
        for (partition, offset) in &self.positions {
            varint::put(&mut bytes, u64::from(partition.0) - expected);
            varint::put(&mut bytes, offset.get());
            expected = u64::from(partition.0) + 1;
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Writes what [`Cursor::encode`] gives.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode())
    }
}

/// Reads what [`Cursor::encode`] wrote.
impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > CURSOR_TEXT_BYTES_MAX {
            return Err(CursorError::TooLong);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::NotACursor)?;
        let (content, checksum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(CursorError::NotACursor)?;
        if content.len() < BYTES_MIN {
            return Err(CursorError::NotACursor);
        }
        if crc32c::crc32c(content) != u32::from_be_bytes(*checksum) {
            return Err(CursorError::Damaged);
        }
        match content.first() {
            Some(&VERSION) => read_content(content).map_err(|_| CursorError::Damaged),
            Some(&version) => Err(CursorError::Version(version)),
            None => Err(CursorError::NotACursor),
        }
    }
}

fn read_content(content: &[u8]) -> Result<Cursor, ReadFault> {
    let mut reader = Reader::new(content, 1);
    let topic = TopicId::from_bytes(reader.array()?);
    let count = usize::try_from(reader.unsigned()?).map_err(|_| ReadFault::Length)?;
    if count > reader.remaining() / POSITION_BYTES_MIN {
        return Err(ReadFault::Length);
    }
    let mut positions = Vec::with_capacity(count);
    let mut expected = 0_u64;
    for _ in 0..count {
        let partition = expected
            .checked_add(reader.unsigned()?)
            .ok_or(ReadFault::Varint)?;
        let index = u32::try_from(partition).map_err(|_| ReadFault::Varint)?;
        if index >= PARTITIONS_PER_TOPIC_MAX {
            return Err(ReadFault::Varint);
        }
        let offset = Offset::new(reader.unsigned()?).ok_or(ReadFault::Varint)?;
        positions.push((PartitionIndex(index), offset));
        expected = partition + 1;
    }
    if reader.remaining() > 0 {
        return Err(ReadFault::Length);
    }
    Ok(Cursor { topic, positions })
}

/// Why a text is not a cursor. All are the fault of who gave it; none helps to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CursorError {
    /// Not text that a cursor could be.
    #[error("this is not a cursor")]
    NotACursor,
    /// It was one, and something has changed it.
    #[error("the cursor is damaged: it must be given back exactly as it was received")]
    Damaged,
    /// Longer than [`CURSOR_TEXT_BYTES_MAX`].
    #[error("a cursor has at most {CURSOR_TEXT_BYTES_MAX} characters")]
    TooLong,
    /// Made by a version that this one cannot read.
    #[error("the cursor has version {0}, only {VERSION} is supported")]
    Version(u8),
}
