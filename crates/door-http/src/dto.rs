//! The JSON shapes of the door: what clients send and what they are answered.
//!
//! Both sides use them: the routes here and the command line. Unknown fields of a request are
//! refused; unknown fields of an answer should be passed over by clients. Times are milliseconds
//! since 1970-01-01 UTC, sizes are bytes, offsets are whole numbers.
//!
//! Keys, messages and header values are bytes inside Hark and text in JSON. Bytes that are not UTF-8
//! travel as base64 (standard alphabet, padded) and an `…_encoding` field beside them says so.

mod admin;
mod answers;
mod brokers;
mod cluster;
mod headers;
mod records;

pub use admin::{ConfigRequest, CreateTopicRequest, DeleteRecordsRequest, ModeName, TopicConfig};
pub use answers::{
    AssignmentAnswer, CommitAnswer, CountersAnswer, DeletedAnswer, ErrorAnswer, ErrorBody,
    GroupAnswer, GroupCommitAnswer, GroupMemberAnswer, GroupsAnswer, HealthAnswer, PartitionAnswer,
    ReplicaAnswer, ReplicasAnswer, StatusAnswer, TopicAnswer, TopicSummary, TopicsAnswer,
};
pub use brokers::{BrokerEntry, BrokerMap};
pub use cluster::{ClusterAnswer, NodeAnswer};
pub use headers::{Base64, HeaderValue, Headers};
pub use records::{
    BatchReceipt, BulkReceipt, CommitRequest, Encoding, GapAnswer, LastAnswer, PartitionReceipt,
    PollAnswer, ProducerAnswer, ProducerTopic, PublishLine, PublishRequest, Receipt, RecordAnswer,
    ResetRequest, SocketFrame, SubscribeRequest, UnsubscribeRequest,
};

#[cfg(test)]
mod tests;
