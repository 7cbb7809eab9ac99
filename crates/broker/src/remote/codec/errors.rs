//! Errors. Each comes out at the other end as what it was, with its code and its message.

use model::{Offset, PartitionIndex};
use wire::BatchError;
use wire::batch::RecordFault;

use super::{Coded, Malformed, Reader, Writer, coded};
use crate::error::{FetchError, GroupError, PublishError, TopicError};

coded!(enum TopicError {
    1 => Unknown(name: String),
    2 => Exists(name: String),
    3 => Replaced(name: String),
    4 => Reserved,
    5 => Partitions(count: u32),
    6 => Replication(factor: u16),
    7 => Mode,
    8 => Setting(why: String),
    9 => TooMany(why: String),
    10 => NoPlace,
    11 => Unavailable(why: String),
    12 => Full,
    13 => Stopped(why: String),
    14 => NotRegistered(why: String),
});

coded!(enum PublishError {
    1 => Topic(error: TopicError),
    2 => Partition { topic: String, partition: PartitionIndex },
    3 => Empty,
    4 => TooLarge { size: usize, max: usize },
    5 => Invalid(error: BatchError),
    6 => Undecodable(why: String),
    7 => Fenced,
    8 => OutOfOrder { expected: i32, given: i32 },
    9 => Partial { acknowledged: usize, of: usize, cause: String },
    10 => Full,
    11 => Stopped(why: String),
    12 => LeaderUnavailable(why: String),
    13 => OutcomeUnknown(why: String),
});

coded!(enum FetchError {
    1 => UnknownTopic(name: String),
    2 => Partition { topic: String, partition: PartitionIndex },
    3 => OutOfRange {
        partition: PartitionIndex,
        wanted: Offset,
        start: Offset,
        end: Offset
    },
    4 => ForeignCursor,
    5 => Damaged { partition: PartitionIndex, at: Offset, resume_at: Offset },
    6 => Undecodable { partition: PartitionIndex, at: Offset, why: String },
    7 => Io(why: String),
    8 => LeaderUnavailable(why: String),
    9 => Unavailable(why: String),
    10 => NotRegistered(why: String),
});

coded!(enum GroupError {
    1 => InvalidName,
    2 => Unknown(name: String),
    3 => NotMember(consumer: String),
    4 => Rebalanced,
    5 => NotEmpty,
    6 => SessionTimeout,
    7 => Limit(why: String),
    8 => NotDurable(why: String),
    9 => Fetch(error: FetchError),
    10 => CoordinatorUnavailable(why: String),
});

coded!(enum BatchError {
    1 => Truncated { needed: usize, found: usize },
    2 => TrailingBytes(count: usize),
    3 => BadLength(length: i32),
    4 => BadMagic(magic: u8),
    5 => Crc { stored: u32, computed: u32 },
    6 => TooLarge { bytes: usize },
    7 => TooManyRecords(count: u32),
    8 => Attributes(bits: u16),
    9 => Codec(codec: u8),
    10 => Count { records: i32, last_offset_delta: i32 },
    11 => Offset(offset: i64),
    12 => Timestamp(time: i64),
    13 => Producer { id: i64, epoch: i16, base_sequence: i32 },
    14 => Record { index: u32, fault: RecordFault },
    15 => BytesAfterRecords(count: usize),
});

coded!(enum RecordFault {
    1 => Truncated,
    2 => Varint,
    3 => Length,
    4 => TrailingBytes,
    5 => OffsetDelta(delta: i32),
    6 => Timestamp,
    7 => HeaderCount(count: i64),
});
