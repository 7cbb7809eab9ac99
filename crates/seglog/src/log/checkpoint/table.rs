//! The bytes of a checkpoint.
//!
//! All integers big-endian. Header, 64 bytes:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | magic | `HARKCKPT` |
//! | 8..10 | version | u16, 1 |
//! | 10..12 | flags | u16; bit 0: clean, nothing was written after it |
//! | 12..16 | partitions | u32 |
//! | 16..24 | generation | u64, one more than the checkpoint before |
//! | 24..32 | journal id | u64 |
//! | 32..40 | next sequence | u64, of the first group that it does not cover |
//! | 40..44 | file | u32, journal file where that group stands, or else it begins another file |
//! | 44..48 | position | u32, in that file |
//! | 48..64 | | 0 |
//!
//! Then for each partition, 64 bytes: topic (16 bytes), partition u32, segments u32, settings (24
//! bytes as in the journal), start i64, settled i64 (one past the last record in segments). Behind
//! it for each of its segments, 32 bytes: base i64, end i64, bytes u64, largest timestamp i64.
//!
//! At the end a checksum, u32: CRC-32C of all before it.

use bytes::{Buf, BufMut};
use model::{Offset, PartitionId, Timestamp};

use crate::{PartitionSettings, StoreError};

use super::super::group::{Place, SETTINGS_BYTES, get_partition, get_settings, put_settings};
use super::super::index::FIRST_BATCH;
use super::super::segment::Extent;

const MAGIC: &[u8; 8] = b"HARKCKPT";
const VERSION: u16 = 1;
const CLEAN_BIT: u16 = 1;
const HEADER_BYTES: usize = 64;
const RESERVED_BYTES: usize = 16;
const PARTITION_BYTES: usize = 16 + 4 + 4 + SETTINGS_BYTES + 8 + 8;
const SEGMENT_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Table {
    pub(in super::super) generation: u64,
    pub(in super::super) journal: u64,
    pub(in super::super) next_sequence: u64,
    pub(in super::super) end: Place,
    pub(in super::super) clean: bool,
    pub(in super::super) partitions: Vec<PartitionRow>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct PartitionRow {
    pub(in super::super) id: PartitionId,
    pub(in super::super) settings: PartitionSettings,
    pub(in super::super) start: Offset,
    pub(in super::super) settled: Offset,
    pub(in super::super) segments: Vec<SegmentRow>,
}

/// One segment and its durable end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct SegmentRow {
    pub(in super::super) base: Offset,
    pub(in super::super) extent: Extent,
}

impl Table {
    /// Of a store in which nothing has happened yet.
    pub(in super::super) const fn fresh(journal: u64) -> Self {
        Self {
            generation: 0,
            journal,
            next_sequence: 1,
            end: Place {
                file: 0,
                position: 0,
            },
            clean: false,
            partitions: Vec::new(),
        }
    }

    pub(in super::super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.partitions.len() * 128);
        out.put_slice(MAGIC);
        out.put_u16(VERSION);
        out.put_u16(if self.clean { CLEAN_BIT } else { 0 });
        out.put_u32(count(self.partitions.len()));
        out.put_u64(self.generation);
        out.put_u64(self.journal);
        out.put_u64(self.next_sequence);
        out.put_u32(self.end.file);
        out.put_u32(self.end.position);
        out.put_bytes(0, RESERVED_BYTES);
        for partition in &self.partitions {
            partition.encode(&mut out);
        }
        let checksum = crc32c::crc32c(&out);
        out.put_u32(checksum);
        out
    }

    /// Reads and checks the checkpoint in the file `name`.
    pub(in super::super) fn decode(bytes: &[u8], name: &str) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged(format!("{name} is not what was written"));
        let (content, checksum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or_else(damaged)?;
        if crc32c::crc32c(content) != u32::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        let mut input = content.strip_prefix(MAGIC).ok_or_else(damaged)?;
        if input.len() < HEADER_BYTES - MAGIC.len() {
            return Err(damaged());
        }
        let version = input.get_u16();
        if version != VERSION {
            let message = format!("{name} has version {version}, only {VERSION} is supported");
            return Err(StoreError::Format(message));
        }
        let clean = input.get_u16() & CLEAN_BIT != 0;
        let partitions = input.get_u32();
        let mut table = Self {
            generation: input.get_u64(),
            journal: input.get_u64(),
            next_sequence: input.get_u64(),
            end: Place {
                file: input.get_u32(),
                position: input.get_u32(),
            },
            clean,
            partitions: Vec::new(),
        };
        input.advance(RESERVED_BYTES);
        for _ in 0..partitions {
            table
                .partitions
                .push(PartitionRow::decode(&mut input).ok_or_else(damaged)?);
        }
        if input.is_empty() {
            Ok(table)
        } else {
            Err(damaged())
        }
    }
}

