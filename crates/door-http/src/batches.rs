//! Raw batches of idempotent producers: what was sent twice is there once.
//!
//! A publisher asks once for an identity, numbers its records in each partition from 0, and sends
//! the same bytes again for as long as it has no answer. The node recognises what it took before and
//! answers with the place of the original, also after a crash.

use axum::extract::{Request, State};
use broker::{PublishError, check_records};
use model::limits::BATCH_BYTES_MAX;
use model::{PartitionIndex, TopicId, TopicName};
use serde::Deserialize;
use wire::{Batch, Compression};

use crate::convert::{batch_receipt, producer_topic};
use crate::door::Door;
use crate::dto::ProducerAnswer;
use crate::error::{Code, Refusal};
use crate::input::{BodyReader, Query, Topic, media_type, refuse_encoded, topic_name};
use crate::reply::{self, Reply};

/// The type of a body that is a batch.
const OCTETS: &str = "application/octet-stream";

/// The parameters of a new producer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProducerQuery {
    topic: Option<String>,
}

/// `POST /producers`: an identity that nobody ever had. With `topic` also what a publisher to that
/// topic must know; the topic is made as by a first publish.
pub(crate) async fn producers(
    State(door): State<Door>,
    Query(query): Query<ProducerQuery>,
) -> Reply {
    let topic = match query.topic {
        Some(name) => {
            let topic = door.broker().topic_to_publish(&topic_name(&name)?).await?;
            Some(producer_topic(&topic))
        }
        None => None,
    };
    let grant = door.broker().new_producer().await?;
    reply::ok(&ProducerAnswer {
        producer_id: grant.id.0,
        epoch: grant.epoch.0,
        topic,
    })
}

/// The parameters of a batch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchQuery {
    partition: u32,
    topic_id: Option<String>,
}

/// `POST /topics/{topic}/batches`: the body is one Kafka RecordBatch v2, answered with a receipt
/// once it is on disk.
pub(crate) async fn append(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(query): Query<BatchQuery>,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    refuse_encoded(&parts.headers)?;
    if media_type(&parts.headers).is_some_and(|media| media != OCTETS) {
        let message = "a batch is bytes: send 'content-type: application/octet-stream'";
        return Err(Refusal::new(Code::UnsupportedType, message));
    }
    drop(parts);
    let id = query.topic_id.as_deref().map(topic_id).transpose()?;
    let limit = door.options().body_bytes_max.min(BATCH_BYTES_MAX);
    let (bytes, _room) = BodyReader::new(body, &door).all(limit).await?;
    let batch = Batch::parse(bytes).map_err(PublishError::from)?;
    let batch = checked(batch).await?;
    let records = batch.header().record_count;
    let partition = PartitionIndex(query.partition);
    let receipt = append_checked(&door, &topic, id, partition, batch).await?;
    reply::ok(&batch_receipt(&topic, &receipt, records))
}

async fn append_checked(
    door: &Door,
    topic: &TopicName,
    id: Option<TopicId>,
    partition: PartitionIndex,
    batch: Batch,
) -> Result<broker::Receipt, PublishError> {
    match id {
        Some(id) => door.broker().append_to(topic, id, partition, batch).await,
        None => door.broker().append(topic, partition, batch).await,
    }
}

/// The batch, once its records are known to be readable. Those of a compressed one may be many, so
/// they are looked at beside the async workers.
async fn checked(batch: Batch) -> Result<Batch, Refusal> {
    if batch.header().compression == Compression::None {
        check_records(&batch)?;
        return Ok(batch);
    }
    let check = move || check_records(&batch).map(|()| batch);
    let checked = tokio::task::spawn_blocking(check).await;
    let checked = checked.map_err(|error| {
        tracing::error!(%error, "a batch could not be checked");
        Refusal::new(Code::Internal, "the batch could not be checked")
    })?;
    Ok(checked?)
}

fn topic_id(text: &str) -> Result<TopicId, Refusal> {
    text.parse().map_err(|error: model::TopicIdError| {
        Refusal::new(Code::InvalidQuery, format!("query: topic_id: {error}"))
    })
}
