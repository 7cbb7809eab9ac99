//! Anything that may go wrong.

use proptest::prelude::*;
use wire::BatchError;
use wire::batch::RecordFault;

use super::words::{index, offset, text};
use crate::error::{FetchError, GroupError, PublishError, TopicError};

fn topic_error() -> impl Strategy<Value = TopicError> {
    prop_oneof![
        text().prop_map(TopicError::Unknown),
        text().prop_map(TopicError::Exists),
        text().prop_map(TopicError::Replaced),
        Just(TopicError::Reserved),
        any::<u32>().prop_map(TopicError::Partitions),
        any::<u16>().prop_map(TopicError::Replication),
        Just(TopicError::Mode),
        text().prop_map(TopicError::Setting),
        text().prop_map(TopicError::TooMany),
        Just(TopicError::NoPlace),
        text().prop_map(TopicError::Unavailable),
        Just(TopicError::Full),
        text().prop_map(TopicError::Stopped),
        text().prop_map(TopicError::NotRegistered),
    ]
}

pub(super) fn publish_error() -> impl Strategy<Value = PublishError> {
    prop_oneof![
        topic_error().prop_map(PublishError::Topic),
        (text(), index())
            .prop_map(|(topic, partition)| PublishError::Partition { topic, partition }),
        Just(PublishError::Empty),
        (0..1_usize << 40, any::<u32>()).prop_map(|(size, max)| PublishError::TooLarge {
            size,
            max: max as usize
        }),
        batch_error().prop_map(PublishError::Invalid),
        text().prop_map(PublishError::Undecodable),
        Just(PublishError::Fenced),
        (any::<i32>(), any::<i32>())
            .prop_map(|(expected, given)| PublishError::OutOfOrder { expected, given }),
        (0..9_usize, 0..9_usize, text()).prop_map(|(acknowledged, of, cause)| {
            PublishError::Partial {
                acknowledged,
                of,
                cause,
            }
        }),
        text().prop_map(PublishError::LeaderUnavailable),
        text().prop_map(PublishError::OutcomeUnknown),
        Just(PublishError::Full),
        text().prop_map(PublishError::Stopped),
    ]
}

fn batch_error() -> impl Strategy<Value = BatchError> {
    let fault = prop_oneof![
        Just(RecordFault::Truncated),
        Just(RecordFault::Varint),
        Just(RecordFault::Length),
        Just(RecordFault::TrailingBytes),
        any::<i32>().prop_map(RecordFault::OffsetDelta),
        Just(RecordFault::Timestamp),
        any::<i64>().prop_map(RecordFault::HeaderCount),
    ];
    prop_oneof![
        (0..9_usize, 0..9_usize)
            .prop_map(|(needed, found)| BatchError::Truncated { needed, found }),
        (0..9_usize).prop_map(BatchError::TrailingBytes),
        any::<i32>().prop_map(BatchError::BadLength),
        any::<u8>().prop_map(BatchError::BadMagic),
        (any::<u32>(), any::<u32>())
            .prop_map(|(stored, computed)| BatchError::Crc { stored, computed }),
        (0..9_usize).prop_map(|bytes| BatchError::TooLarge { bytes }),
        any::<u32>().prop_map(BatchError::TooManyRecords),
        any::<u16>().prop_map(BatchError::Attributes),
        any::<u8>().prop_map(BatchError::Codec),
        (any::<i32>(), any::<i32>()).prop_map(|(records, last_offset_delta)| BatchError::Count {
            records,
            last_offset_delta
        }),
        any::<i64>().prop_map(BatchError::Offset),
        any::<i64>().prop_map(BatchError::Timestamp),
        (any::<i64>(), any::<i16>(), any::<i32>()).prop_map(|(id, epoch, base_sequence)| {
            BatchError::Producer {
                id,
                epoch,
                base_sequence,
            }
        }),
        (any::<u32>(), fault).prop_map(|(index, fault)| BatchError::Record { index, fault }),
        (0..9_usize).prop_map(BatchError::BytesAfterRecords),
    ]
}

pub(super) fn fetch_error() -> impl Strategy<Value = FetchError> {
    prop_oneof![
        text().prop_map(FetchError::UnknownTopic),
        (text(), index()).prop_map(|(topic, partition)| FetchError::Partition { topic, partition }),
        (index(), offset(), offset(), offset()).prop_map(|(partition, wanted, start, end)| {
            FetchError::OutOfRange {
                partition,
                wanted,
                start,
                end,
            }
        }),
        Just(FetchError::ForeignCursor),
        (index(), offset(), offset()).prop_map(|(partition, at, resume_at)| FetchError::Damaged {
            partition,
            at,
            resume_at
        }),
        (index(), offset(), text()).prop_map(|(partition, at, why)| FetchError::Undecodable {
            partition,
            at,
            why
        }),
        text().prop_map(FetchError::LeaderUnavailable),
        text().prop_map(FetchError::Unavailable),
        text().prop_map(FetchError::Io),
        text().prop_map(FetchError::NotRegistered),
    ]
}

pub(super) fn group_error() -> impl Strategy<Value = GroupError> {
    prop_oneof![
        Just(GroupError::InvalidName),
        text().prop_map(GroupError::Unknown),
        text().prop_map(GroupError::NotMember),
        Just(GroupError::Rebalanced),
        Just(GroupError::NotEmpty),
        Just(GroupError::SessionTimeout),
        text().prop_map(GroupError::Limit),
        text().prop_map(GroupError::CoordinatorUnavailable),
        text().prop_map(GroupError::NotDurable),
        fetch_error().prop_map(GroupError::Fetch),
    ]
}
