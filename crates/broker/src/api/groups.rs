//! Groups: what is asked of them, and what is answered.

use std::time::Duration;

use model::{Offset, PartitionIndex, TopicName};
use wire::cursor::Cursor;

use super::{Polled, Start};

/// A member that reads as part of a group. The consumer's name is its identity: the same name
/// coming back takes its old place (a static member).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSubscribe {
    /// The group; made when first named.
    pub group: String,
    /// The consumer's name, unique in its group.
    pub consumer: String,
    /// Topics it reads.
    pub topics: Vec<TopicName>,
    /// How long it may be silent.
    pub session_timeout: Duration,
}

/// What a member has been given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Which rebalance gave it.
    pub generation: u32,
    /// The member's partitions.
    pub partitions: Vec<(TopicName, Vec<PartitionIndex>)>,
}

/// A poll by a member of a group. Joins the group first if it is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPoll {
    /// The group.
    pub group: String,
    /// The consumer's name.
    pub consumer: String,
    /// The topic to read (the member subscribes to it if it does not yet).
    pub topic: TopicName,
    /// What the member has finished: committed before anything is read. Without it reading goes on
    /// at the group's commits, so records that were not committed come again. Never moves a commit
    /// back, and passes over partitions that are not the member's any more.
    pub done: Option<Cursor>,
    /// Where a partition begins that the group never committed. Unless it is the earliest, the place
    /// found is committed at once, so that "latest" is looked up once and not at every poll.
    pub start: Start,
    /// Commit what this answer holds while answering: at most once.
    pub auto_commit: bool,
    /// See [`Poll::max_records`].
    pub max_records: usize,
    /// See [`Poll::wait`].
    pub wait: Duration,
    /// How long the member may be silent between two polls.
    pub session_timeout: Duration,
}

/// The answer to a group poll. The cursor covers the member's partitions only. While the group is
/// still waiting for other members, generation 0 with no partitions: poll again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPolled {
    /// What there was.
    pub polled: Polled,
    /// What the member holds now.
    pub assignment: Assignment,
}

/// Progress of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The group.
    pub group: String,
    /// The member that commits; `None` only while the group has no members.
    pub consumer: Option<String>,
    /// What is finished.
    pub cursor: Cursor,
}

/// A group as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub name: String,
    /// `empty`, `preparing_rebalance`, `completing_rebalance` or `stable`.
    pub state: &'static str,
    /// The last completed rebalance.
    pub generation: u32,
    /// Who is in it.
    pub members: Vec<GroupMember>,
    /// What it has finished.
    pub commits: Vec<GroupCommit>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member_id: String,
    /// The consumer's name, if it gave one.
    pub consumer: Option<String>,
    /// Its partitions.
    pub partitions: Vec<(TopicName, Vec<PartitionIndex>)>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCommit {
    /// Topic.
    pub topic: TopicName,
    /// Partition.
    pub partition: PartitionIndex,
    /// The next offset the group will read.
    pub offset: Offset,
    /// Records between that and the end; `None` while the partition's leader does not answer.
    pub lag: Option<u64>,
}
