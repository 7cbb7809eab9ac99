//! The 61 bytes before the records.

use bytes::{Buf, BufMut};
use model::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::{BatchError, Compression};

/// Bytes before the records.
pub const HEADER_BYTES: usize = 61;
/// Offset and length fields, which the length does not count.
pub(super) const PREFIX_BYTES: usize = 12;
/// Where the bytes that the checksum covers begin.
pub(super) const CRC_COVERS_FROM: usize = 21;

const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

const CODEC_BITS: u16 = 0b0000_0111;
pub(super) const APPEND_TIME_BIT: u16 = 0b0000_1000;
const TRANSACTIONAL_BIT: u16 = 0b0001_0000;
const CONTROL_BIT: u16 = 0b0010_0000;
const KNOWN_BITS: u16 = CODEC_BITS | APPEND_TIME_BIT | TRANSACTIONAL_BIT | CONTROL_BIT;

/// The decoded header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The reign under which the batch was appended. Clients, who do not know it, write −1, which
    /// reads as 0.
    pub leader_epoch: LeaderEpoch,
    /// How the records are compressed.
    pub compression: Compression,
    /// What the timestamps of the records mean.
    pub timestamp_type: TimestampType,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
    /// Whether the records are marks of a transaction's end, not messages. Never taken from a
    /// client.
    pub is_control: bool,
    /// Records in the batch, at least 1.
    pub record_count: u32,
    /// What the timestamps of the records are counted from; that of the first, as a rule.
    pub base_timestamp: Timestamp,
    /// The largest timestamp of a record, as the builder of the batch says; the time of appending
    /// with [`TimestampType::LogAppendTime`].
    pub max_timestamp: Timestamp,
    /// The idempotent producer, if it was one.
    pub producer: Option<Producer>,
    /// Bytes of the whole batch, header included.
    pub size: usize,
}

/// What the timestamps of a batch mean: attribute bit 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// Each record has the time its publisher gave it.
    #[default]
    CreateTime,
    /// All records have the time at which the log took the batch.
    LogAppendTime,
}

