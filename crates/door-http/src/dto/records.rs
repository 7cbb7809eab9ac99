//! Publishing and reading.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::headers::Headers;
use super::{ErrorBody, ModeName};

/// How bytes are written as JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As they are.
    #[default]
    Utf8,
    /// Standard alphabet, padded.
    Base64,
}

impl Encoding {
    /// Whether nothing need be said about it.
    #[must_use]
    pub fn is_utf8(&self) -> bool {
        *self == Self::Utf8
    }
}

/// `POST /publish`: one message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// Where to; made on first use unless the node was told otherwise.
    pub topic: String,
    /// The message; `null` marks the key as deleted. The field may not be left out.
    #[serde(deserialize_with = "text_or_null")]
    pub message: Option<String>,
    /// Decides the partition when none is named; equal keys keep their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// Which partition; by key, or spread, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// When the message was made; the node's own time when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// How `message` is written.
    #[serde(default, skip_serializing_if = "Encoding::is_utf8")]
    pub message_encoding: Encoding,
    /// How `key` is written.
    #[serde(default, skip_serializing_if = "Encoding::is_utf8")]
    pub key_encoding: Encoding,
}

/// One line of NDJSON to `POST /topics/{topic}/records`, and what a WebSocket client sends: the
/// fields of [`PublishRequest`], the topic only if it is that of the path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishLine<'a> {
    /// See [`PublishRequest::topic`]; another topic than that of the path is refused.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Cow<'a, str>>,
    /// See [`PublishRequest::message`].
    #[serde(borrow, deserialize_with = "borrowed_text_or_null")]
    pub message: Option<Cow<'a, str>>,
    /// See [`PublishRequest::key`].
    #[serde(default, borrow, deserialize_with = "borrowed_text_or_null")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// See [`PublishRequest::headers`].
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// See [`PublishRequest::partition`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// See [`PublishRequest::timestamp`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// See [`PublishRequest::message_encoding`].
    #[serde(default, skip_serializing_if = "Encoding::is_utf8")]
    pub message_encoding: Encoding,
    /// See [`PublishRequest::key_encoding`].
    #[serde(default, skip_serializing_if = "Encoding::is_utf8")]
    pub key_encoding: Encoding,
}

/// The acknowledgement of one message: it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Topic.
    pub topic: String,
    /// Partition it went to.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// Its timestamp.
    pub timestamp: i64,
    /// The topic's promise.
    pub mode: ModeName,
    /// The reign of the leader that took it.
    pub epoch: u32,
    /// On how many disks it is.
    pub copies: u16,
    /// Whether it was there already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// `POST /producers`: the identity of an idempotent producer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerAnswer {
    /// Never given out twice.
    pub producer_id: u64,
    /// Its incarnation, to be written into every batch beside the id.
    pub epoch: u16,
    /// The topic asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<ProducerTopic>,
}

/// What a publisher of batches must know of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerTopic {
    /// Its name.
    pub name: String,
    /// Its identity, 32 hexadecimal digits. Given with every batch it makes sure that a retry never
    /// goes into another topic of the same name.
    pub id: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// The largest batch it takes.
    pub max_message_bytes: u64,
}

/// The acknowledgement of a batch: all of it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchReceipt {
    /// That of the first record; the timestamp is the newest of the batch.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// Offset of the last record.
    pub last_offset: u64,
}

/// The acknowledgement of many messages: all of them are on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkReceipt {
    /// Topic.
    pub topic: String,
    /// How many messages.
    pub count: u64,
    /// Where they are, by partition.
    pub partitions: Vec<PartitionReceipt>,
}

/// One partition's part of a [`BulkReceipt`]. Other publishers' messages may lie between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReceipt {
    /// Partition.
    pub partition: u32,
    /// How many messages it took.
    pub count: u64,
    /// Offset of the first.
    pub first_offset: u64,
    /// Offset of the last.
    pub last_offset: u64,
}

/// A message as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordAnswer<'a> {
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
    /// When it was made or taken.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Cow<'a, str>>,
    /// The message; `null` marks the key as deleted.
    pub message: Option<Cow<'a, str>>,
    /// Annotations.
    #[serde(default)]
    pub headers: Headers,
    /// How `key` is written.
    #[serde(default, skip_serializing_if = "Encoding::is_utf8")]
    pub key_encoding: Encoding,
    /// How `message` is written.
    #[serde(default, skip_serializing_if = "Encoding::is_utf8")]
    pub message_encoding: Encoding,
}

/// Offsets `from..to` that can no longer be read. Told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapAnswer {
    /// Partition.
    pub partition: u32,
    /// First missing offset.
    pub from: u64,
    /// Where reading goes on.
    pub to: u64,
    /// `deleted` (by retention or on request) or `damaged`.
    pub reason: Cow<'static, str>,
}

/// `GET /poll`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollAnswer<'a> {
    /// In order within each partition; empty when the wait ended first.
    pub records: Vec<RecordAnswer<'a>>,
    /// What was lost on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<GapAnswer>,
    /// Give it back to get what comes next; in a group it also commits what this answer held.
    pub cursor: String,
    /// Which rebalance gave the assignment; groups only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// The consumer's partitions by topic; groups only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<BTreeMap<String, Vec<u32>>>,
}

/// `GET /topics/{topic}/last`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAnswer<'a> {
    /// Topic.
    pub topic: String,
    /// Its newest message; `null` while it is empty.
    pub record: Option<RecordAnswer<'a>>,
}

/// What a WebSocket client is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SocketFrame<'a> {
    /// A message.
    Record {
        /// The message.
        record: RecordAnswer<'a>,
        /// Where to go on after it; left out inside a large topic's burst.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Something was lost.
    Gap {
        /// What.
        gap: GapAnswer,
        /// Where to go on after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// What the client sent is on disk. Receipts and errors come in the order of what was sent.
    Receipt {
        /// The acknowledgement.
        receipt: Receipt,
    },
    /// What the client sent was refused, or reading cannot go on.
    Error {
        /// Why.
        error: ErrorBody,
    },
}

/// `POST /subscribe`: join a group, or change what a member reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeRequest {
    /// The group; made when first named.
    pub group: String,
    /// The consumer's name, unique in its group.
    pub consumer: String,
    /// One topic; this or `topics`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Several topics; this or `topic`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// How long the consumer may be silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_timeout_ms: Option<u64>,
}

/// `POST /unsubscribe`: leave a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsubscribeRequest {
    /// The group.
    pub group: String,
    /// The consumer.
    pub consumer: String,
}

/// `POST /commit`: record progress.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRequest {
    /// The group.
    pub group: String,
    /// The consumer; may be left out only while the group has no members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The cursor of the answer that was finished.
    pub cursor: String,
}

/// `POST /admin/groups/{group}/reset`: move an empty group's progress.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    /// On which topic.
    pub topic: String,
    /// Where to: `earliest`, `latest`, an offset, `@milliseconds` or an RFC 3339 time.
    pub from: String,
}

fn text_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    borrowed_text_or_null(deserializer).map(|text| text.map(Cow::into_owned))
}

/// Borrows when the text holds no escapes. Says what to do when something else was sent.
fn borrowed_text_or_null<'de, D>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(TextOrNull)
}

struct TextOrNull;

impl<'de> Visitor<'de> for TextOrNull {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null (write other JSON as a string)")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text)))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
