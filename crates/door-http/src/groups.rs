//! Groups: joining, leaving, commits, and looking after them.

use axum::extract::State;
use broker::{Commit, GroupSubscribe};

use crate::convert::{assignment, cursor, group_answer};
use crate::door::Door;
use crate::dto::{
    AssignmentAnswer, CommitAnswer, CommitRequest, DeletedAnswer, GroupsAnswer, ResetRequest,
    SubscribeRequest, UnsubscribeRequest,
};
use crate::error::{Code, Refusal};
use crate::input::{Json, Param, Query, parse_from, topic_name};
use crate::poll::session_timeout;
use crate::reply::{self, Reply};
use crate::route::NoQuery;

/// `POST /subscribe`
pub(crate) async fn subscribe(
    State(door): State<Door>,
    Query(NoQuery {}): Query<NoQuery>,
    Json(request, _room): Json<SubscribeRequest>,
) -> Reply {
    let names = match (&request.topic, request.topics.as_slice()) {
        (Some(topic), []) => std::slice::from_ref(topic),
        (None, topics) if !topics.is_empty() => topics,
        _ => {
            return Err(Refusal::new(
                Code::InvalidRequest,
                "give either 'topic' or 'topics'",
            ));
        }
    };
    let subscribe = GroupSubscribe {
        group: request.group.clone(),
        consumer: request.consumer.clone(),
        topics: names
            .iter()
            .map(|name| topic_name(name))
            .collect::<Result<_, _>>()?,
        session_timeout: session_timeout(request.session_timeout_ms),
    };
    let joined = door.unless_closing(door.broker().group_subscribe(subscribe));
    let given = Box::pin(joined).await??;
    reply::ok(&AssignmentAnswer {
        group: request.group,
        consumer: request.consumer,
        generation: given.generation,
        assignment: assignment(&given),
    })
}

/// `POST /unsubscribe`
pub(crate) async fn unsubscribe(
    State(door): State<Door>,
    Query(NoQuery {}): Query<NoQuery>,
    Json(request, _room): Json<UnsubscribeRequest>,
) -> Reply {
    door.broker()
        .group_unsubscribe(&request.group, &request.consumer)
        .await?;
    reply::ok(&CommitAnswer {
        group: request.group,
        consumer: Some(request.consumer),
    })
}

/// `POST /commit`
pub(crate) async fn commit(
    State(door): State<Door>,
    Query(NoQuery {}): Query<NoQuery>,
    Json(request, _room): Json<CommitRequest>,
) -> Reply {
    let commit = Commit {
        group: request.group.clone(),
        consumer: request.consumer.clone(),
        cursor: cursor(&request.cursor)?,
    };
    door.broker().commit(commit).await?;
    reply::ok(&CommitAnswer {
        group: request.group,
        consumer: request.consumer,
    })
}

/// `GET /admin/groups`
pub(crate) async fn list(State(door): State<Door>, Query(NoQuery {}): Query<NoQuery>) -> Reply {
    let groups = door.broker().groups().await;
    reply::ok(&GroupsAnswer {
        groups: groups.into_iter().map(group_answer).collect(),
    })
}

/// `GET /admin/groups/{group}`
pub(crate) async fn describe(
    State(door): State<Door>,
    Param(group): Param,
    Query(NoQuery {}): Query<NoQuery>,
) -> Reply {
    reply::ok(&group_answer(door.broker().group(&group).await?))
}

/// `DELETE /admin/groups/{group}`
pub(crate) async fn delete(
    State(door): State<Door>,
    Param(group): Param,
    Query(NoQuery {}): Query<NoQuery>,
) -> Reply {
    door.broker().delete_group(&group).await?;
    reply::ok(&DeletedAnswer { deleted: group })
}

/// `POST /admin/groups/{group}/reset`
pub(crate) async fn reset(
    State(door): State<Door>,
    Param(group): Param,
    Query(NoQuery {}): Query<NoQuery>,
    Json(request, _room): Json<ResetRequest>,
) -> Reply {
    let topic = topic_name(&request.topic)?;
    let start = parse_from(&request.from)?;
    let description = door.broker().reset_group(&group, &topic, &start).await?;
    reply::ok(&group_answer(description))
}
