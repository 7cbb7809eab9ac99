//! One small error per operation. The variant says whose fault it is; [`code`](PublishError::code)
//! is stable and is what every door shows.

use model::{Offset, PartitionIndex};
use thiserror::Error;

macro_rules! codes {
    ($name:ident $(, $inner:pat => $by:ident)? { $($variant:pat => $code:literal, $fault:ident;)* }) => {
        impl $name {
            /// The stable code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $($inner => $by.code(),)? $($variant => $code,)* }
            }
            /// Whose fault it is, which decides whether to retry.
            #[must_use]
            pub const fn fault(&self) -> Fault {
                match self { $($inner => $by.fault(),)? $($variant => Fault::$fault,)* }
            }
        }
    };
}

mod node;

pub use self::node::{NodeError, OpenError};

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request can never succeed as it is.
    Caller,
    /// The thing named does not exist.
    Missing,
    /// It clashes with what is there.
    Conflict,
    /// Too large.
    TooLarge,
    /// The node cannot now; the same request may succeed later.
    Busy,
    /// The node cannot until somebody mends it.
    Node,
}

/// Why a topic could not be made, changed, described or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicError {
    /// No topic of that name.
    #[error("topic '{0}' does not exist; create it first, or list the topics")]
    Unknown(String),
    /// One of that name is there.
    #[error("topic '{0}' exists already")]
    Exists(String),
    /// One of that name is there, and it is another than was meant.
    #[error("topic '{0}' is not the one that was meant: it was deleted and made again")]
    Replaced(String),
    /// The name belongs to Hark itself.
    #[error("topic names that begin with '__' are reserved")]
    Reserved,
    /// Not a number of partitions that a topic can have.
    #[error("a topic has 1 to {max} partitions, not {0}", max = model::limits::PARTITIONS_PER_TOPIC_MAX)]
    Partitions(u32),
    /// More copies than can be kept.
    #[error("replication factor {0} is not possible yet: every partition has one copy; use 1")]
    Replication(u16),
    /// A promise that cannot be kept yet.
    #[error("mode 'gossip' is not available yet; use 'leader'")]
    Mode,
    /// A setting outside its bounds.
    #[error("{0}")]
    Setting(String),
    /// The nodes hold as many partitions as they can.
    #[error("{0}")]
    TooMany(String),
    /// No node takes new partitions.
    #[error("no node can take new partitions: all are draining or down")]
    NoPlace,
    /// The cluster did not answer. A change may have been made nonetheless.
    #[error("{}", again(.0))]
    Unavailable(String),
    /// The cluster has not registered this start of the node yet. Nothing was taken.
    #[error("{}", not_registered(.0))]
    NotRegistered(String),
    /// The disk is full.
    #[error("the disk is full; free space and try again")]
    Full,
    /// The store has stopped.
    #[error("the store has stopped: {0}")]
    Stopped(String),
}
codes!(TopicError {
    Self::Unknown(_) => "unknown_topic", Missing;
    Self::Exists(_) => "topic_exists", Conflict;
    Self::Replaced(_) => "topic_replaced", Conflict;
    Self::Reserved => "reserved_name", Caller;
    Self::Partitions(_) => "invalid_partitions", Caller;
    Self::Replication(_) => "invalid_replication_factor", Caller;
    Self::Mode => "mode_not_available", Caller;
    Self::Setting(_) => "invalid_setting", Caller;
    Self::TooMany(_) => "too_many_partitions", Busy;
    Self::NoPlace => "no_place", Busy;
    Self::Unavailable(_) => "cluster_unavailable", Busy;
    Self::NotRegistered(_) => "not_registered", Busy;
    Self::Full => "disk_full", Busy;
    Self::Stopped(_) => "store_stopped", Node;
});

