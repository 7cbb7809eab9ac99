//! Requests, checked: paths, query parameters, JSON bodies.

mod body;
mod depth;
mod from;
mod query;
mod room;

pub(crate) use body::{BodyReader, Json, json_refusal, media_type, refuse_encoded, too_large};
pub(crate) use from::parse_from;
pub(crate) use query::{Param, Query, Topic, check_path, check_query, topic_name};
pub(crate) use room::{Budget, Room};
