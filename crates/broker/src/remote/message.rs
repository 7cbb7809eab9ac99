//! What brokers say to each other.
//!
//! A request is
//!
//! | field | |
//! |---|---|
//! | version | one byte, 1 |
//! | revision | u64, the catalog as the caller knows it |
//! | ask | one byte that says which, and then its fields in the order in which they stand below |
//!
//! and an answer is the version and then one byte that says which answer, and its fields. The bytes
//! of each word are described where it is coded, in [`codec`](super::codec).
//!
//! Whoever is asked looks whether it leads what it is asked for, under the epoch that the caller
//! believes in. If not, it first learns the catalog as far as the caller knows it, so that a topic made
//! a moment ago is found. So a caller that is behind is told, and asks the right one.

mod groups;

use std::time::Duration;

use bytes::Bytes;
use model::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use wire::Batch;

pub(crate) use self::groups::{GroupAnswer, GroupAsk};

use super::codec::{Coded, Malformed, Reader, Writer, coded};
use crate::api::{Delivered, Extent, FetchedPartition, GroupDescription, Start};
use crate::error::{FetchError, GroupError, PublishError};
use crate::partition::Place;

/// The first byte of every message.
const VERSION: u8 = 1;

/// A question to another broker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// The catalog's revision that the caller's beliefs are from.
    pub(crate) revision: u64,
    pub(crate) ask: Ask,
}

/// A partition as the caller believes it to be led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Led {
    pub(crate) index: PartitionIndex,
    pub(crate) epoch: LeaderEpoch,
}

/// What is asked for. Nothing but [`Ask::Group`] is passed on: what a node does not lead it does not
/// answer for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// 1: append these batches to one partition, in this order; each has its own fate.
    Append {
        topic: TopicId,
        partition: Led,
        batches: Vec<Batch>,
    },
    /// 2: batches from these positions on. A position before the first record kept reads from there;
    /// 2⁶³ − 1 is the end as it is now, 2⁶³ − 2 the first record kept. Answered once something is there,
    /// at the latest after `wait`. Whoever needs only some records of each partition, and not the batches
    /// as they were written, says how many: large batches are cut to that.
    Fetch {
        topic: TopicId,
        positions: Vec<(Led, Offset)>,
        max_bytes: u32,
        max_records: Option<u32>,
        wait: Duration,
    },
    /// 3: where these partitions stand for a start, which is no cursor.
    Resolve {
        topic: TopicId,
        partitions: Vec<Led>,
        start: Start,
    },
    /// 4: where these partitions begin and end.
    Extents {
        topic: TopicId,
        partitions: Vec<Led>,
    },
    /// 5: the newest of the last records of these partitions.
    Last {
        topic: TopicId,
        partitions: Vec<Led>,
    },
    /// 6: drop the records before an offset.
    DeleteRecords {
        topic: TopicId,
        partition: Led,
        before: Offset,
    },
    /// 7: something of one group; `coordinator` is its partition of the internal topic.
    Group { coordinator: Led, ask: GroupAsk },
    /// 8: the groups that this node keeps, in the order of their names, after this one.
    Groups { after: Option<String> },
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Response {
    /// 0: the request cannot be understood or served, or its answer cannot be sent.
    Refused(String),
    /// 1: the node has not learned yet what the caller knows; nothing was done.
    Behind { revision: u64 },
    /// 2: another one leads, as of this revision; nothing was done.
    NotLeader {
        leader: Option<NodeId>,
        revision: u64,
    },
    /// 3: the fate of each batch.
    Appended(Vec<Result<Place, PublishError>>),
    /// 4: one for each position, in their order.
    Fetched(Vec<FetchedPartition>),
    /// 5
    Resolved(Vec<(PartitionIndex, Result<Offset, FetchError>)>),
    /// 6
    Extents(Vec<(PartitionIndex, Extent)>),
    /// 7: nothing while all are empty.
    Last(Option<Delivered>),
    /// 8: what is left of the partition.
    Deleted(Extent),
    /// 9: a read as a whole has failed.
    FetchFailed(FetchError),
    /// 10
    Group(GroupAnswer),
    /// 11
    GroupFailed(GroupError),
    /// 12: some groups, and whether there are more.
    Groups {
        groups: Vec<GroupDescription>,
        more: bool,
    },
}

