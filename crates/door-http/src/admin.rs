//! Topics: making, listing, changing, deleting; their last record, and where they are kept.

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use model::{Offset, PartitionIndex};
use serde::Deserialize;

use crate::convert::{
    Places, changes, mode_name, new_topic, numbers, partition_answer, record_answer, topic_answer,
    topic_summary,
};
use crate::door::Door;
use crate::dto::{
    ConfigRequest, CreateTopicRequest, DeleteRecordsRequest, DeletedAnswer, LastAnswer, ModeName,
    ReplicaAnswer, ReplicasAnswer, TopicsAnswer,
};
use crate::error::{Code, Refusal};
use crate::input::{Json, Query, Topic};
use crate::reply::{self, Reply};
use crate::route::NoQuery;

/// A topic to make, given in the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateQuery {
    name: Option<String>,
    partitions: Option<u32>,
    #[serde(alias = "replication_factor")]
    rf: Option<u16>,
    mode: Option<ModeName>,
}

/// `POST /admin/topics`: by query (`?name=&partitions=&rf=&mode=`) or by body, not both.
pub(crate) async fn create(
    State(door): State<Door>,
    Query(query): Query<CreateQuery>,
    request: Request,
) -> Reply {
    let request = match query.name {
        Some(name) => CreateTopicRequest {
            name,
            partitions: query.partitions,
            replication_factor: query.rf,
            mode: query.mode,
            ..CreateTopicRequest::default()
        },
        None if query.partitions.is_none() && query.rf.is_none() && query.mode.is_none() => {
            let Json(request, _) = Json::from_request(request, &door).await?;
            request
        }
        None => {
            return Err(Refusal::new(
                Code::InvalidQuery,
                "'name' is missing from the query",
            ));
        }
    };
    let topic = door.broker().create_topic(new_topic(&request)?).await?;
    Ok(reply::json(
        StatusCode::CREATED,
        &topic_answer(&topic, &places(&door)),
    ))
}

/// `GET /admin/topics`, `GET /topics`
pub(crate) async fn list(State(door): State<Door>, Query(NoQuery {}): Query<NoQuery>) -> Reply {
    let topics = door.broker().topics_detailed().await;
    reply::ok(&TopicsAnswer {
        topics: topics.iter().map(topic_summary).collect(),
    })
}

/// `GET /admin/topics/{topic}`
pub(crate) async fn describe(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(NoQuery {}): Query<NoQuery>,
) -> Reply {
    let topic = door.broker().topic_detailed(&topic).await?;
    reply::ok(&topic_answer(&topic, &places(&door)))
}

/// `PATCH /admin/topics/{topic}`
pub(crate) async fn configure(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(NoQuery {}): Query<NoQuery>,
    Json(request, _room): Json<ConfigRequest>,
) -> Reply {
    let topic = door
        .broker()
        .configure_topic(&topic, changes(&request))
        .await?;
    reply::ok(&topic_answer(&topic, &places(&door)))
}

/// `DELETE /admin/topics/{topic}`
pub(crate) async fn delete(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(NoQuery {}): Query<NoQuery>,
) -> Reply {
    door.broker().delete_topic(&topic).await?;
    reply::ok(&DeletedAnswer {
        deleted: topic.to_string(),
    })
}

/// `POST /admin/topics/{topic}/delete-records`
pub(crate) async fn delete_records(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(NoQuery {}): Query<NoQuery>,
    Json(request, _room): Json<DeleteRecordsRequest>,
) -> Reply {
    let before = Offset::new(request.before)
        .ok_or_else(|| Refusal::new(Code::InvalidRequest, "'before' is past every offset"))?;
    let partition = PartitionIndex(request.partition);
    let left = door
        .broker()
        .delete_records(&topic, partition, before)
        .await?;
    reply::ok(&partition_answer(&left, &places(&door)))
}

/// `GET /topics/{topic}/last`
pub(crate) async fn last(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(NoQuery {}): Query<NoQuery>,
) -> Reply {
    let last = door.broker().last(&topic).await?;
    let record = last.as_ref().map(record_answer);
    reply::ok(&LastAnswer {
        topic: topic.to_string(),
        record,
    })
}

/// `GET /replicas/{topic}`
pub(crate) async fn replicas(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(NoQuery {}): Query<NoQuery>,
) -> Reply {
    let topic = door.broker().topic_detailed(&topic).await?;
    let places = places(&door);
    let partitions = topic.partitions.iter().map(|partition| ReplicaAnswer {
        partition: partition.index.0,
        leader: partition.leader.map(|node| node.0),
        leader_http: places.get(partition.leader),
        epoch: partition.leader_epoch.0,
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
        start: partition.held.map(|held| held.start.get()),
        high_watermark: partition.held.map(|held| held.end.get()),
    });
    reply::ok(&ReplicasAnswer {
        topic: topic.name.to_string(),
        mode: mode_name(topic.mode),
        partitions: partitions.collect(),
    })
}

/// Where the leaders are.
fn places(door: &Door) -> Places {
    Places::of(door.broker().overview())
}
