//! `GET /topics/{topic}/stream`: server-sent events, one per record.
//!
//! The `id` of an event is a cursor: a browser gives it back as `Last-Event-ID`, others as `cursor`.
//! A stream begins with an id of its own, so that a client cut off before the first record does not
//! miss what is published meanwhile.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use futures_util::stream;
use serde::Serialize;

use crate::convert::{gap_answer, record_answer};
use crate::door::Door;
use crate::error::{Code, Refusal};
use crate::follow::{FollowQuery, Follower, Item};
use crate::input::{Query, Topic};
use crate::reply::{self, Reply};

/// About how many bytes are written at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// How long a browser waits before it connects again.
const RETRY_MS: u32 = 1000;

/// Streams a topic from `Last-Event-ID`, `cursor` or `from`, or else from the latest record on.
pub(crate) async fn stream(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(mut query): Query<FollowQuery>,
    headers: HeaderMap,
) -> Reply {
    if let Some(id) = last_event_id(&headers)? {
        query = FollowQuery {
            cursor: Some(id),
            from: None,
            ..query
        };
    }
    drop(headers);
    let follower = Follower::new(&door, topic, query).await?;
    let events = Box::pin(stream::unfold(Step::Begin(door, follower), step));
    let mut response = reply::plain(
        StatusCode::OK,
        "text/event-stream",
        Body::from_stream(events),
    );
    // Proxies that would hold the stream back to fill a buffer.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Where a stream stands.
enum Step {
    Begin(Door, Follower),
    Follow(Door, Follower),
    End,
}

/// The next block of events. Streams end when the door closes and after an error.
async fn step(step: Step) -> Option<(Result<Vec<u8>, Infallible>, Step)> {
    match step {
        Step::Begin(door, follower) => {
            let head = format!("retry: {RETRY_MS}\nid: {}\n\n", follower.cursor());
            Some((Ok(head.into_bytes()), Step::Follow(door, follower)))
        }
        Step::Follow(door, mut follower) => {
            let wait = follower.fill(door.options().heartbeat);
            let block = match door.unless_closing(wait).await {
                Err(_) => return None,
                Ok(Err(error)) => {
                    let block = event("error", None, &Refusal::from(error).into_body());
                    return Some((Ok(block), Step::End));
                }
                Ok(Ok(true)) => block(&mut follower),
                Ok(Ok(false)) => b": heartbeat\n\n".to_vec(),
            };
            Some((Ok(block), Step::Follow(door, follower)))
        }
        Step::End => None,
    }
}

/// What is ahead, as events, up to about [`BLOCK_BYTES`].
fn block(follower: &mut Follower) -> Vec<u8> {
    let mut block = Vec::new();
    while block.len() < BLOCK_BYTES {
        let Some((item, id)) = follower.pop() else {
            break;
        };
        block.extend_from_slice(&match &item {
            Item::Record(record) => event("", id.as_deref(), &record_answer(record)),
            Item::Gap(gap) => event("gap", id.as_deref(), &gap_answer(gap)),
        });
    }
    block
}

/// One event. JSON as written here has no line ends, so one `data` line holds it.
fn event(name: &str, id: Option<&str>, data: &impl Serialize) -> Vec<u8> {
    let mut event = Vec::with_capacity(256);
    if let Some(id) = id {
        event.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    if !name.is_empty() {
        event.extend_from_slice(format!("event: {name}\n").as_bytes());
    }
    event.extend_from_slice(b"data: ");
    if let Err(error) = serde_json::to_writer(&mut event, data) {
        tracing::error!(%error, "an event cannot be written as JSON");
    }
    event.extend_from_slice(b"\n\n");
    event
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    match headers.get("last-event-id").map(HeaderValue::to_str) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(id)) => Ok(Some(id.to_owned())),
        Some(Err(_)) => Err(Refusal::new(
            Code::InvalidCursor,
            "Last-Event-ID is not a cursor",
        )),
    }
}