impl PartitionRow {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_slice(self.id.topic.as_bytes());
        out.put_u32(self.id.index.0);
        out.put_u32(count(self.segments.len()));
        put_settings(self.settings, out);
        out.put_i64(self.start.to_wire());
        out.put_i64(self.settled.to_wire());
        for SegmentRow { base, extent } in &self.segments {
            out.put_i64(base.to_wire());
            out.put_i64(extent.end.to_wire());
            out.put_u64(extent.bytes);
            out.put_i64(extent.max_timestamp.as_millis());
        }
    }

    fn decode(input: &mut &[u8]) -> Option<Self> {
        if input.len() < PARTITION_BYTES {
            return None;
        }
        let id = get_partition(input);
        let segments = input.get_u32();
        let settings = get_settings(input);
        let start = Offset::from_wire(input.get_i64())?;
        let settled = Offset::from_wire(input.get_i64())?;
        let segments = (0..segments)
            .map(|_| SegmentRow::decode(input))
            .collect::<Option<_>>()?;
        Some(Self {
            id,
            settings,
            start,
            settled,
            segments,
        })
    }
}

impl SegmentRow {
    fn decode(input: &mut &[u8]) -> Option<Self> {
        if input.len() < SEGMENT_BYTES {
            return None;
        }
        let base = Offset::from_wire(input.get_i64())?;
        let end = Offset::from_wire(input.get_i64())?;
        let bytes = input.get_u64();
        let max_timestamp = Timestamp::from_millis(input.get_i64())?;
        let plausible = base <= end && bytes >= FIRST_BATCH;
        plausible.then_some(Self {
            base,
            extent: Extent {
                bytes,
                end,
                max_timestamp,
            },
        })
    }
}

/// There are limits far below 2³² on both things counted.
fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use model::{PartitionIndex, TopicId};

    use super::*;

    fn table() -> Table {
        let extent = Extent {
            bytes: 900,
            end: Offset::new(12).unwrap(),
            max_timestamp: Timestamp::from_millis(5).unwrap(),
        };
        let row = |index, segments| PartitionRow {
            id: PartitionId {
                topic: TopicId::from_bytes([3; 16]),
                index: PartitionIndex(index),
            },
            settings: PartitionSettings::default(),
            start: Offset::new(2).unwrap(),
            settled: Offset::new(12).unwrap(),
            segments,
        };
        Table {
            generation: 7,
            journal: 99,
            next_sequence: 1000,
            end: Place {
                file: 2,
                position: 8192,
            },
            clean: true,
            partitions: vec![
                row(
                    0,
                    vec![SegmentRow {
                        base: Offset::ZERO,
                        extent,
                    }],
                ),
                row(1, vec![]),
            ],
        }
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let bytes = table().encode();
        assert_eq!(Table::decode(&bytes, "c").unwrap(), table());
    }

    #[test]
    fn any_flipped_bit_or_truncation_is_noticed() {
        let bytes = table().encode();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(Table::decode(&flipped, "c").is_err(), "{at}");
            assert!(Table::decode(&bytes[..at], "c").is_err(), "{at}");
        }
    }

    #[test]
    fn a_count_past_the_end_is_damage_and_allocates_nothing() {
        let mut bytes = table().encode();
        bytes.truncate(bytes.len() - CHECKSUM_BYTES);
        bytes[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
        let checksum = crc32c::crc32c(&bytes);
        bytes.put_u32(checksum);
        assert!(matches!(
            Table::decode(&bytes, "c"),
            Err(StoreError::Damaged(_))
        ));
    }
}
