//! One stored batch: 32 bytes of our own, then its frame.
//!
//! A frame's own checksum leaves its place out (base offset, length, epoch), so a flipped bit there
//! would move a batch without being noticed. The stored header covers exactly that, and who the
//! batch belongs to; it also lets a reader step over frames without trusting or reading them. The
//! same bytes stand in the journal's entry table and in front of the frame in a segment.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..4 | checksum | u32, CRC-32C of topic id, partition (u32), then bytes 4..32 |
//! | 4..8 | length | u32, bytes of the frame |
//! | 8..16 | base offset | i64 |
//! | 16..20 | last offset delta | u32, last offset minus base offset |
//! | 20..24 | leader epoch | 4 bytes as the frame has them |
//! | 24..32 | max timestamp | i64 |

use bytes::{Buf, BufMut, Bytes};
use model::limits::BATCH_BYTES_MAX;
use model::{Offset, PartitionId, Timestamp};
use wire::Batch;

use crate::{Frame, Sealer};

/// Bytes in front of every frame in a segment.
pub(super) const STORED_HEADER_BYTES: usize = 32;
/// Largest frame: the largest batch in an envelope.
pub(super) const FRAME_BYTES_MAX: usize = BATCH_BYTES_MAX + 1024;

const EPOCH_AT: usize = 12;

/// A stored header's bytes.
pub(super) type StoredHeaderBytes = [u8; STORED_HEADER_BYTES];

/// What stands in front of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredHeader {
    /// Bytes of the frame.
    pub(super) length: u32,
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) epoch: [u8; 4],
    pub(super) max_timestamp: Timestamp,
}

/// The checksum's beginning for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn of(partition: PartitionId) -> Self {
        let topic = crc32c::crc32c(partition.topic.as_bytes());
        Self(crc32c::crc32c_append(
            topic,
            &partition.index.0.to_be_bytes(),
        ))
    }
}

impl StoredHeader {
    /// Bytes of header and frame.
    pub(super) fn stored_bytes(&self) -> u64 {
        STORED_HEADER_BYTES as u64 + u64::from(self.length)
    }

    /// One past the last record.
    pub(super) const fn next(&self) -> Offset {
        self.last.saturating_add(1)
    }

    pub(super) fn encode(&self, seed: Seed) -> StoredHeaderBytes {
        let delta = u32::try_from(self.last.since(self.base)).unwrap_or(u32::MAX);
        let mut bytes = [0; STORED_HEADER_BYTES];
        let mut content = bytes.as_mut_slice();
        content.put_u32(0);
        content.put_u32(self.length);
        content.put_i64(self.base.to_wire());
        content.put_u32(delta);
        content.put_slice(&self.epoch);
        content.put_i64(self.max_timestamp.as_millis());
        let crc = crc32c::crc32c_append(seed.0, bytes.get(4..).unwrap_or_default());
        bytes.as_mut_slice().put_u32(crc);
        bytes
    }

    /// The header in these bytes, or `None` when they are not what was written.
    pub(super) fn decode(bytes: &StoredHeaderBytes, seed: Seed) -> Option<Self> {
        let mut input = bytes.as_slice();
        let checksum = input.get_u32();
        let length = input.get_u32();
        // Cheap, and it settles nearly every position when searching for the next header.
        if length as usize > FRAME_BYTES_MAX {
            return None;
        }
        if crc32c::crc32c_append(seed.0, bytes.get(4..)?) != checksum {
            return None;
        }
        let base = Offset::from_wire(input.get_i64())?;
        let last = base.checked_add(u64::from(input.get_u32()))?;
        let mut epoch = [0; 4];
        input.copy_to_slice(&mut epoch);
        let max_timestamp = Timestamp::from_millis(input.get_i64())?;
        Some(Self {
            length,
            base,
            last,
            epoch,
            max_timestamp,
        })
    }

    fn of(frame: &Frame) -> Self {
        let head = frame.head();
        Self {
            length: u32::try_from(head.size).unwrap_or(u32::MAX),
            base: head.base_offset,
            last: head.last_offset,
            epoch: epoch_of(frame),
            max_timestamp: head.max_timestamp,
        }
    }
}

/// A frame with its header, in memory.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) header: StoredHeader,
    payload: Payload,
}

#[derive(Debug, Clone)]
enum Payload {
    Sound(Frame),
    /// The journal gave back other bytes than it was given; they settle as they are, so that
    /// readers are told.
    Damaged(Bytes),
}

impl Stored {
    pub(super) fn sound(frame: Frame) -> Self {
        Self {
            header: StoredHeader::of(&frame),
            payload: Payload::Sound(frame),
        }
    }

    /// What was read back, sound or not.
    pub(super) fn read_back(header: StoredHeader, bytes: Bytes) -> Self {
        let payload = match check(&header, &bytes) {
            Some(frame) => Payload::Sound(frame),
            None => Payload::Damaged(bytes),
        };
        Self { header, payload }
    }

    pub(super) const fn bytes(&self) -> &Bytes {
        match &self.payload {
            Payload::Sound(frame) => frame.bytes(),
            Payload::Damaged(bytes) => bytes,
        }
    }

    /// The batch, or `None` when it is damaged.
    pub(super) fn batch(self, partition: PartitionId, sealer: Option<&Sealer>) -> Option<Batch> {
        match self.payload {
            Payload::Sound(frame) => frame.batch(partition, sealer).ok(),
            Payload::Damaged(_) => None,
        }
    }
}

/// The frame in `bytes` if it is the one that the header was made for, whole and undamaged.
pub(super) fn check(header: &StoredHeader, bytes: &Bytes) -> Option<Frame> {
    let frame = Frame::parse(bytes).ok()?;
    (StoredHeader::of(&frame) == *header).then_some(frame)
}

fn epoch_of(frame: &Frame) -> [u8; 4] {
    let rest = frame.bytes().get(EPOCH_AT..).unwrap_or_default();
    rest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use model::{PartitionIndex, TopicId};

    use super::*;

    fn seed(index: u32) -> Seed {
        Seed::of(PartitionId {
            topic: TopicId::from_bytes([7; 16]),
            index: PartitionIndex(index),
        })
    }

    fn header() -> StoredHeader {
        StoredHeader {
            length: 100,
            base: Offset::new(5).unwrap(),
            last: Offset::new(9).unwrap(),
            epoch: [0, 0, 0, 3],
            max_timestamp: Timestamp::from_millis(77).unwrap(),
        }
    }

    #[test]
    fn a_header_reads_back() {
        let bytes = header().encode(seed(1));
        assert_eq!(StoredHeader::decode(&bytes, seed(1)), Some(header()));
    }

    #[test]
    fn a_flipped_bit_or_another_partition_is_noticed() {
        let bytes = header().encode(seed(1));
        assert_eq!(StoredHeader::decode(&bytes, seed(2)), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(StoredHeader::decode(&flipped, seed(1)), None, "bit {bit}");
        }
    }
}
