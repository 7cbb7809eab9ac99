//! Following alone, by server-sent events.

use std::time::Duration;

use door_http::dto::{ErrorBody, GapAnswer, RecordAnswer};
use reqwest::Response;

use super::{End, Reading, SubscribeArgs, end_of_reading};
use crate::client::sse::{Event, Parser};
use crate::client::{CallError, Request};
use crate::exit::{Exit, Failure, Outcome};

/// A node sends a sign of life every 15 seconds; after this much silence the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Where to go on.
#[derive(Debug, Clone)]
enum Position {
    /// Nothing was read yet.
    From(String),
    /// The id that the stream gave last. A stream begins with one, so "latest" stays where it was
    /// although nothing was read yet.
    After(String),
}

/// Shows messages until the end.
pub(super) async fn run(mut reading: Reading, args: &SubscribeArgs) -> Outcome {
    let from = args.from.clone().unwrap_or_else(|| "latest".to_owned());
    let mut position = Position::From(from);
    let end = tokio::select! {
        failure = follow(&mut reading, &mut position) => failure?,
        end = end_of_reading(args.timeout) => end,
    };
    reading.finish(end)
}

/// Reads until the count is reached, over as many connections as it takes.
async fn follow(reading: &mut Reading, position: &mut Position) -> Outcome<End> {
    while !reading.shower.is_done() {
        if let Err(error) = read_once(reading, position).await? {
            reading.retry.pause(error).await?;
        }
    }
    Ok(End::Count)
}

/// One connection, until it breaks or the count is reached.
async fn read_once(
    reading: &mut Reading,
    position: &mut Position,
) -> Outcome<Result<(), CallError>> {
    let request = Request::get(&["topics", reading.topic.as_str(), "stream"]).streams();
    let request = match position {
        Position::From(from) => request.query("from", from),
        Position::After(id) => request.header("last-event-id", id.as_str()),
    };
    match reading.context.client.open(&request).await {
        Ok(response) => read_events(reading, position, response).await,
        Err(error) => Ok(Err(error)),
    }
}

async fn read_events(
    reading: &mut Reading,
    position: &mut Position,
    mut response: Response,
) -> Outcome<Result<(), CallError>> {
    let mut parser = Parser::default();
    reading.retry.succeeded();
    while !reading.shower.is_done() {
        let chunk = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Ok(Err(CallError::Lost("the server closed it".to_owned()))),
            Ok(Err(error)) => return Ok(Err(CallError::lost(&error))),
            Err(_) => return Ok(Err(CallError::Lost("no sign of life".to_owned()))),
        };
        if parser.push(&chunk).is_err() {
            return Err(Failure::failed("the server sent an event without end"));
        }
        while !reading.shower.is_done()
            && let Some(event) = parser.next_event()
        {
            show(reading, &event)?;
        }
        if !parser.last_id().is_empty() {
            *position = Position::After(parser.last_id().to_owned());
        }
        reading.context.out.flush()?;
    }
    Ok(Ok(()))
}

fn show(reading: &mut Reading, event: &Event) -> Outcome {
    match event.kind.as_str() {
        "" | "message" | "record" => {
            let record: RecordAnswer<'_> = decode(&event.data)?;
            reading.shower.record(&mut reading.context.out, &record)
        }
        "gap" => {
            reading.shower.gap(&decode::<GapAnswer>(&event.data)?);
            Ok(())
        }
        "error" => Err(ended(&decode(&event.data)?)),
        // A later version may tell more.
        _ => Ok(()),
    }
}

/// Reading cannot go on, as when the topic was deleted.
fn ended(error: &ErrorBody) -> Failure {
    let exit = if error.code.starts_with("unknown_") {
        Exit::NotFound
    } else {
        Exit::Failed
    };
    Failure::new(exit, format!("{} [{}]", error.message, error.code))
}

fn decode<'a, T: serde::Deserialize<'a>>(data: &'a str) -> Outcome<T> {
    serde_json::from_str(data).map_err(|error| {
        Failure::failed(format!(
            "the server sent an event that makes no sense: {error}"
        ))
    })
}
