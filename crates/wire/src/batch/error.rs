//! Why bytes are not a batch, or a batch cannot be built.

use model::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_HEADERS_MAX};
use thiserror::Error;

use crate::reader::ReadFault;

/// Why bytes are not a batch. `Truncated` and `Crc` are what a transfer or a disk can do to a good
/// batch, so sending it again may help; all others are the fault of whoever built it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch needs {needed} bytes, there are {found}")]
    Truncated {
        /// Bytes that the part read so far asks for.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// More bytes follow where exactly one batch was expected.
    #[error("{0} bytes follow the batch")]
    TrailingBytes(usize),
    /// The length field is negative or smaller than a header.
    #[error("a batch cannot have the length {0}")]
    BadLength(i32),
    /// Not format 2. Formats 0 and 1 are Kafka's before version 0.11.
    #[error("batch format {0} is not supported, only 2 is")]
    BadMagic(u8),
    /// The content is not what its checksum was made of.
    #[error("the batch says its checksum is {stored:08x}, its bytes have {computed:08x}")]
    Crc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// More than [`BATCH_BYTES_MAX`].
    #[error("the batch has {bytes} bytes, at most {max} are allowed", max = BATCH_BYTES_MAX)]
    TooLarge {
        /// Size of the whole batch.
        bytes: usize,
    },
    /// More than [`BATCH_RECORDS_MAX`].
    #[error("the batch has {0} records, at most {max} are allowed", max = BATCH_RECORDS_MAX)]
    TooManyRecords(u32),
    /// An attribute bit that has no meaning here.
    #[error("the batch has unknown attributes: {0:016b}")]
    Attributes(u16),
    /// A codec that does not exist.
    #[error("compression codec {0} is unknown")]
    Codec(u8),
    /// No records, or a count that does not agree with the offsets.
    #[error("the batch says {records} records, and {last_offset_delta} as its last offset delta")]
    Count {
        /// The count in the header.
        records: i32,
        /// The last offset less the first, in the header.
        last_offset_delta: i32,
    },
    /// The first offset is negative, or the last one is past the end of the numbers.
    #[error("the batch cannot start at offset {0}")]
    Offset(i64),
    /// A time before 1970.
    #[error("the batch has the timestamp {0}, before 1970")]
    Timestamp(i64),
    /// A producer id without a valid epoch or sequence, or a negative one that is not −1.
    #[error("producer {id} cannot have epoch {epoch} and sequence {base_sequence}")]
    Producer {
        /// Producer id.
        id: i64,
        /// Producer epoch.
        epoch: i16,
        /// Sequence of the first record.
        base_sequence: i32,
    },
    /// One record is malformed.
    #[error("record {index} of the batch {fault}")]
    Record {
        /// Which one, counted from 0.
        index: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// Bytes follow the last record.
    #[error("{0} bytes follow the last record of the batch")]
    BytesAfterRecords(usize),
}

/// What is wrong with one record; each reads on after "record 3 of the batch".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordFault {
    /// The bytes end inside it.
    #[error("is cut off")]
    Truncated,
    /// A variable-length integer that does not end.
    #[error("holds an integer that is too wide")]
    Varint,
    /// A negative length, or one beyond the bytes there are.
    #[error("holds a length that does not fit")]
    Length,
    /// Bytes left over inside the record.
    #[error("holds more bytes than its fields")]
    TrailingBytes,
    /// Offsets must count up by one.
    #[error("is not at its place: its offset delta is {0}")]
    OffsetDelta(i32),
    /// Before 1970, or past the end of the numbers.
    #[error("has a timestamp out of range")]
    Timestamp,
    /// A negative count, more than there are bytes for, or more than [`RECORD_HEADERS_MAX`].
    #[error("has {0} headers, at most {max} are allowed", max = RECORD_HEADERS_MAX)]
    HeaderCount(i64),
}

impl From<ReadFault> for RecordFault {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Short => Self::Truncated,
            ReadFault::Varint => Self::Varint,
            ReadFault::Length => Self::Length,
        }
    }
}
