//! Anything that a broker may say.

use std::time::Duration;

use bytes::Bytes;
use model::{
    Header, LeaderEpoch, NodeId, Offset, PartitionIndex, Record, Timestamp, TopicId, TopicName,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use wire::cursor::Cursor;
use wire::{Batch, BatchBuilder};

use super::errors::{fetch_error, group_error, publish_error};
use crate::api::*;
use crate::partition::Place;
use crate::remote::message::{Ask, GroupAnswer, GroupAsk, Led, Request, Response};

pub(super) fn request() -> impl Strategy<Value = Request> {
    (any::<u64>(), ask()).prop_map(|(revision, ask)| Request { revision, ask })
}

pub(super) fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        text().prop_map(Response::Refused),
        any::<u64>().prop_map(|revision| Response::Behind { revision }),
        (of(node()), any::<u64>())
            .prop_map(|(leader, revision)| Response::NotLeader { leader, revision }),
        vec(either(place(), publish_error()), 0..4).prop_map(Response::Appended),
        vec(fetched(), 0..4).prop_map(Response::Fetched),
        vec((index(), either(offset(), fetch_error())), 0..4).prop_map(Response::Resolved),
        vec((index(), extent()), 0..4).prop_map(Response::Extents),
        of(delivered()).prop_map(Response::Last),
        extent().prop_map(Response::Deleted),
        fetch_error().prop_map(Response::FetchFailed),
        group_answer().prop_map(Response::Group),
        group_error().prop_map(Response::GroupFailed),
        (vec(group_description(), 0..3), any::<bool>())
            .prop_map(|(groups, more)| Response::Groups { groups, more }),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        (topic(), led(), vec(batch(), 0..3)).prop_map(|(topic, partition, batches)| Ask::Append {
            topic,
            partition,
            batches
        }),
        (
            topic(),
            vec((led(), offset()), 0..4),
            any::<u32>(),
            of(any::<u32>()),
            duration()
        )
            .prop_map(
                |(topic, positions, max_bytes, max_records, wait)| Ask::Fetch {
                    topic,
                    positions,
                    max_bytes,
                    max_records,
                    wait
                }
            ),
        (topic(), vec(led(), 0..4), start()).prop_map(|(topic, partitions, start)| Ask::Resolve {
            topic,
            partitions,
            start
        }),
        (topic(), vec(led(), 0..4))
            .prop_map(|(topic, partitions)| Ask::Extents { topic, partitions }),
        (topic(), vec(led(), 0..4)).prop_map(|(topic, partitions)| Ask::Last { topic, partitions }),
        (topic(), led(), offset()).prop_map(|(topic, partition, before)| Ask::DeleteRecords {
            topic,
            partition,
            before
        }),
        (led(), group_ask()).prop_map(|(coordinator, ask)| Ask::Group { coordinator, ask }),
        of(text()).prop_map(|after| Ask::Groups { after }),
    ]
}

fn group_ask() -> impl Strategy<Value = GroupAsk> {
    prop_oneof![
        (text(), text(), vec(topic_name(), 0..3), duration()).prop_map(
            |(group, consumer, topics, session_timeout)| GroupAsk::Subscribe(GroupSubscribe {
                group,
                consumer,
                topics,
                session_timeout
            })
        ),
        (text(), text()).prop_map(|(group, consumer)| GroupAsk::Unsubscribe { group, consumer }),
        group_poll().prop_map(GroupAsk::Poll),
        (text(), of(text()), cursor()).prop_map(|(group, consumer, cursor)| GroupAsk::Commit(
            Commit {
                group,
                consumer,
                cursor
            }
        )),
        text().prop_map(|group| GroupAsk::Describe { group }),
        (text(), topic_name(), start()).prop_map(|(group, topic, start)| GroupAsk::Reset {
            group,
            topic,
            start
        }),
        text().prop_map(|group| GroupAsk::Delete { group }),
    ]
}

fn group_poll() -> impl Strategy<Value = GroupPoll> {
    let who = (text(), text(), topic_name());
    let how = (of(cursor()), start(), any::<bool>(), 0..100_000_usize);
    (who, how, duration(), duration()).prop_map(|(who, how, wait, session_timeout)| GroupPoll {
        group: who.0,
        consumer: who.1,
        topic: who.2,
        done: how.0,
        start: how.1,
        auto_commit: how.2,
        max_records: how.3,
        wait,
        session_timeout,
    })
}

fn group_answer() -> impl Strategy<Value = GroupAnswer> {
    prop_oneof![
        Just(GroupAnswer::Done),
        assignment().prop_map(GroupAnswer::Assigned),
        (polled(), assignment()).prop_map(|(polled, assignment)| GroupAnswer::Polled(
            GroupPolled { polled, assignment }
        )),
        group_description().prop_map(GroupAnswer::Described),
    ]
}

