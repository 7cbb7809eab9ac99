//! The nouns of the API: what is asked, and what is answered.

mod groups;

use std::time::Duration;

use model::{
    ClusterId, LeaderEpoch, Mode, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId,
    Record, Timestamp, TopicId, TopicName,
};
use wire::Batch;
use wire::cursor::Cursor;

pub use catalog::{TopicChanges, TopicSettings};

pub use self::groups::*;

/// What a broker is told at its start.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// Whether a publish to an unknown topic makes it.
    pub auto_create_topics: bool,
    /// Partitions of a topic whose maker does not say.
    pub default_partitions: u32,
    /// How long commits of an empty group are kept.
    pub commit_retention: Duration,
    /// How often retention runs.
    pub retention_interval: Duration,
    /// How long the first members of a group wait for each other.
    pub initial_rebalance_delay: Duration,
    /// What holds for topics that set nothing themselves. May differ from start to start: topics that
    /// are there already follow. A topic that is to keep its records for ever on a node that does
    /// not says so with a very long time.
    pub topic_defaults: TopicSettings,
}

/// The settings that hold for a topic: its own, and defaults where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectiveSettings {
    /// How long records are kept; `None` for ever.
    pub retention: Option<Duration>,
    /// How many bytes each partition keeps; `None` without end.
    pub retention_bytes: Option<u64>,
    /// Size of a segment file.
    pub segment_bytes: u64,
    /// Largest batch taken.
    pub max_message_bytes: usize,
}

/// A topic to make.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions; `None` for the node's default.
    pub partitions: Option<u32>,
    /// How many copies; only 1 (or `None`) is taken, anything else is refused.
    pub replication_factor: Option<u16>,
    /// The promise; only [`Mode::Leader`] is taken.
    pub mode: Mode,
    /// Settings.
    pub settings: TopicSettings,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
    /// Its promise.
    pub mode: Mode,
    /// When it was made.
    pub created: Timestamp,
    /// Its settings as given.
    pub settings: TopicSettings,
    /// Its settings as they hold.
    pub effective: EffectiveSettings,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub index: PartitionIndex,
    /// Who takes appends, if anybody may.
    pub leader: Option<NodeId>,
    /// The reign of its leader.
    pub leader_epoch: LeaderEpoch,
    /// Who keeps copies; the first is its home.
    pub replicas: Vec<NodeId>,
    /// Who is known to have everything that was acknowledged.
    pub isr: Vec<NodeId>,
    /// What its leader holds; `None` when that is another node which was not asked, or does not
    /// answer.
    pub held: Option<Extent>,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First offset kept.
    pub start: Offset,
    /// One past the last durable record.
    pub end: Offset,
    /// Bytes on disk; nearly, when records are sealed.
    pub bytes: u64,
}

/// Records to publish.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Where.
    pub topic: TopicName,
    /// Which partition for all of them; `None`: by key, or sticky for those without.
    pub partition: Option<PartitionIndex>,
    /// What, in order.
    pub records: Vec<Record>,
}

/// What an acknowledgement says. One per record (of [`Publish`]) or per batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The topic's promise.
    pub mode: Mode,
    /// Where the record went.
    pub partition: PartitionIndex,
    /// Its offset (of a batch: its first record's).
    pub offset: Offset,
    /// The reign under which it was accepted.
    pub leader_epoch: LeaderEpoch,
    /// On how many disks it is.
    pub copies: u16,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Whether it was there already: a retry recognised by producer and sequence.
    pub duplicate: bool,
}

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The first record kept.
    Earliest,
    /// The next record published.
    Latest,
    /// This offset, in every partition read.
    Offset(Offset),
    /// The first record at or after this time.
    Time(Timestamp),
    /// Where an earlier answer ended.
    Cursor(Cursor),
}

