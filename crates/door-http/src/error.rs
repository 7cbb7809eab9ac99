//! What is answered when a request cannot be served.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use broker::{Fault, FetchError, GroupError, NodeError, PublishError, TopicError};

use crate::dto::{ErrorAnswer, ErrorBody};

/// Longest message, so that no answer repeats a large input.
const MESSAGE_CHARS_MAX: usize = 400;

/// A request that was refused or has failed: a status and a stable code. Boxed, because handlers
/// keep room for it while they wait.
#[derive(Debug)]
pub(crate) struct Refusal(Box<(StatusCode, ErrorBody)>);

/// The codes that this door adds to those of the broker, each with its status.
macro_rules! door_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident;)*) => {
        /// The reasons for which the door itself refuses a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            const fn parts(self) -> (&'static str, StatusCode) {
                match self { $(Self::$name => ($code, StatusCode::$status),)* }
            }
        }

        /// Every code of the door itself.
        #[cfg(test)]
        pub(crate) const DOOR_CODES: &[&str] = &[$($code,)*];
    };
}

door_codes! {
    /// No such path.
    NotFound = "not_found", NOT_FOUND;
    /// The path is there, the method is not.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// `.`, `..`, NUL or bytes that are not UTF-8 in the path.
    InvalidPath = "invalid_path", BAD_REQUEST;
    /// A query parameter that is unknown, given twice, or not what it must be.
    InvalidQuery = "invalid_query", BAD_REQUEST;
    /// Not JSON.
    InvalidJson = "invalid_json", BAD_REQUEST;
    /// JSON nested deeper than is read.
    JsonTooDeep = "json_too_deep", BAD_REQUEST;
    /// JSON, with a field that is unknown, missing or of the wrong type.
    InvalidRequest = "invalid_request", BAD_REQUEST;
    /// Not a name that a topic can have.
    InvalidTopicName = "invalid_topic_name", BAD_REQUEST;
    /// Not the number of a node.
    InvalidNode = "invalid_node_id", BAD_REQUEST;
    /// Not a cursor, or a damaged one.
    InvalidCursor = "invalid_cursor", BAD_REQUEST;
    /// Not a place to begin.
    InvalidFrom = "invalid_from", BAD_REQUEST;
    /// The body is larger than the door takes.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE;
    /// The body has a type that the route does not read.
    UnsupportedType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE;
    /// The body stopped coming.
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT;
    /// The body ended too early, or its framing is broken.
    BodyBroken = "body_incomplete", BAD_REQUEST;
    /// The page that sent this belongs to another site.
    CrossOrigin = "cross_origin", FORBIDDEN;
    /// The node is called by a name that is not its own.
    ForbiddenHost = "forbidden_host", FORBIDDEN;
    /// The route wants a WebSocket handshake.
    NotAWebSocket = "websocket_required", UPGRADE_REQUIRED;
    /// The node is going down.
    ShuttingDown = "shutting_down", SERVICE_UNAVAILABLE;
    /// The door holds as many connections as it can.
    TooManyConnections = "too_many_connections", SERVICE_UNAVAILABLE;
    /// The node holds as many bytes of requests as it can.
    Busy = "busy", SERVICE_UNAVAILABLE;
    /// A fault of the node.
    Internal = "internal_error", INTERNAL_SERVER_ERROR;
}

impl Refusal {
    /// With the door's own code. Control characters of `message` are escaped.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let (code, status) = code.parts();
        Self::with(status, code, message.into())
    }

    fn with(status: StatusCode, code: &'static str, message: String) -> Self {
        let body = ErrorBody {
            code: Cow::Borrowed(code),
            message: printable(message),
            ..ErrorBody::default()
        };
        Self(Box::new((status, body)))
    }

    fn of_broker(fault: Fault, code: &'static str, message: String) -> Self {
        Self::with(status_of(fault), code, message)
    }

    /// The store has stopped, as the answer to a question of readiness: try elsewhere, or later.
    pub(crate) fn not_ready(why: String) -> Self {
        let mut refusal = Self::from(PublishError::Stopped(why));
        refusal.0.0 = StatusCode::SERVICE_UNAVAILABLE;
        refusal
    }

    /// The cluster has not registered this start of the node, as the same answer.
    pub(crate) fn not_registered(what: &str) -> Self {
        let mut refusal = Self::from(TopicError::NotRegistered(String::new()));
        refusal.0.1.message = printable(format!("not ready: waiting for {what}"));
        refusal
    }

    /// What is said about it.
    pub(crate) fn body(&self) -> &ErrorBody {
        &self.0.1
    }

    /// The same with the position of NDJSON: the line at fault and how many are on disk.
    pub(crate) fn at_line(mut self, line: Option<u64>, acknowledged: u64) -> Self {
        self.0.1.line = line;
        self.0.1.acknowledged = Some(acknowledged);
        self
    }

    /// The body alone, for streams that have sent their status already.
    pub(crate) fn into_body(self) -> ErrorBody {
        self.0.1
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = *self.0;
        let mut response = crate::reply::json(status, &ErrorAnswer { error });
        let headers = response.headers_mut();
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            }
            _ => {}
        }
        response
    }
}