/// Why records were not published. Nothing of the request was acknowledged, unless it says so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The topic: unknown, or it could not be made.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// No such partition.
    #[error("topic '{topic}' has no partition {partition}")]
    Partition {
        /// Topic.
        topic: String,
        /// Partition asked for.
        partition: PartitionIndex,
    },
    /// Nothing to publish.
    #[error("there is no record to publish")]
    Empty,
    /// Larger than the topic takes.
    #[error("{size} bytes are more than the {max} that this topic takes at once")]
    TooLarge {
        /// What was given.
        size: usize,
        /// What is taken.
        max: usize,
    },
    /// The batch is not valid.
    #[error("invalid batch: {0}")]
    Invalid(#[from] wire::BatchError),
    /// The batch is whole, its records are not.
    #[error("the records of the batch cannot be decoded: {0}")]
    Undecodable(String),
    /// A newer incarnation of this producer exists.
    #[error("this producer was replaced by a newer one of the same id")]
    Fenced,
    /// The sequence number leaves a gap.
    #[error("out of order: the next sequence number of this producer is {expected}, not {given}")]
    OutOfOrder {
        /// What it had to be.
        expected: i32,
        /// What it was.
        given: i32,
    },
    /// A part of the request was acknowledged before another failed.
    #[error("{acknowledged} of {of} records are on disk, the rest is not: {cause}")]
    Partial {
        /// Records on disk.
        acknowledged: usize,
        /// Records given.
        of: usize,
        /// Why the others are not.
        cause: String,
    },
    /// The node that leads the partition does not answer, or there is none at the moment.
    #[error("the leader of the partition does not answer: {}", again(.0))]
    LeaderUnavailable(String),
    /// The leader of the partition was asked, and its answer was lost.
    #[error(
        "whether the records were written is not known: {0}; look before you publish them again"
    )]
    OutcomeUnknown(String),
    /// The disk is full.
    #[error("the disk is full; nothing was written; try again once there is space")]
    Full,
    /// The store has stopped.
    #[error("the store has stopped: {0}")]
    Stopped(String),
}
codes!(PublishError, Self::Topic(inner) => inner {
    Self::Partition { .. } => "unknown_partition", Missing;
    Self::Empty => "empty_publish", Caller;
    Self::TooLarge { .. } => "message_too_large", TooLarge;
    Self::Invalid(_) => "invalid_batch", Caller;
    Self::Undecodable(_) => "undecodable", Caller;
    Self::Fenced => "producer_fenced", Conflict;
    Self::OutOfOrder { .. } => "out_of_order_sequence", Conflict;
    Self::Partial { .. } => "partly_published", Busy;
    Self::LeaderUnavailable(_) => "leader_unavailable", Busy;
    Self::OutcomeUnknown(_) => "outcome_unknown", Busy;
    Self::Full => "disk_full", Busy;
    Self::Stopped(_) => "store_stopped", Node;
});

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FetchError {
    /// No topic of that name.
    #[error("topic '{0}' does not exist; create it first, or list the topics")]
    UnknownTopic(String),
    /// No such partition.
    #[error("topic '{topic}' has no partition {partition}")]
    Partition {
        /// Topic.
        topic: String,
        /// Partition asked for.
        partition: PartitionIndex,
    },
    /// The offset was never there or is gone.
    #[error("offset {wanted} of partition {partition} is outside {start}..{end}")]
    OutOfRange {
        /// Partition.
        partition: PartitionIndex,
        /// What was asked for.
        wanted: Offset,
        /// First offset kept.
        start: Offset,
        /// One past the last.
        end: Offset,
    },
    /// The cursor was given out by another topic (perhaps one deleted since).
    #[error("this cursor belongs to another topic; start again with 'from'")]
    ForeignCursor,
    /// The bytes on disk are not what was written.
    #[error("partition {partition} is damaged at offset {at}; reading can go on at {resume_at}")]
    Damaged {
        /// Partition.
        partition: PartitionIndex,
        /// Where the damage begins.
        at: Offset,
        /// Where reading can go on.
        resume_at: Offset,
    },
    /// A batch's records cannot be decoded.
    #[error("records at offset {at} of partition {partition} cannot be decoded: {why}")]
    Undecodable {
        /// Partition.
        partition: PartitionIndex,
        /// First offset of the batch.
        at: Offset,
        /// What is wrong with them.
        why: String,
    },
    /// The node that leads the partition does not answer, or there is none at the moment.
    #[error("the leader of the partition does not answer: {}", again(.0))]
    LeaderUnavailable(String),
    /// The cluster did not answer.
    #[error("{}", again(.0))]
    Unavailable(String),
    /// The cluster has not registered this start of the node yet. Nothing was taken.
    #[error("{}", not_registered(.0))]
    NotRegistered(String),
    /// The disk refused.
    #[error("read failed: {0}")]
    Io(String),
}
codes!(FetchError {
    Self::UnknownTopic(_) => "unknown_topic", Missing;
    Self::Partition { .. } => "unknown_partition", Missing;
    Self::OutOfRange { .. } => "offset_out_of_range", Conflict;
    Self::ForeignCursor => "foreign_cursor", Caller;
    Self::Damaged { .. } => "damaged", Node;
    Self::Undecodable { .. } => "undecodable", Caller;
    Self::LeaderUnavailable(_) => "leader_unavailable", Busy;
    Self::Unavailable(_) => "cluster_unavailable", Busy;
    Self::NotRegistered(_) => "not_registered", Busy;
    Self::Io(_) => "read_failed", Node;
});

