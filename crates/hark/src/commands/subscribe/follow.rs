//! Following alone, by server-sent events.

use std::time::Duration;

use bytes::Bytes;
use door_http::dto::{GapAnswer, RecordAnswer};
use reqwest::Response;

use super::{End, Reading, SubscribeArgs, end_of_reading};
use crate::client::sse::{Event, Parser};
use crate::client::{CallError, Request};
use crate::exit::{Failure, Outcome};

/// A node sends a sign of life every 15 seconds; after this much silence the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(35);

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
    reading.reached().await;
    let mut pieces = 0_u64;
    while !reading.shower.is_done() {
        let chunk = match next_chunk(&mut response).await {
            Ok(chunk) => chunk,
            Err(error) => {
                reading.context.client.give_up(&response);
                return Ok(Err(error));
            }
        };
        if parser.push(&chunk).is_err() {
            return Err(Failure::failed("the server sent an event without end"));
        }
        let ended = show_all(reading, &mut parser)?;
        if !parser.last_id().is_empty() {
            *position = Position::After(parser.last_id().to_owned());
        }
        reading.context.out.flush()?;
        if let Some(error) = ended {
            reading.context.client.give_up(&response);
            return Ok(Err(error));
        }
        pieces += 1;
        // The first piece tells only where the stream begins, and that is told also by a node which
        // then cannot read.
        if pieces > 1 {
            reading.retry.succeeded();
        }
    }
    Ok(Ok(()))
}

async fn next_chunk(response: &mut Response) -> Result<Bytes, CallError> {
    match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
        Ok(Ok(Some(chunk))) => Ok(chunk),
        Ok(Ok(None)) => Err(CallError::Lost("the server closed it".to_owned())),
        Ok(Err(error)) => Err(CallError::lost(&error)),
        Err(_) => Err(CallError::Lost("no sign of life".to_owned())),
    }
}

/// Shows the events that are there; gives what ended the stream, as when the topic was deleted.
fn show_all(reading: &mut Reading, parser: &mut Parser) -> Outcome<Option<CallError>> {
    while !reading.shower.is_done()
        && let Some(event) = parser.next_event()
    {
        if event.kind == "error" {
            return decode(&event.data).map(|error| Some(CallError::ended(error)));
        }
        show(reading, &event)?;
    }
    Ok(None)
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
        // A later version may tell more.
        _ => Ok(()),
    }
}

fn decode<'a, T: serde::Deserialize<'a>>(data: &'a str) -> Outcome<T> {
    serde_json::from_str(data).map_err(|error| {
        Failure::failed(format!(
            "the server sent an event that makes no sense: {error}"
        ))
    })
}
