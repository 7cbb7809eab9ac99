//! Paths and query parameters.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::Uri;
use axum::http::request::Parts;
use model::TopicName;
use serde::de::DeserializeOwned;

use crate::error::{Code, Refusal};

/// The query parameters as a `T`, which refuses those it does not know.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let parsed = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        parsed.map(|query| Self(query.0)).map_err(|rejection| {
            let text = rejection.body_text();
            let why = text.split_once(": ").map_or(text.as_str(), |(_, why)| why);
            Refusal::new(Code::InvalidQuery, format!("query: {why}"))
        })
    }
}

/// The topic that the path names.
#[derive(Debug)]
pub(crate) struct Topic(pub(crate) TopicName);

impl<S: Send + Sync> FromRequestParts<S> for Topic {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Param(name) = Param::from_request_parts(parts, state).await?;
        topic_name(&name).map(Self)
    }
}

/// The one variable part of the path, decoded.
#[derive(Debug)]
pub(crate) struct Param(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Param {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => {
                Err(Refusal::new(Code::InvalidPath, "the path is not UTF-8"))
            }
            Err(_) => Err(Refusal::new(
                Code::Internal,
                "the route has no variable part",
            )),
        }
    }
}

/// A topic's name.
pub(crate) fn topic_name(text: &str) -> Result<TopicName, Refusal> {
    text.parse().map_err(|error: model::TopicNameError| {
        Refusal::new(Code::InvalidTopicName, error.to_string())
    })
}

/// Refuses paths that try to climb, or hide a NUL: no route has use for them.
pub(crate) fn check_path(uri: &Uri) -> Result<(), Refusal> {
    let bad = |part: &str| {
        let plain = part.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".." || plain.contains("%00")
    };
    if uri.path().split('/').any(bad) {
        return Err(Refusal::new(
            Code::InvalidPath,
            "the path holds '.', '..' or NUL",
        ));
    }
    Ok(())
}

/// Refuses a query whose escapes are not UTF-8. The parser would put a replacement character in
/// their place: two keys that differ would become one.
pub(crate) fn check_query(uri: &Uri) -> Result<(), Refusal> {
    let query = uri.query().unwrap_or_default();
    if query.contains('%') && String::from_utf8(unescaped(query.as_bytes())).is_err() {
        let message = "the query is not UTF-8; a key that is no text travels as base64 in JSON";
        return Err(Refusal::new(Code::InvalidQuery, message));
    }
    Ok(())
}

/// The bytes that percent-encoded text stands for. A `%` without two digits stands for itself.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, after @ ..] => digit(*high).zip(digit(*low)).map(|at| (at, after)),
            _ => None,
        };
        let (byte, after) = match escape {
            Some(((high, low), after)) => (high << 4 | low, after),
            None => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoded_text_is_read_as_bytes() {
        let cases: [(&str, &[u8]); 6] = [
            ("", b""),
            ("a=b+c", b"a=b+c"),
            ("%41%e2%82%AC", "A€".as_bytes()),
            ("%ff", b"\xff"),
            ("100%&%4", b"100%&%4"),
            ("%zz%+1", b"%zz%+1"),
        ];
        for (text, expected) in cases {
            assert_eq!(unescaped(text.as_bytes()), expected, "{text}");
        }
    }
}
