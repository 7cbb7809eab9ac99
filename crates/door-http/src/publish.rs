//! Publishing: one message as JSON, one as raw bytes, or many as NDJSON.

mod bulk;
mod lines;
#[cfg(test)]
mod tests;

pub(crate) use lines::check_topic;

use axum::extract::{Request, State};
use broker::Publish;
use model::{PartitionIndex, Record, TopicName};
use serde::Deserialize;

use crate::convert::{receipt, request_record};
use crate::door::Door;
use crate::dto::{self, PublishRequest};
use crate::error::{Code, Refusal};
use crate::input::{BodyReader, Json, Query, Topic, media_type, refuse_encoded, topic_name};
use crate::reply::{self, Reply};
use crate::route::NoQuery;

/// The types of a body of many messages: none is registered, and these are all in use. A body that
/// is not recognised as NDJSON would be one message, which nobody means who names any of them.
const NDJSON: [&str; 4] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
];

/// `POST /publish`: one message as JSON, answered with a receipt once it is on disk.
pub(crate) async fn publish(
    State(door): State<Door>,
    Query(NoQuery {}): Query<NoQuery>,
    Json(request, _room): Json<PublishRequest>,
) -> Reply {
    let topic = topic_name(&request.topic)?;
    let partition = request.partition.map(PartitionIndex);
    let record = request_record(request)?;
    reply::ok(&publish_one(&door, topic, partition, record).await?)
}

/// The parameters of a raw publish.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordsQuery {
    key: Option<String>,
    partition: Option<u32>,
}

/// `POST /topics/{topic}/records`: the body is one message, whatever its type, unless it is NDJSON.
pub(crate) async fn records(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(query): Query<RecordsQuery>,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    refuse_encoded(&parts.headers)?;
    let is_many = media_type(&parts.headers).is_some_and(|media| NDJSON.contains(&media.as_str()));
    drop(parts);
    let reader = BodyReader::new(body, &door);
    let partition = query.partition.map(PartitionIndex);
    if is_many {
        if query.key.is_some() {
            let message = "NDJSON lines carry their own keys: leave out 'key'";
            return Err(Refusal::new(Code::InvalidQuery, message));
        }
        return Box::pin(bulk::publish_lines(&door, topic, partition, reader)).await;
    }
    let (value, _room) = reader.all(door.options().body_bytes_max).await?;
    let record = Record {
        key: query.key.map(Into::into),
        value: Some(value),
        ..Record::default()
    };
    reply::ok(&publish_one(&door, topic, partition, record).await?)
}

/// Publishes one record.
pub(crate) async fn publish_one(
    door: &Door,
    topic: TopicName,
    partition: Option<PartitionIndex>,
    record: Record,
) -> Result<dto::Receipt, Refusal> {
    let publish = Publish {
        topic: topic.clone(),
        partition,
        records: vec![record],
    };
    let receipts = door.broker().publish(publish).await?;
    let first = receipts
        .first()
        .ok_or_else(|| Refusal::new(Code::Internal, "the message was taken without a receipt"))?;
    Ok(receipt(&topic, first))
}
