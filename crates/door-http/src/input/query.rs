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
