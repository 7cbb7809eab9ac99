//! Kafka RecordBatch v2, byte for byte, as the one batch format of Hark: the unit of append,
//! storage, replication and fetch.
//!
//! A batch is a header of 61 bytes and then its records, perhaps compressed as one piece. Neither
//! place in the log (first offset, leader epoch) lies under the checksum, so a batch that was
//! checked once is placed by overwriting them and is only copied from then on.

mod build;
mod compression;
mod error;
mod header;
mod records;

use bytes::{Bytes, BytesMut};
use model::{LeaderEpoch, Offset, Timestamp};

pub use build::BatchBuilder;
pub use compression::Compression;
pub use error::{BatchError, RecordFault};
pub use header::{BatchHeader, HEADER_BYTES, Producer, TimestampType, size_of_first};
pub use records::Records;

use header::{APPEND_TIME_BIT, CRC_COVERS_FROM, Fields, head_of, wire_epoch};

/// One whole valid batch. Having one is the proof that size, checksum and counts were checked; the
/// records themselves are checked when they are iterated over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Bytes,
    /// What the first bytes say, decoded once.
    header: BatchHeader,
}

impl Batch {
    /// Checks `bytes`, which must be exactly one batch. Does not copy.
    ///
    /// Control batches are valid here (see [`BatchHeader::is_control`]); a door refuses those of
    /// its clients.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let size = size_of_first(&bytes)?;
        if bytes.len() > size {
            return Err(BatchError::TrailingBytes(bytes.len() - size));
        }
        let Some(covered) = bytes.get(CRC_COVERS_FROM..size) else {
            return Err(BatchError::Truncated {
                needed: size,
                found: bytes.len(),
            });
        };
        let fields = Fields::read(head_of(&bytes)?);
        let computed = crc32c::crc32c(covered);
        if computed != fields.crc {
            return Err(BatchError::Crc {
                stored: fields.crc,
                computed,
            });
        }
        let header = fields.check()?;
        Ok(Self { bytes, header })
    }

    /// Checks the batch at the front of `bytes`, as a slice of them; its [`BatchHeader::size`] says
    /// where the rest begins.
    pub fn parse_first(bytes: &Bytes) -> Result<Self, BatchError> {
        let needed = size_of_first(bytes)?;
        if needed > bytes.len() {
            return Err(BatchError::Truncated {
                needed,
                found: bytes.len(),
            });
        }
        Self::parse(bytes.slice(..needed))
    }

    /// What was just built need not be checked.
    pub(crate) const fn trusted(bytes: Bytes, header: BatchHeader) -> Self {
        Self { bytes, header }
    }

    /// The header; costs nothing.
    #[must_use]
    pub const fn header(&self) -> BatchHeader {
        self.header
    }

    /// All the bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same batch at another place in the log: both fields lie outside the checksum. Copies
    /// only if the buffer is shared. The caller leaves room for the records below
    /// [`Offset::MAX`]: a base too near to it is lowered until the last record is there.
    #[must_use]
    pub fn placed_at(mut self, base: Offset, epoch: LeaderEpoch) -> Self {
        let span = u64::from(self.header.record_count) - 1;
        let highest = Offset::new(Offset::MAX.get() - span).unwrap_or_default();
        self.header.base_offset = base.min(highest);
        self.header.last_offset = self.header.base_offset.saturating_add(span);
        self.header.leader_epoch = LeaderEpoch(wire_epoch(epoch).unsigned_abs());
        let (base_offset, leader_epoch) = (self.header.base_offset.to_wire(), wire_epoch(epoch));
        self.bytes = rewritten(self.bytes, |fields| {
            fields.base_offset = base_offset;
            fields.leader_epoch = leader_epoch;
        });
        self
    }

    /// The same batch with the time at which the log took it, which then is the timestamp of all
    /// its records. The one change that needs a new checksum; copies only if the buffer is shared.
    #[must_use]
    pub fn appended_at(mut self, now: Timestamp) -> Self {
        self.header.timestamp_type = TimestampType::LogAppendTime;
        self.header.max_timestamp = now;
        let stamped = rewritten(self.bytes, |fields| {
            fields.attributes |= APPEND_TIME_BIT;
            fields.max_timestamp = now.as_millis();
        });
        let crc = crc32c::crc32c(stamped.get(CRC_COVERS_FROM..).unwrap_or_default());
        self.bytes = rewritten(stamped, |fields| fields.crc = crc);
        self
    }

    /// The records section as stored (perhaps compressed).
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    /// Records of an uncompressed payload (the batch's own, or what `compress` made of it), with
    /// their offsets and absolute timestamps. Zero-copy slices of `payload`.
    #[must_use]
    pub const fn records_in(&self, payload: Bytes) -> Records {
        Records::new(self.header, payload)
    }
}

/// Changes header fields in place, or in a copy if somebody else holds the buffer too.
fn rewritten(bytes: Bytes, change: impl FnOnce(&mut Fields)) -> Bytes {
    let mut bytes = bytes
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&*shared));
    if let Some(head) = bytes.first_chunk_mut::<HEADER_BYTES>() {
        let mut fields = Fields::read(head);
        change(&mut fields);
        fields.write(head);
    }
    bytes.freeze()
}
