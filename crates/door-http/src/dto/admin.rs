//! Making and changing topics.

use serde::{Deserialize, Deserializer, Serialize};

/// What a topic promises when the network breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// Strong: one leader per partition; nothing acknowledged is lost.
    #[default]
    Leader,
    /// Available: every node accepts writes, and all copies converge.
    Gossip,
}

/// `POST /admin/topics`. The first four fields may be given in the query instead.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTopicRequest {
    /// 1 to 249 of `a-z A-Z 0-9 . _ -`.
    pub name: String,
    /// The node's default when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// How many copies. `rf` is the same.
    #[serde(default, alias = "rf", skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<u16>,
    /// The promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeName>,
    /// Settings.
    #[serde(default)]
    pub config: TopicConfig,
}

/// A topic's settings. What is left out or `null` is the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// How long records are kept; for ever by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// How many bytes each partition keeps; without end by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<u64>,
    /// Size of a segment file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_bytes: Option<u64>,
    /// Largest batch taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message_bytes: Option<u64>,
}

/// `PATCH /admin/topics/{topic}`: what is left out stays, `null` goes back to the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigRequest {
    /// See [`TopicConfig::retention_ms`].
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub retention_ms: Option<Option<u64>>,
    /// See [`TopicConfig::retention_bytes`].
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub retention_bytes: Option<Option<u64>>,
    /// See [`TopicConfig::segment_bytes`].
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub segment_bytes: Option<Option<u64>>,
    /// See [`TopicConfig::max_message_bytes`].
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_message_bytes: Option<Option<u64>>,
}

/// `POST /admin/topics/{topic}/delete-records`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRecordsRequest {
    /// In which partition.
    pub partition: u32,
    /// The first offset that stays.
    pub before: u64,
}

/// A field that is there, even as `null`, is `Some`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
