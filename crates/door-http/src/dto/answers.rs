//! Topics, groups, the node, and errors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ClusterAnswer;
use super::{ModeName, TopicConfig};

/// Every answer with a status of 400 or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable; each has a page under `docs/errors`.
    pub code: Cow<'static, str>,
    /// For people; may change.
    pub message: String,
    /// The line of NDJSON that was refused, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Of NDJSON: that many lines from the first on are on disk; send the others again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<u64>,
    /// The partition at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// First offset kept there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// One past the last there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// Where reading can go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<u64>,
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSummary {
    /// Its name.
    pub name: String,
    /// Its identity, 32 hexadecimal digits.
    pub id: String,
    /// Its promise.
    pub mode: ModeName,
    /// How many partitions.
    pub partitions: u32,
    /// How many copies.
    pub replication_factor: u16,
    /// Offsets between start and end, over all partitions whose leaders answer.
    pub records: u64,
    /// Bytes on disk, of the same partitions.
    pub bytes: u64,
    /// When it was made.
    pub created: i64,
}

/// `GET /admin/topics` and `GET /topics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicsAnswer {
    /// By name.
    pub topics: Vec<TopicSummary>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicAnswer {
    /// Its name.
    pub name: String,
    /// Its identity, 32 hexadecimal digits.
    pub id: String,
    /// Its promise.
    pub mode: ModeName,
    /// How many copies.
    pub replication_factor: u16,
    /// When it was made.
    pub created: i64,
    /// Its settings as given.
    pub config: TopicConfig,
    /// Its settings as they hold, with the node's defaults; a limit that is left out does not exist.
    pub effective: TopicConfig,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionAnswer>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionAnswer {
    /// Its number.
    pub partition: u32,
    /// The number of the node that leads it; null when none does.
    pub leader: Option<u16>,
    /// Where clients reach that node, as `host:port`; any other node answers for it as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_http: Option<String>,
    /// The numbers of the nodes that keep it; the first is its home.
    pub replicas: Vec<u16>,
    /// Those in step with the leader.
    pub isr: Vec<u16>,
    /// First offset kept; null while the node that leads the partition does not answer.
    pub start: Option<u64>,
    /// One past the last; null with `start`.
    pub end: Option<u64>,
    /// Bytes on disk; null with `start`.
    pub bytes: Option<u64>,
    /// The reign of its leader.
    pub epoch: u32,
}

/// Something is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedAnswer {
    /// Its name.
    pub deleted: String,
}

/// `GET /replicas/{topic}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicasAnswer {
    /// Topic.
    pub topic: String,
    /// Its promise.
    pub mode: ModeName,
    /// By partition.
    pub partitions: Vec<ReplicaAnswer>,
}

/// Where one partition is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaAnswer {
    /// Partition.
    pub partition: u32,
    /// The number of the node that leads it; null when none does.
    pub leader: Option<u16>,
    /// Where clients reach that node, as `host:port`; any other node answers for it as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_http: Option<String>,
    /// Its reign.
    pub epoch: u32,
    /// The numbers of the nodes that keep it; the first is its home.
    pub replicas: Vec<u16>,
    /// Those in step with the leader.
    pub isr: Vec<u16>,
    /// First offset kept; null while the leader does not answer.
    pub start: Option<u64>,
    /// One past the last committed record; null with `start`.
    pub high_watermark: Option<u64>,
}

/// `POST /subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentAnswer {
    /// The group.
    pub group: String,
    /// The consumer.
    pub consumer: String,
    /// Which rebalance gave it.
    pub generation: u32,
    /// The consumer's partitions by topic.
    pub assignment: BTreeMap<String, Vec<u32>>,
}

/// `POST /commit`: the progress is on disk. `POST /unsubscribe`: the consumer has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitAnswer {
    /// The group.
    pub group: String,
    /// The consumer, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
}

/// `GET /admin/groups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsAnswer {
    /// By name.
    pub groups: Vec<GroupAnswer>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupAnswer {
    /// Its name.
    pub name: String,
    /// `empty`, `preparing_rebalance`, `completing_rebalance` or `stable`.
    pub state: Cow<'static, str>,
    /// The last completed rebalance.
    pub generation: u32,
    /// Who is in it.
    pub members: Vec<GroupMemberAnswer>,
    /// What it has finished.
    pub commits: Vec<GroupCommitAnswer>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMemberAnswer {
    /// Its id.
    pub member_id: String,
    /// Its name, if it gave one.
    pub consumer: Option<String>,
    /// Its partitions by topic.
    pub assignment: BTreeMap<String, Vec<u32>>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCommitAnswer {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// The next offset the group will read.
    pub offset: u64,
    /// Records between that and the end; null while the node that leads the partition does not answer.
    pub lag: Option<u64>,
}

/// `GET /healthz` and `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// `ok` or `disk_full`.
    pub status: Cow<'static, str>,
}

/// `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The node's name.
    pub node: String,
    /// The version it runs.
    pub version: String,
    /// Identity of its data directory, 32 hexadecimal digits.
    pub storage_id: String,
    /// `log` or `sqlite`.
    pub store: String,
    /// `ok`, `disk_full` or `stopped`.
    pub health: Cow<'static, str>,
    /// Why it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For what a node that was started again waits before it takes anything; readers are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Since when it runs.
    pub started: i64,
    /// For how long, in milliseconds.
    pub uptime_ms: u64,
    /// Topics that users made, in the whole cluster.
    pub topics: u64,
    /// Their partitions.
    pub partitions: u64,
    /// How many of those this node leads.
    pub partitions_led: u64,
    /// Groups that this node coordinates.
    pub groups: u64,
    /// Connections to this door, now.
    pub connections: u64,
    /// Since the start, or now.
    pub counters: CountersAnswer,
    /// The cluster as this node sees it, its fields beside these.
    #[serde(flatten)]
    pub cluster: ClusterAnswer,
}

/// Counters since the node's start; those named `…ing` or `…flight` are of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CountersAnswer {
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
    /// Reads waiting now.
    pub polls_waiting: u64,
    /// Bytes accepted and not yet acknowledged, now.
    pub bytes_in_flight: u64,
    /// Commits acknowledged.
    pub commits: u64,
    /// Questions that went to other nodes, for what they lead.
    pub calls_sent: u64,
    /// Of them, those without an answer.
    pub calls_failed: u64,
    /// Questions of other nodes that were answered.
    pub calls_answered: u64,
}
