//! Builds a batch in one buffer.

use alloc::vec::Vec;

use bytes::Bytes;
use model::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_HEADERS_MAX};
use model::{Record, Timestamp};

use super::header::{CRC_COVERS_FROM, Fields, PREFIX_BYTES};
use super::{Batch, BatchError, Compression, HEADER_BYTES, Producer, RecordFault};
use crate::varint;

/// Builds one batch. Records are written at once into the buffer that becomes the batch, behind
/// room for the header; building fills in the header and copies nothing.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    /// Room for the header, then the records.
    bytes: Vec<u8>,
    now: Timestamp,
    record_count: u32,
    /// Of the first record.
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    producer: Option<Producer>,
}

impl BatchBuilder {
    /// `now` is the timestamp of records that carry none.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self::with_capacity(now, 0)
    }

    /// The same with room for `payload` bytes of records, so that the buffer need not grow.
    #[must_use]
    pub fn with_capacity(now: Timestamp, payload: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.min(BATCH_BYTES_MAX));
        bytes.resize(HEADER_BYTES, 0);
        Self {
            bytes,
            now,
            record_count: 0,
            base_timestamp: Timestamp::default(),
            max_timestamp: Timestamp::default(),
            producer: None,
        }
    }

    /// Makes the batch that of an idempotent producer. An id or epoch past the end of the wire's
    /// numbers (2⁶³ − 1, 2¹⁵ − 1) is written as the last one.
    #[must_use]
    pub const fn producer(mut self, producer: Producer) -> Self {
        self.producer = Some(producer);
        self
    }

    /// Adds a record, or refuses it and stays as it was: [`BatchError::TooManyRecords`],
    /// [`BatchError::TooLarge`], or a record with more than [`RECORD_HEADERS_MAX`] headers.
    pub fn push(&mut self, record: &Record) -> Result<(), BatchError> {
        if self.record_count as usize >= BATCH_RECORDS_MAX {
            return Err(BatchError::TooManyRecords(self.record_count + 1));
        }
        if record.headers.len() > RECORD_HEADERS_MAX {
            let fault = RecordFault::HeaderCount(signed(record.headers.len()));
            return Err(BatchError::Record {
                index: self.record_count,
                fault,
            });
        }
        let timestamp = record.timestamp.unwrap_or(self.now);
        let base = if self.record_count == 0 {
            timestamp
        } else {
            self.base_timestamp
        };
        let place = Place {
            // Both are at least 0, so the difference cannot wrap.
            timestamp_delta: timestamp.as_millis() - base.as_millis(),
            offset_delta: i64::from(self.record_count),
        };
        self.write(record, &place)?;
        self.base_timestamp = base;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.record_count += 1;
        Ok(())
    }

    /// Bytes so far, header included.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Records so far.
    #[must_use]
    pub const fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Whether there are no records yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// The batch, uncompressed, at offset 0 and epoch 0. `None` when empty.
    #[must_use]
    pub fn build(self) -> Option<Batch> {
        self.finish(Compression::None)
    }

    /// The same with the records compressed by `compress`; `None` when empty. The batch stays
    /// uncompressed when that does not make it smaller.
    #[must_use]
    pub fn build_with(
        mut self,
        compression: Compression,
        compress: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Option<Batch> {
        let payload = self.bytes.get(HEADER_BYTES..).unwrap_or_default();
        if compression == Compression::None || payload.is_empty() {
            return self.build();
        }
        let compressed = compress(payload);
        if compressed.len() >= payload.len() {
            return self.build();
        }
        self.bytes.truncate(HEADER_BYTES);
        self.bytes.extend_from_slice(&compressed);
        self.bytes.shrink_to_fit();
        self.finish(compression)
    }

    fn write(&mut self, record: &Record, place: &Place) -> Result<(), BatchError> {
        let body = place.body_size(record);
        let size = varint::size(varint::zigzag(signed(body))) + body;
        let bytes = self.bytes.len() + size;
        if bytes > BATCH_BYTES_MAX {
            return Err(BatchError::TooLarge { bytes });
        }
        self.bytes.reserve(size);
        place.write(record, body, &mut self.bytes);
        debug_assert_eq!(
            self.bytes.len(),
            bytes,
            "the size of a record was computed wrongly"
        );
        Ok(())
    }

    fn finish(mut self, compression: Compression) -> Option<Batch> {
        let fields = self.fields(compression)?;
        let head = self.bytes.first_chunk_mut::<HEADER_BYTES>()?;
        fields.write(head);
        let crc = crc32c::crc32c(self.bytes.get(CRC_COVERS_FROM..)?);
        let head = self.bytes.first_chunk_mut::<HEADER_BYTES>()?;
        Fields { crc, ..fields }.write(head);
        let header = fields.check();
        debug_assert!(header.is_ok(), "built an invalid batch: {header:?}");
        Some(Batch::trusted(Bytes::from(self.bytes), header.ok()?))
    }

    /// `None` without records. The checksum is still to come.
    fn fields(&self, compression: Compression) -> Option<Fields> {
        let record_count = i32::try_from(self.record_count)
            .ok()
            .filter(|count| *count > 0)?;
        let producer = self.producer;
        Some(Fields {
            base_offset: 0,
            length: i32::try_from(self.bytes.len() - PREFIX_BYTES).ok()?,
            leader_epoch: 0,
            crc: 0,
            attributes: compression.code(),
            last_offset_delta: record_count - 1,
            base_timestamp: self.base_timestamp.as_millis(),
            max_timestamp: self.max_timestamp.as_millis(),
            producer_id: producer.map_or(-1, |p| i64::try_from(p.id.0).unwrap_or(i64::MAX)),
            producer_epoch: producer.map_or(-1, |p| i16::try_from(p.epoch.0).unwrap_or(i16::MAX)),
            base_sequence: producer.map_or(-1, |p| p.base_sequence.to_wire()),
            record_count,
        })
    }
}