impl From<TopicError> for Refusal {
    fn from(error: TopicError) -> Self {
        Self::of_broker(error.fault(), error.code(), error.to_string())
    }
}

impl From<NodeError> for Refusal {
    fn from(error: NodeError) -> Self {
        Self::of_broker(error.fault(), error.code(), error.to_string())
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        Self::of_broker(error.fault(), error.code(), error.to_string())
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        let mut refusal = Self::of_broker(error.fault(), error.code(), error.to_string());
        let body = &mut refusal.0.1;
        match error {
            FetchError::OutOfRange {
                partition,
                start,
                end,
                ..
            } => {
                body.partition = Some(partition.0);
                body.start = Some(start.get());
                body.end = Some(end.get());
            }
            FetchError::Damaged {
                partition,
                resume_at,
                ..
            } => {
                body.partition = Some(partition.0);
                body.resume_at = Some(resume_at.get());
            }
            _ => {}
        }
        refusal
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Fetch(inner) => inner.into(),
            error => Self::of_broker(error.fault(), error.code(), error.to_string()),
        }
    }
}

const fn status_of(fault: Fault) -> StatusCode {
    match fault {
        Fault::Caller => StatusCode::BAD_REQUEST,
        Fault::Missing => StatusCode::NOT_FOUND,
        Fault::Conflict => StatusCode::CONFLICT,
        Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Fault::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Node => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Without control characters, which a terminal would obey, and not too long.
fn printable(message: String) -> String {
    let clean = |c: char| !c.is_control() && !is_bidi_control(c);
    if message.len() <= MESSAGE_CHARS_MAX && message.chars().all(clean) {
        return message;
    }
    let mut out = String::with_capacity(MESSAGE_CHARS_MAX);
    for c in message.chars().take(MESSAGE_CHARS_MAX) {
        if clean(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

/// Characters that turn the direction of the text around them.
const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_printable_and_short() {
        let refusal = Refusal::new(Code::InvalidQuery, "a\u{1b}[31m\0\u{202e}b");
        assert_eq!(refusal.body().message, "a\\u{1b}[31m\\u{0}\\u{202e}b");
        let long = Refusal::new(Code::InvalidQuery, "é".repeat(100_000));
        assert_eq!(long.body().message.chars().count(), MESSAGE_CHARS_MAX);
    }

    #[test]
    fn every_code_has_its_page() {
        let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        let broker = errors_of_the_broker();
        let of_broker = broker
            .lines()
            .filter_map(|line| line.split_once("=> \""))
            .filter_map(|(_, rest)| rest.split_once("\", ").map(|(code, _)| code));
        let codes: Vec<&str> = DOOR_CODES.iter().copied().chain(of_broker).collect();
        assert!(codes.len() > 40, "the codes were not found: {codes:?}");
        for code in &codes {
            let text = std::fs::read_to_string(pages.join(format!("{code}.md")));
            let text = text.unwrap_or_else(|e| panic!("docs/errors/{code}.md: {e}"));
            assert!(
                text.starts_with(&format!("# {code}\n")),
                "{code}: the page has another title"
            );
        }
        for entry in std::fs::read_dir(&pages).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let code = name.trim_end_matches(".md");
            assert!(
                code == "README" || codes.contains(&code),
                "{name} is no code's page"
            );
        }
    }

    /// Their sources: a file, or one and those of its folder.
    fn errors_of_the_broker() -> String {
        let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../broker/src");
        let parts = std::fs::read_dir(src.join("error")).into_iter().flatten();
        let parts = parts.map(|entry| entry.unwrap().path());
        let files = std::iter::once(src.join("error.rs")).chain(parts);
        files
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect()
    }
}