/// The idempotent producer of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Who; at most 2⁶³ − 1 on the wire.
    pub id: ProducerId,
    /// Its incarnation; at most 2¹⁵ − 1 on the wire.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record.
    pub base_sequence: Sequence,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes` and checks its fields, but neither the checksum nor
    /// that the records are there: for looking along a file. Only [`super::Batch::parse`] proves.
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        size_of_first(bytes)?;
        Fields::read(head_of(bytes)?).check()
    }
}

/// How long the batch at the front of `bytes` is, whether or not all of it is there: at least
/// [`HEADER_BYTES`] and at most [`BATCH_BYTES_MAX`]. Needs the first 17 bytes.
pub fn size_of_first(bytes: &[u8]) -> Result<usize, BatchError> {
    let short = BatchError::Truncated {
        needed: HEADER_BYTES,
        found: bytes.len(),
    };
    let Some(mut front) = bytes
        .first_chunk::<{ MAGIC_AT + 1 }>()
        .map(<[u8; _]>::as_slice)
    else {
        return Err(short);
    };
    front.advance(8);
    let length = front.get_i32();
    front.advance(4);
    match front.get_u8() {
        MAGIC => {}
        other => return Err(BatchError::BadMagic(other)),
    }
    let size = usize::try_from(length).map_err(|_| BatchError::BadLength(length))? + PREFIX_BYTES;
    if size < HEADER_BYTES {
        Err(BatchError::BadLength(length))
    } else if size > BATCH_BYTES_MAX {
        Err(BatchError::TooLarge { bytes: size })
    } else {
        Ok(size)
    }
}

/// The header's bytes.
pub(super) fn head_of(bytes: &[u8]) -> Result<&[u8; HEADER_BYTES], BatchError> {
    let found = bytes.len();
    bytes.first_chunk().ok_or(BatchError::Truncated {
        needed: HEADER_BYTES,
        found,
    })
}

/// The header as it stands on the wire, all integers big-endian:
///
/// | bytes | field | |
/// |---|---|---|
/// | 0..8 | `base_offset` | i64; outside the checksum |
/// | 8..12 | `length` | i32; bytes after this field; outside the checksum |
/// | 12..16 | `leader_epoch` | i32, −1 unknown; outside the checksum |
/// | 16 | magic | 2 |
/// | 17..21 | `crc` | u32; CRC-32C of bytes 21 to the end |
/// | 21..23 | `attributes` | bits 0–2 codec, 3 timestamp type, 4 transactional, 5 control; Kafka's bit 6 (a compacted batch whose base timestamp is a delete horizon) and all higher ones are refused |
/// | 23..27 | `last_offset_delta` | i32; last offset less `base_offset`; `record_count` − 1 |
/// | 27..35 | `base_timestamp` | i64; milliseconds since 1970 |
/// | 35..43 | `max_timestamp` | i64 |
/// | 43..51 | `producer_id` | i64, −1 none |
/// | 51..53 | `producer_epoch` | i16, −1 none |
/// | 53..57 | `base_sequence` | i32, −1 none |
/// | 57..61 | `record_count` | i32 |
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) base_offset: i64,
    pub(super) length: i32,
    pub(super) leader_epoch: i32,
    pub(super) crc: u32,
    pub(super) attributes: u16,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) base_sequence: i32,
    pub(super) record_count: i32,
}

impl Fields {
    /// The magic byte is passed over: [`size_of_first`] has looked at it.
    pub(super) fn read(head: &[u8; HEADER_BYTES]) -> Self {
        let mut head = head.as_slice();
        Self {
            base_offset: head.get_i64(),
            length: head.get_i32(),
            leader_epoch: head.get_i32(),
            crc: {
                head.advance(1);
                head.get_u32()
            },
            attributes: head.get_u16(),
            last_offset_delta: head.get_i32(),
            base_timestamp: head.get_i64(),
            max_timestamp: head.get_i64(),
            producer_id: head.get_i64(),
            producer_epoch: head.get_i16(),
            base_sequence: head.get_i32(),
            record_count: head.get_i32(),
        }
    }

    pub(super) fn write(&self, head: &mut [u8; HEADER_BYTES]) {
        let mut head = head.as_mut_slice();
        head.put_i64(self.base_offset);
        head.put_i32(self.length);
        head.put_i32(self.leader_epoch);
        head.put_u8(MAGIC);
        head.put_u32(self.crc);
        head.put_u16(self.attributes);
        head.put_i32(self.last_offset_delta);
        head.put_i64(self.base_timestamp);
        head.put_i64(self.max_timestamp);
        head.put_i64(self.producer_id);
        head.put_i16(self.producer_epoch);
        head.put_i32(self.base_sequence);
        head.put_i32(self.record_count);
    }

    /// The header that these fields make, if they can be one. The length was checked before.
    pub(super) fn check(&self) -> Result<BatchHeader, BatchError> {
        let compression = self.checked_compression()?;
        let record_count = self.checked_count()?;
        let bad_offset = BatchError::Offset(self.base_offset);
        let Some(base_offset) = Offset::from_wire(self.base_offset) else {
            return Err(bad_offset);
        };
        let last_offset = base_offset
            .checked_add(u64::from(record_count) - 1)
            .ok_or(bad_offset)?;
        Ok(BatchHeader {
            base_offset,
            last_offset,
            leader_epoch: LeaderEpoch(u32::try_from(self.leader_epoch).unwrap_or(0)),
            compression,
            timestamp_type: if self.has(APPEND_TIME_BIT) {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            is_transactional: self.has(TRANSACTIONAL_BIT),
            is_control: self.has(CONTROL_BIT),
            record_count,
            base_timestamp: checked_timestamp(self.base_timestamp)?,
            max_timestamp: checked_timestamp(self.max_timestamp)?,
            producer: self.checked_producer()?,
            size: usize::try_from(self.length).unwrap_or(0) + PREFIX_BYTES,
        })
    }

    const fn has(&self, bit: u16) -> bool {
        self.attributes & bit != 0
    }

    const fn checked_compression(&self) -> Result<Compression, BatchError> {
        if self.has(!KNOWN_BITS) {
            return Err(BatchError::Attributes(self.attributes));
        }
        Compression::from_code((self.attributes & CODEC_BITS) as u8)
    }

    fn checked_count(&self) -> Result<u32, BatchError> {
        let Self {
            record_count: records,
            last_offset_delta,
            ..
        } = *self;
        match u32::try_from(records) {
            Ok(count) if count > 0 && last_offset_delta == records - 1 => {
                if count as usize > BATCH_RECORDS_MAX {
                    Err(BatchError::TooManyRecords(count))
                } else {
                    Ok(count)
                }
            }
            _ => Err(BatchError::Count {
                records,
                last_offset_delta,
            }),
        }
    }

    /// Without a producer id, Kafka does not look at epoch and sequence, and clients differ in what
    /// they write there.
    fn checked_producer(&self) -> Result<Option<Producer>, BatchError> {
        let Self {
            producer_id,
            producer_epoch,
            base_sequence,
            ..
        } = *self;
        if producer_id == -1 {
            return Ok(None);
        }
        let producer = || {
            Some(Producer {
                id: ProducerId(u64::try_from(producer_id).ok()?),
                epoch: ProducerEpoch(u16::try_from(producer_epoch).ok()?),
                base_sequence: Sequence::from_wire(base_sequence)?,
            })
        };
        let (id, epoch) = (producer_id, producer_epoch);
        producer().map(Some).ok_or(BatchError::Producer {
            id,
            epoch,
            base_sequence,
        })
    }
}

/// The epoch as the wire writes it; past the end of its numbers it stays at the last.
pub(super) fn wire_epoch(epoch: LeaderEpoch) -> i32 {
    i32::try_from(epoch.0).unwrap_or(i32::MAX)
}

fn checked_timestamp(millis: i64) -> Result<Timestamp, BatchError> {
    Timestamp::from_millis(millis).ok_or(BatchError::Timestamp(millis))
}