/// Where a record stands in its batch.
struct Place {
    timestamp_delta: i64,
    offset_delta: i64,
}

impl Place {
    /// Bytes after the length field.
    fn body_size(&self, record: &Record) -> usize {
        let headers: usize = record
            .headers
            .iter()
            .map(|header| field_size(Some(&header.name)) + field_size(header.value.as_ref()))
            .sum();
        1 + signed_size(self.timestamp_delta)
            + signed_size(self.offset_delta)
            + field_size(record.key.as_ref())
            + field_size(record.value.as_ref())
            + signed_size(signed(record.headers.len()))
            + headers
    }

    fn write(&self, record: &Record, body: usize, out: &mut Vec<u8>) {
        varint::put_signed(out, signed(body));
        out.push(0);
        varint::put_signed(out, self.timestamp_delta);
        varint::put_signed(out, self.offset_delta);
        put_field(out, record.key.as_ref());
        put_field(out, record.value.as_ref());
        varint::put_signed(out, signed(record.headers.len()));
        for header in &record.headers {
            put_field(out, Some(&header.name));
            put_field(out, header.value.as_ref());
        }
    }
}

fn put_field(out: &mut Vec<u8>, field: Option<&Bytes>) {
    match field {
        None => varint::put_signed(out, -1),
        Some(bytes) => {
            varint::put_signed(out, signed(bytes.len()));
            out.extend_from_slice(bytes);
        }
    }
}

fn field_size(field: Option<&Bytes>) -> usize {
    field.map_or(1, |bytes| signed_size(signed(bytes.len())) + bytes.len())
}

const fn signed_size(value: i64) -> usize {
    varint::size(varint::zigzag(value))
}

/// No slice is longer than `isize::MAX`, so nothing wraps.
const fn signed(length: usize) -> i64 {
    (length as u64).cast_signed()
}