/// A read of one topic that waits for something to deliver.
#[derive(Debug, Clone)]
pub struct Poll {
    /// Which topic.
    pub topic: TopicName,
    /// Which partitions; `None` for all.
    pub partitions: Option<Vec<PartitionIndex>>,
    /// Where to begin.
    pub start: Start,
    /// Most records to answer with, 1 to `POLL_RECORDS_MAX`.
    pub max_records: usize,
    /// How long to wait when there is nothing.
    pub wait: Duration,
}

/// The answer to a poll: what there was, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    /// In order within each partition. May be empty once the wait is over.
    pub records: Vec<Delivered>,
    /// Places where records that once were there can no longer be read. Each is told once.
    pub gaps: Vec<Gap>,
    /// Give it back to get what comes next.
    pub cursor: Cursor,
}

/// A record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Partition.
    pub partition: PartitionIndex,
    /// Offset.
    pub offset: Offset,
    /// The record, its timestamp always filled.
    pub record: Record,
}

/// Offsets `from..to` that a reader expected and cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Partition.
    pub partition: PartitionIndex,
    /// First missing offset.
    pub from: Offset,
    /// Where reading goes on.
    pub to: Offset,
    /// Why.
    pub reason: GapReason,
}

/// Why records are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// Retention or an explicit deletion took them.
    Deleted,
    /// They cannot be read: the disk returned other bytes than were written, or their publisher
    /// compressed or encoded them in a way that nobody can undo.
    Damaged,
}

/// A read of whole batches, for doors that pass them through.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Which topic.
    pub topic: TopicName,
    /// From where, each partition once.
    pub positions: Vec<(PartitionIndex, Offset)>,
    /// Answer as soon as this many bytes are there.
    pub min_bytes: usize,
    /// Answer with about this many bytes at most; a first batch always comes whole.
    pub max_bytes: usize,
    /// How long to wait for `min_bytes`.
    pub wait: Duration,
}

/// One partition's part of a fetch.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedPartition {
    /// Partition.
    pub index: PartitionIndex,
    /// First offset kept.
    pub start: Offset,
    /// One past the last committed record.
    pub end: Offset,
    /// Whole batches, or why there are none.
    pub batches: Result<Vec<Batch>, crate::FetchError>,
}

/// An idempotent producer's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerGrant {
    /// Never given out twice.
    pub id: ProducerId,
    /// Starts at 0.
    pub epoch: ProducerEpoch,
}

/// How the node is.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// Its number in the cluster.
    pub node: NodeId,
    /// The cluster, once it has one.
    pub cluster: Option<ClusterId>,
    /// Identity of the data directory, 32 hexadecimal digits.
    pub storage_id: String,
    /// Which engine: `log` or `sqlite`.
    pub store: &'static str,
    /// Whether it takes appends.
    pub health: seglog::Health,
    /// Since when it runs.
    pub started: Timestamp,
    /// How long it has run.
    pub uptime: Duration,
    /// Topics that users made, in the whole cluster.
    pub topics: usize,
    /// Their partitions.
    pub partitions: usize,
    /// How many of those this node leads.
    pub partitions_led: usize,
    /// Groups that this node coordinates.
    pub groups: usize,
    /// What has to come before the cluster has registered this start, as in "waiting for …"; none once it
    /// has. Until then the node is read from, and takes nothing.
    pub waits_for: Option<String>,
}

/// Counters since the start, for the metrics page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records acknowledged.
    pub records_published: u64,
    /// Their batches' bytes.
    pub bytes_published: u64,
    /// Appends refused or failed.
    pub publishes_failed: u64,
    /// Records handed to readers.
    pub records_delivered: u64,
    /// Bytes of batches handed to readers.
    pub bytes_delivered: u64,
    /// Reads waiting for something to deliver, now.
    pub polls_waiting: u64,
    /// Bytes accepted and not yet acknowledged, now.
    pub bytes_in_flight: u64,
    /// Commits acknowledged.
    pub commits: u64,
    /// Questions that went to the brokers of other nodes.
    pub calls_sent: u64,
    /// Of them, those without an answer.
    pub calls_failed: u64,
    /// Questions of the brokers of other nodes that were answered.
    pub calls_answered: u64,
}
