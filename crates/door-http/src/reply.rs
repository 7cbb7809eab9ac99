//! Answers as JSON.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use crate::error::{Code, Refusal};

/// What a handler gives back.
pub(crate) type Reply = Result<Response, Refusal>;

/// An answer of 200 with this body.
pub(crate) fn ok(body: &impl Serialize) -> Reply {
    Ok(json(StatusCode::OK, body))
}

/// An answer with this status and body.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => plain(status, "application/json", bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            let refusal = Refusal::new(Code::Internal, "the answer cannot be written as JSON");
            let body = format!(
                "{{\"error\":{{\"code\":\"{}\",\"message\":\"{}\"}}}}",
                refusal.body().code,
                refusal.body().message
            );
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "application/json",
                body.into_bytes(),
            )
        }
    }
}

/// An answer of this type.
pub(crate) fn plain(
    status: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Body>,
) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Whatever is asked here may be another thing the next time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