impl Request {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(self.ask.bytes_guess());
        VERSION.put(&mut out);
        self.revision.put(&mut out);
        self.ask.put(&mut out);
        out.finish()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = versioned(bytes)?;
        let request = Self {
            revision: u64::take(&mut from)?,
            ask: Ask::take(&mut from)?,
        };
        from.finish()?;
        Ok(request)
    }
}

impl Ask {
    /// The topic and the partitions of it that whoever answers must lead; `None` when it is about groups.
    pub(super) fn partitions(&self) -> Option<(TopicId, Vec<Led>)> {
        match self {
            Self::Append {
                topic, partition, ..
            }
            | Self::DeleteRecords {
                topic, partition, ..
            } => Some((*topic, vec![*partition])),
            Self::Fetch {
                topic, positions, ..
            } => Some((*topic, positions.iter().map(|(led, _)| *led).collect())),
            Self::Resolve {
                topic, partitions, ..
            }
            | Self::Extents { topic, partitions }
            | Self::Last { topic, partitions } => Some((*topic, partitions.clone())),
            Self::Group { .. } | Self::Groups { .. } => None,
        }
    }

    /// About how many bytes it takes.
    fn bytes_guess(&self) -> usize {
        match self {
            Self::Append { batches, .. } => 64 + batches.iter().map(sized).sum::<usize>(),
            _ => 256,
        }
    }
}

impl Response {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(self.bytes_guess());
        VERSION.put(&mut out);
        self.put(&mut out);
        out.finish()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = versioned(bytes)?;
        let response = Self::take(&mut from)?;
        from.finish()?;
        Ok(response)
    }

    /// About how many bytes it takes.
    fn bytes_guess(&self) -> usize {
        match self {
            Self::Fetched(parts) => {
                let batches = parts.iter().flat_map(|part| part.batches.iter().flatten());
                64 + parts.len() * 32 + batches.map(sized).sum::<usize>()
            }
            _ => 256,
        }
    }
}

/// A batch and the length before it.
fn sized(batch: &Batch) -> usize {
    batch.bytes().len() + 4
}

fn versioned(bytes: Bytes) -> Result<Reader, Malformed> {
    let mut from = Reader::new(bytes);
    match u8::take(&mut from)? {
        VERSION => Ok(from),
        other => Err(Malformed::Version(other)),
    }
}

coded!(
    struct Led {
        index: PartitionIndex,
        epoch: LeaderEpoch,
    }
);
coded!(enum Ask {
    1 => Append { topic: TopicId, partition: Led, batches: Vec<Batch> },
    2 => Fetch {
        topic: TopicId,
        positions: Vec<(Led, Offset)>,
        max_bytes: u32,
        max_records: Option<u32>,
        wait: Duration
    },
    3 => Resolve { topic: TopicId, partitions: Vec<Led>, start: Start },
    4 => Extents { topic: TopicId, partitions: Vec<Led> },
    5 => Last { topic: TopicId, partitions: Vec<Led> },
    6 => DeleteRecords { topic: TopicId, partition: Led, before: Offset },
    7 => Group { coordinator: Led, ask: GroupAsk },
    8 => Groups { after: Option<String> },
});
coded!(enum Response {
    0 => Refused(why: String),
    1 => Behind { revision: u64 },
    2 => NotLeader { leader: Option<NodeId>, revision: u64 },
    3 => Appended(fates: Vec<Result<Place, PublishError>>),
    4 => Fetched(parts: Vec<FetchedPartition>),
    5 => Resolved(positions: Vec<(PartitionIndex, Result<Offset, FetchError>)>),
    6 => Extents(extents: Vec<(PartitionIndex, Extent)>),
    7 => Last(last: Option<Delivered>),
    8 => Deleted(left: Extent),
    9 => FetchFailed(error: FetchError),
    10 => Group(answer: GroupAnswer),
    11 => GroupFailed(error: GroupError),
    12 => Groups { groups: Vec<GroupDescription>, more: bool },
});
