//! Bodies: read with a limit and a deadline, and parsed as JSON.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use model::limits::HTTP_BODY_RATE_MIN;
use serde::de::DeserializeOwned;

use super::depth::is_too_deep;
use super::room::{Budget, Room};
use crate::door::Door;
use crate::error::{Code, Refusal};

/// What `curl -d` calls every body that it is not told about.
const CURL_DEFAULT: &str = "application/x-www-form-urlencoded";

/// A body's pieces as they come; each must come in time, and find room.
#[derive(Debug)]
pub(crate) struct BodyReader {
    body: Body,
    timeout: Duration,
    budget: Budget,
    /// Read, and without room yet.
    waiting: Option<Bytes>,
}

impl BodyReader {
    pub(crate) fn new(body: Body, door: &Door) -> Self {
        Self {
            body,
            timeout: door.options().body_timeout,
            budget: door.budget().clone(),
            waiting: None,
        }
    }

    /// The next piece and the room that it takes, or `None` at the end. May be dropped while it waits:
    /// nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<(Bytes, Room)>, Refusal> {
        if self.waiting.is_none() {
            self.waiting = self.next_piece().await?;
        }
        let bytes = self.waiting.as_ref().map_or(0, Bytes::len);
        let room = self.budget.reserve(bytes).await?;
        Ok(self.waiting.take().map(|piece| (piece, room)))
    }

    /// The whole body, at most `limit` bytes of it, and the room that it takes. An announced length
    /// has its room before the first byte is read: who has to wait holds nothing then.
    pub(crate) async fn all(mut self, limit: usize) -> Result<(Bytes, Room), Refusal> {
        let announced = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(too_large(limit));
        }
        let mut room = self.budget.reserve(announced).await?;
        // Room that somebody holds is missing to others, so a whole body may not trickle in for ever.
        let slowest = Duration::from_secs((limit / HTTP_BODY_RATE_MIN) as u64);
        let patience = self.timeout.saturating_add(slowest);
        let read = self.gather(announced, limit, &mut room);
        let whole = tokio::time::timeout(patience, read).await;
        Ok((whole.map_err(|_| timed_out())??, room))
    }

    async fn gather(
        &mut self,
        announced: usize,
        limit: usize,
        room: &mut Room,
    ) -> Result<Bytes, Refusal> {
        let Some(first) = self.next_piece().await? else {
            return Ok(Bytes::new());
        };
        if first.len() >= announced && self.body.is_end_stream() {
            room.add(self.budget.reserve(first.len() - announced).await?);
            return Ok(first);
        }
        // An announced length is no reason to allocate it before the bytes are there.
        let mut whole = BytesMut::from(first);
        let mut reserved = announced;
        while whole.len() <= limit {
            let more = whole.len().saturating_sub(reserved);
            room.add(self.budget.reserve(more).await?);
            reserved += more;
            match self.next_piece().await? {
                Some(piece) => whole.extend_from_slice(&piece),
                None => return Ok(whole.freeze()),
            }
        }
        Err(too_large(limit))
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = tokio::time::timeout(self.timeout, self.body.frame()).await;
            match frame.map_err(|_| timed_out())? {
                None => return Ok(None),
                Some(Err(_)) => return Err(incomplete()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

fn timed_out() -> Refusal {
    Refusal::new(
        Code::BodyTimeout,
        "the rest of the body did not come in time",
    )
}

fn incomplete() -> Refusal {
    Refusal::new(
        Code::BodyBroken,
        "the body ended too early or is not framed as HTTP asks",
    )
}

pub(crate) fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        Code::BodyTooLarge,
        format!("the body is larger than {limit} bytes"),
    )
}

/// A JSON body. A body without a type counts as JSON, and so does the type that `curl -d` sends of
/// itself; any other is refused. A foreign page's form could send that type too, but a browser
/// names its origin, and the router refuses foreign ones.
///
/// Its room is held for as long as the handler lives, which works with what was in it.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T, pub(crate) Room);

impl<T: DeserializeOwned> FromRequest<Door> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        refuse_encoded(&parts.headers)?;
        if !media_type(&parts.headers).is_none_or(|media| counts_as_json(&media)) {
            let message = "this route reads JSON: send 'content-type: application/json'";
            return Err(Refusal::new(Code::UnsupportedType, message));
        }
        drop(parts);
        let reader = BodyReader::new(body, door);
        let (bytes, room) = reader.all(door.options().body_bytes_max).await?;
        Ok(Self(parse_json(&bytes)?, room))
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    if is_too_deep(bytes) {
        return Err(Refusal::new(
            Code::JsonTooDeep,
            "the JSON is nested too deeply",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| json_refusal(&error))
}

/// What is wrong with JSON: the text, or what it says.
pub(crate) fn json_refusal(error: &serde_json::Error) -> Refusal {
    let code = if error.is_data() {
        Code::InvalidRequest
    } else {
        Code::InvalidJson
    };
    Refusal::new(code, error.to_string())
}

/// The type of the body in lower case, without parameters; `None` when it is not given.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    // A type that is not text is no type that is known.
    let text = value.to_str().unwrap_or("unreadable");
    Some(
        text.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase(),
    )
}

fn counts_as_json(media: &str) -> bool {
    matches!(media, "application/json" | CURL_DEFAULT)
        || (media.starts_with("application/") && media.ends_with("+json"))
}

/// Compressed bodies are not taken: nothing that comes in can grow.
pub(crate) fn refuse_encoded(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(header::CONTENT_ENCODING) {
        None => Ok(()),
        Some(coding) if coding.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(_) => {
            let message = "compressed bodies are not taken: leave out 'content-encoding'";
            Err(Refusal::new(Code::UnsupportedType, message))
        }
    }
}