fn group_description() -> impl Strategy<Value = GroupDescription> {
    let states = [
        "empty",
        "preparing_rebalance",
        "completing_rebalance",
        "stable",
    ];
    let state = prop::sample::select(states.to_vec());
    let member =
        (text(), of(text()), held()).prop_map(|(member_id, consumer, partitions)| GroupMember {
            member_id,
            consumer,
            partitions,
        });
    let commit = (topic_name(), index(), offset(), of(any::<u64>()));
    let commit = commit.prop_map(|(topic, partition, offset, lag)| GroupCommit {
        topic,
        partition,
        offset,
        lag,
    });
    (
        text(),
        state,
        any::<u32>(),
        vec(member, 0..3),
        vec(commit, 0..3),
    )
        .prop_map(
            |(name, state, generation, members, commits)| GroupDescription {
                name,
                state,
                generation,
                members,
                commits,
            },
        )
}

fn assignment() -> impl Strategy<Value = Assignment> {
    (any::<u32>(), held()).prop_map(|(generation, partitions)| Assignment {
        generation,
        partitions,
    })
}

fn held() -> impl Strategy<Value = Vec<(TopicName, Vec<PartitionIndex>)>> {
    vec((topic_name(), vec(index(), 0..4)), 0..3)
}

fn polled() -> impl Strategy<Value = Polled> {
    let reason = prop_oneof![Just(GapReason::Deleted), Just(GapReason::Damaged)];
    let gap = (index(), offset(), offset(), reason).prop_map(|(partition, from, to, reason)| Gap {
        partition,
        from,
        to,
        reason,
    });
    (vec(delivered(), 0..4), vec(gap, 0..3), cursor()).prop_map(|(records, gaps, cursor)| Polled {
        records,
        gaps,
        cursor,
    })
}

fn delivered() -> impl Strategy<Value = Delivered> {
    (index(), offset(), record()).prop_map(|(partition, offset, record)| Delivered {
        partition,
        offset,
        record,
    })
}

fn fetched() -> impl Strategy<Value = FetchedPartition> {
    let batches = either(vec(batch(), 0..3), fetch_error());
    (index(), offset(), offset(), batches).prop_map(|(index, start, end, batches)| {
        FetchedPartition {
            index,
            start,
            end,
            batches,
        }
    })
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        Just(Start::Earliest),
        Just(Start::Latest),
        offset().prop_map(Start::Offset),
        time().prop_map(Start::Time),
        cursor().prop_map(Start::Cursor),
    ]
}

fn batch() -> impl Strategy<Value = Batch> {
    (vec(record(), 1..4), offset(), any::<u16>()).prop_map(|(records, base, epoch)| {
        let mut builder = BatchBuilder::new(Timestamp::default());
        for record in &records {
            builder.push(record).unwrap();
        }
        let batch = builder.build().unwrap();
        let base = Offset::new(base.get() / 2).unwrap();
        batch.placed_at(base, LeaderEpoch(u32::from(epoch)))
    })
}

fn record() -> impl Strategy<Value = Record> {
    let header = (bytes(), of(bytes())).prop_map(|(name, value)| Header { name, value });
    // Times near each other: a batch counts from its first.
    let time = (0..1_000_000_i64).prop_map(|millis| Timestamp::from_millis(millis).unwrap());
    (of(bytes()), of(bytes()), vec(header, 0..3), of(time)).prop_map(
        |(key, value, headers, timestamp)| Record {
            key,
            value,
            headers,
            timestamp,
        },
    )
}

fn cursor() -> impl Strategy<Value = Cursor> {
    (topic(), vec((index(), offset()), 0..4))
        .prop_map(|(topic, positions)| Cursor::new(topic, positions))
}

fn place() -> impl Strategy<Value = Place> {
    (offset(), any::<u32>(), time(), any::<bool>()).prop_map(
        |(offset, epoch, timestamp, duplicate)| Place {
            offset,
            leader_epoch: LeaderEpoch(epoch),
            timestamp,
            duplicate,
        },
    )
}

fn extent() -> impl Strategy<Value = Extent> {
    (offset(), offset(), any::<u64>()).prop_map(|(start, end, bytes)| Extent { start, end, bytes })
}

fn led() -> impl Strategy<Value = Led> {
    (index(), any::<u32>()).prop_map(|(index, epoch)| Led {
        index,
        epoch: LeaderEpoch(epoch),
    })
}

fn topic() -> impl Strategy<Value = TopicId> {
    any::<[u8; 16]>().prop_map(TopicId::from_bytes)
}

fn topic_name() -> impl Strategy<Value = TopicName> {
    "[a-z0-9_-]{1,20}".prop_map(|name| name.parse().unwrap())
}

fn node() -> impl Strategy<Value = NodeId> {
    any::<u16>().prop_map(NodeId)
}

pub(super) fn index() -> impl Strategy<Value = PartitionIndex> {
    any::<u32>().prop_map(PartitionIndex)
}

pub(super) fn offset() -> impl Strategy<Value = Offset> {
    (0..=Offset::MAX.get()).prop_map(|offset| Offset::new(offset).unwrap())
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..i64::MAX).prop_map(|millis| Timestamp::from_millis(millis).unwrap())
}

fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_micros)
}

pub(super) fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..12).prop_map(Bytes::from)
}

fn either<T: std::fmt::Debug, E: std::fmt::Debug>(
    good: impl Strategy<Value = T>,
    bad: impl Strategy<Value = E>,
) -> impl Strategy<Value = Result<T, E>> {
    prop_oneof![good.prop_map(Ok), bad.prop_map(Err)]
}