/// Why a group's request failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GroupError {
    /// Not a name a group or consumer can have.
    #[error("the name of a group or consumer has 1 to {max} bytes and no control characters", max = model::limits::GROUP_NAME_BYTES_MAX)]
    InvalidName,
    /// No such group.
    #[error("group '{0}' does not exist")]
    Unknown(String),
    /// The consumer is not (any more) a member.
    #[error(
        "'{0}' is not a member of the group; poll without a cursor, or subscribe, to join again"
    )]
    NotMember(String),
    /// The partitions were given to somebody else meanwhile.
    #[error("the group has rebalanced since; poll without a cursor to learn the new assignment")]
    Rebalanced,
    /// Only an empty group can be changed from outside.
    #[error("the group has active members; stop them first")]
    NotEmpty,
    /// A session timeout outside the bounds.
    #[error("a session timeout must lie between {min} and {max} seconds", min = model::limits::SESSION_TIMEOUT_MIN.as_secs(), max = model::limits::SESSION_TIMEOUT_MAX.as_secs())]
    SessionTimeout,
    /// A limit of the group machine.
    #[error("{0}")]
    Limit(String),
    /// The node that coordinates the group does not answer, or there is none at the moment.
    #[error("the group's coordinator does not answer: {}", again(.0))]
    CoordinatorUnavailable(String),
    /// The commit could not be made durable.
    #[error("the commit is not on disk: {0}")]
    NotDurable(String),
    /// Reading failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}
codes!(GroupError, Self::Fetch(inner) => inner {
    Self::InvalidName => "invalid_group_name", Caller;
    Self::Unknown(_) => "unknown_group", Missing;
    Self::NotMember(_) => "not_a_member", Conflict;
    Self::Rebalanced => "rebalanced", Conflict;
    Self::NotEmpty => "group_not_empty", Conflict;
    Self::SessionTimeout => "invalid_session_timeout", Caller;
    Self::Limit(_) => "limit_reached", Busy;
    Self::CoordinatorUnavailable(_) => "coordinator_unavailable", Busy;
    Self::NotDurable(_) => "commit_failed", Busy;
});

/// A reason, and that to try again may help. One that another node gave may say so already.
fn again(why: &str) -> String {
    match why.contains("try again") {
        true => why.to_owned(),
        false => format!("{why}; try again"),
    }
}

/// What a node says to changes before its cluster has registered this start of it.
fn not_registered(waits_for: &str) -> String {
    format!(
        "this node changes nothing before its cluster has registered its start: it waits for \
         {waits_for}; try again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_given_once() {
        let full = TopicError::Full.to_string();
        let elsewhere = PublishError::LeaderUnavailable(format!("node 2: {full}"));
        let texts = [
            FetchError::LeaderUnavailable("node 2 is down".to_owned()).to_string(),
            TopicError::Unavailable(FetchError::Unavailable("no".to_owned()).to_string())
                .to_string(),
            GroupError::CoordinatorUnavailable(full).to_string(),
            elsewhere.to_string(),
        ];
        for text in texts {
            assert_eq!(text.matches("try again").count(), 1, "{text}");
        }
    }
}
