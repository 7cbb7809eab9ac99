//! Bodies: read with a limit and a deadline, and parsed as JSON.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::depth::is_too_deep;
use crate::door::Door;
use crate::error::{Code, Refusal};

/// What `curl -d` calls every body that it is not told about.
const CURL_DEFAULT: &str = "application/x-www-form-urlencoded";

/// A body's pieces as they come; each must come in time.
#[derive(Debug)]
pub(crate) struct BodyReader {
    body: Body,
    timeout: Duration,
}

impl BodyReader {
    pub(crate) const fn new(body: Body, timeout: Duration) -> Self {
        Self { body, timeout }
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = tokio::time::timeout(self.timeout, self.body.frame()).await;
            let frame = frame.map_err(|_| {
                Refusal::new(
                    Code::BodyTimeout,
                    "the rest of the body did not come in time",
                )
            })?;
            match frame {
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

    /// The whole body, at most `limit` bytes of it.
    pub(crate) async fn all(mut self, limit: usize) -> Result<Bytes, Refusal> {
        let announced = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(too_large(limit));
        }
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        if first.len() >= announced && self.body.is_end_stream() {
            return Ok(first);
        }
        // An announced length is no reason to allocate it before the bytes are there.
        let mut whole = BytesMut::from(first);
        while whole.len() <= limit {
            match self.next().await? {
                Some(piece) => whole.extend_from_slice(&piece),
                None => return Ok(whole.freeze()),
            }
        }
        Err(too_large(limit))
    }
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
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

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
        let options = door.options();
        let reader = BodyReader::new(body, options.body_timeout);
        let bytes = reader.all(options.body_bytes_max).await?;
        parse_json(&bytes).map(Self)
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
