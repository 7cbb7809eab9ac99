//! `GET /poll`: the long poll, by cursor or as a member of a group.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use broker::{GroupPoll, Poll, Polled, Start};
use model::PartitionIndex;
use model::limits::{
    POLL_RECORDS_DEFAULT, POLL_RECORDS_MAX, POLL_TIMEOUT_DEFAULT, POLL_TIMEOUT_MAX,
    SESSION_TIMEOUT_DEFAULT,
};
use serde::Deserialize;

use crate::convert::{assignment, cursor, gap_answer, record_answer};
use crate::door::Door;
use crate::dto::PollAnswer;
use crate::error::{Code, Refusal};
use crate::input::{Query, parse_from, topic_name};
use crate::reply::{self, Reply};

/// The parameters of a poll.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PollQuery {
    topic: String,
    cursor: Option<String>,
    from: Option<String>,
    partition: Option<String>,
    max: Option<usize>,
    timeout_ms: Option<u64>,
    group: Option<String>,
    consumer: Option<String>,
    session_timeout_ms: Option<u64>,
    auto_commit: Option<bool>,
}

/// Waits for something to deliver. Without a cursor it begins at `from`, or else at the latest
/// record; in a group, where the group stands, or else at the earliest.
pub(crate) async fn poll(State(door): State<Door>, Query(query): Query<PollQuery>) -> Reply {
    // The waiting futures are boxed, and all that is not needed to wait is gone by then.
    if query.group.is_some() {
        let poll = group_poll(query)?;
        Box::pin(wait_in_group(door, poll)).await
    } else {
        let poll = plain_poll(query)?;
        Box::pin(wait(door, poll)).await
    }
}

fn plain_poll(query: PollQuery) -> Result<Poll, Refusal> {
    let of_groups = [
        ("consumer", query.consumer.is_some()),
        ("session_timeout_ms", query.session_timeout_ms.is_some()),
        ("auto_commit", query.auto_commit.is_some()),
    ];
    if let Some((name, _)) = of_groups.iter().find(|(_, given)| *given) {
        return Err(invalid(format!("'{name}' is given without 'group'")));
    }
    Ok(Poll {
        topic: topic_name(&query.topic)?,
        partitions: query.partition.as_deref().map(partitions).transpose()?,
        start: start(query.cursor.as_deref(), query.from.as_deref())?,
        max_records: max_records(query.max)?,
        wait: wait_time(query.timeout_ms),
    })
}

fn group_poll(query: PollQuery) -> Result<GroupPoll, Refusal> {
    if query.partition.is_some() {
        return Err(invalid(
            "a group gives out the partitions: leave out 'partition'".into(),
        ));
    }
    let consumer = query
        .consumer
        .ok_or_else(|| invalid("'group' needs 'consumer'".into()))?;
    Ok(GroupPoll {
        group: query.group.unwrap_or_default(),
        consumer,
        topic: topic_name(&query.topic)?,
        done: query.cursor.as_deref().map(cursor).transpose()?,
        start: query
            .from
            .as_deref()
            .map_or(Ok(Start::Earliest), parse_from)?,
        auto_commit: query.auto_commit.unwrap_or(false),
        max_records: max_records(query.max)?,
        wait: wait_time(query.timeout_ms),
        session_timeout: session_timeout(query.session_timeout_ms),
    })
}

async fn wait(door: Door, poll: Poll) -> Reply {
    let polled = door.unless_closing(door.broker().poll(poll)).await??;
    answer(&polled, None)
}

async fn wait_in_group(door: Door, poll: GroupPoll) -> Reply {
    let answered = door
        .unless_closing(door.broker().group_poll(poll))
        .await??;
    answer(&answered.polled, Some(&answered.assignment))
}

fn answer(polled: &Polled, given: Option<&broker::Assignment>) -> Result<Response, Refusal> {
    reply::ok(&PollAnswer {
        records: polled.records.iter().map(record_answer).collect(),
        gaps: polled.gaps.iter().map(gap_answer).collect(),
        cursor: polled.cursor.encode(),
        generation: given.map(|given| given.generation),
        assignment: given.map(assignment),
    })
}

/// Where a reader without a group begins.
pub(crate) fn start(at: Option<&str>, from: Option<&str>) -> Result<Start, Refusal> {
    match (at, from) {
        (Some(_), Some(_)) => Err(invalid("give 'cursor' or 'from', not both".into())),
        (Some(text), None) => cursor(text).map(Start::Cursor),
        (None, Some(text)) => parse_from(text),
        (None, None) => Ok(Start::Latest),
    }
}

/// Partitions as numbers with commas between.
pub(crate) fn partitions(text: &str) -> Result<Vec<PartitionIndex>, Refusal> {
    let one = |number: &str| number.parse().map(PartitionIndex);
    let mut list: Vec<_> = text
        .split(',')
        .map(one)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid("'partition' is a number, or several with commas between".into()))?;
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

/// How long a member may be silent. Its bounds are the broker's.
pub(crate) fn session_timeout(millis: Option<u64>) -> Duration {
    millis.map_or(SESSION_TIMEOUT_DEFAULT, Duration::from_millis)
}

fn max_records(max: Option<usize>) -> Result<usize, Refusal> {
    match max {
        Some(0) => Err(invalid("'max' is at least 1".into())),
        max => Ok(max.unwrap_or(POLL_RECORDS_DEFAULT).min(POLL_RECORDS_MAX)),
    }
}

fn wait_time(millis: Option<u64>) -> Duration {
    millis
        .map_or(POLL_TIMEOUT_DEFAULT, Duration::from_millis)
        .min(POLL_TIMEOUT_MAX)
}

fn invalid(message: String) -> Refusal {
    Refusal::new(Code::InvalidQuery, message)
}
