//! The nouns of the API.

use std::time::Duration;

use model::{LeaderEpoch, Offset, PartitionIndex, Record, Timestamp, TopicName};
use wire::Batch;
use wire::cursor::Cursor;

use super::{Coded, Malformed, Reader, Writer, coded};
use crate::api::{
    Assignment, Commit, Delivered, Extent, FetchedPartition, Gap, GapReason, GroupCommit,
    GroupDescription, GroupMember, GroupPoll, GroupPolled, GroupSubscribe, Polled, Start,
};
use crate::error::FetchError;
use crate::partition::Place;

type Held = Vec<(TopicName, Vec<PartitionIndex>)>;

coded!(
    struct Place {
        offset: Offset,
        leader_epoch: LeaderEpoch,
        timestamp: Timestamp,
        duplicate: bool,
    }
);
coded!(enum Start {
    0 => Earliest,
    1 => Latest,
    2 => Offset(at: Offset),
    3 => Time(time: Timestamp),
    4 => Cursor(cursor: Cursor),
});
coded!(
    struct Delivered {
        partition: PartitionIndex,
        offset: Offset,
        record: Record,
    }
);
coded!(enum GapReason { 0 => Deleted, 1 => Damaged, });
coded!(
    struct Gap {
        partition: PartitionIndex,
        from: Offset,
        to: Offset,
        reason: GapReason,
    }
);
coded!(
    struct Polled {
        records: Vec<Delivered>,
        gaps: Vec<Gap>,
        cursor: Cursor,
    }
);
coded!(
    struct Extent {
        start: Offset,
        end: Offset,
        bytes: u64,
    }
);
coded!(
    struct FetchedPartition {
        index: PartitionIndex,
        start: Offset,
        end: Offset,
        batches: Result<Vec<Batch>, FetchError>,
    }
);

coded!(
    struct GroupSubscribe {
        group: String,
        consumer: String,
        topics: Vec<TopicName>,
        session_timeout: Duration,
    }
);
coded!(
    struct GroupPoll {
        group: String,
        consumer: String,
        topic: TopicName,
        done: Option<Cursor>,
        start: Start,
        auto_commit: bool,
        max_records: usize,
        wait: Duration,
        session_timeout: Duration,
    }
);
coded!(
    struct Commit {
        group: String,
        consumer: Option<String>,
        cursor: Cursor,
    }
);
coded!(
    struct Assignment {
        generation: u32,
        partitions: Held,
    }
);
coded!(
    struct GroupPolled {
        polled: Polled,
        assignment: Assignment,
    }
);
coded!(
    struct GroupMember {
        member_id: String,
        consumer: Option<String>,
        partitions: Held,
    }
);
coded!(
    struct GroupCommit {
        topic: TopicName,
        partition: PartitionIndex,
        offset: Offset,
        lag: Option<u64>,
    }
);

/// The states of a group, by their numbers on the wire.
const STATES: [&str; 4] = [
    "empty",
    "preparing_rebalance",
    "completing_rebalance",
    "stable",
];

/// Name; state, one byte; generation, members, commits.
impl Coded for GroupDescription {
    const BYTES_MIN: usize = 4 + 1 + 4 + 4 + 4;
    fn put(&self, out: &mut Writer) {
        self.name.put(out);
        let state = STATES.iter().position(|state| *state == self.state);
        u8::try_from(state.unwrap_or(0)).unwrap_or(0).put(out);
        self.generation.put(out);
        self.members.put(out);
        self.commits.put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        let name = String::take(from)?;
        let state = u8::take(from)?;
        Ok(Self {
            name,
            state: STATES
                .get(usize::from(state))
                .ok_or(Malformed::Tag("GroupState", state))?,
            generation: u32::take(from)?,
            members: Vec::take(from)?,
            commits: Vec::take(from)?,
        })
    }
}
