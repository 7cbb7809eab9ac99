//! Iterates over the records of a batch without copying them.

use alloc::vec::Vec;
use core::iter::FusedIterator;
use core::ops::Range;

use bytes::Bytes;
use model::limits::RECORD_HEADERS_MAX;
use model::{Header, Offset, Record, Timestamp};

use super::{BatchError, BatchHeader, RecordFault, TimestampType};
use crate::reader::Reader;

/// The fewest bytes that a header takes: two lengths.
const HEADER_BYTES_MIN: usize = 2;

/// Iterator over `Result<(Offset, Record), BatchError>`. Keys, values and headers are slices of the
/// payload; every length is checked against what remains before it is used. Ends after the first
/// error. When it ends without one, the payload held exactly the records that the header promises.
///
/// One record, where *varint* is a zigzag integer of seven bits a byte, the lowest first:
///
/// | field | |
/// |---|---|
/// | length | varint; bytes after this field |
/// | attributes | one byte, without meaning yet |
/// | timestamp delta | varint of 64 bits; from the batch's base timestamp |
/// | offset delta | varint; 0, 1, 2 … |
/// | key | varint length, −1 none; then the bytes |
/// | value | varint length, −1 none; then the bytes |
/// | header count | varint |
/// | each header | varint length, name; varint length, −1 none; value |
#[derive(Debug, Clone)]
pub struct Records {
    header: BatchHeader,
    payload: Bytes,
    /// Where in the payload the next record begins.
    at: usize,
    /// Which record that is.
    index: u32,
    ended: bool,
}

impl Records {
    pub(super) const fn new(header: BatchHeader, payload: Bytes) -> Self {
        Self {
            header,
            payload,
            at: 0,
            index: 0,
            ended: false,
        }
    }

    /// Bytes of the payload, all of which every record of it keeps in memory.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// The next record, and where the one after it begins.
    fn read_record(&self) -> Result<(Record, usize), RecordFault> {
        let mut reader = Reader::new(&self.payload, self.at);
        let mut body = reader.part()?;
        let record = self.read_body(&mut body)?;
        if body.remaining() > 0 {
            return Err(RecordFault::TrailingBytes);
        }
        Ok((record, reader.position()))
    }

    fn read_body(&self, body: &mut Reader<'_>) -> Result<Record, RecordFault> {
        let _attributes = body.u8()?;
        let timestamp = self.timestamp(body.varlong()?)?;
        let delta = body.varint()?;
        if i64::from(delta) != i64::from(self.index) {
            return Err(RecordFault::OffsetDelta(delta));
        }
        Ok(Record {
            key: self.slice(body.nullable()?),
            value: self.slice(body.nullable()?),
            headers: self.read_headers(body)?,
            timestamp: Some(timestamp),
        })
    }

    fn timestamp(&self, delta: i64) -> Result<Timestamp, RecordFault> {
        if self.header.timestamp_type == TimestampType::LogAppendTime {
            return Ok(self.header.max_timestamp);
        }
        let millis = self.header.base_timestamp.as_millis().checked_add(delta);
        millis
            .and_then(Timestamp::from_millis)
            .ok_or(RecordFault::Timestamp)
    }

    fn read_headers(&self, body: &mut Reader<'_>) -> Result<Vec<Header>, RecordFault> {
        let count = body.varint()?;
        let most = RECORD_HEADERS_MAX.min(body.remaining() / HEADER_BYTES_MIN);
        let fitting = usize::try_from(count).ok().filter(|count| *count <= most);
        let fitting = fitting.ok_or_else(|| RecordFault::HeaderCount(count.into()))?;
        let mut headers = Vec::with_capacity(fitting);
        for _ in 0..fitting {
            headers.push(Header {
                name: self.payload.slice(body.sized()?),
                value: self.slice(body.nullable()?),
            });
        }
        Ok(headers)
    }

    fn slice(&self, place: Option<Range<usize>>) -> Option<Bytes> {
        place.map(|place| self.payload.slice(place))
    }

    /// What there is to say after the last record.
    fn end(&mut self) -> Option<Result<(Offset, Record), BatchError>> {
        self.ended = true;
        let left = self.payload.len() - self.at;
        (left > 0).then_some(Err(BatchError::BytesAfterRecords(left)))
    }
}

impl Iterator for Records {
    type Item = Result<(Offset, Record), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let index = self.index;
        if index == self.header.record_count {
            return self.end();
        }
        match self.read_record() {
            Ok((record, next)) => {
                self.at = next;
                self.index += 1;
                // The header was checked: no offset of the batch is past the last.
                Some(Ok((
                    self.header.base_offset.saturating_add(u64::from(index)),
                    record,
                )))
            }
            Err(fault) => {
                self.ended = true;
                Some(Err(BatchError::Record { index, fault }))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.header.record_count.saturating_sub(self.index) as usize;
        // At least one more item, a record or an error, unless ended; and at most one error more.
        if self.ended {
            (0, Some(0))
        } else {
            (usize::from(left > 0), Some(left + 1))
        }
    }
}

impl FusedIterator for Records {}
