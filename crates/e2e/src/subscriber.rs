//! Subscribers written against the HTTP door alone, as a user with an HTTP library would.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde_json::Value;

/// How long a subscriber waits before it tries a node again that did not answer.
const RETRY: Duration = Duration::from_millis(50);

/// What one position of a topic held: `(key, message)` by `(partition, offset)`.
pub(crate) type Positions = BTreeMap<(u64, u64), (String, String)>;

/// What a subscriber, or all members of a group together, have seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    positions: Arc<Mutex<Positions>>,
}

impl Seen {
    /// How many positions were seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether nothing was seen yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that was seen.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes one record. A position may come again, but never with another content.
    fn note(&self, record: &Value) -> Result<()> {
        let number = |name: &str| record[name].as_u64().with_context(|| format!("no {name}"));
        let text = |name: &str| record[name].as_str().map(str::to_owned).unwrap_or_default();
        let position = (number("partition")?, number("offset")?);
        let content = (text("key"), text("message"));
        let mut positions = self
            .positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let first = positions.entry(position).or_insert_with(|| content.clone());
        ensure!(
            *first == content,
            "position {position:?} changed from {first:?} to {content:?}"
        );
        Ok(())
    }
}

/// Follows a topic as `consumer` of `group` by long polls until cancelled. Each cursor is given
/// back only after its records were noted, so the group's progress never runs ahead.
pub async fn by_group(
    url: String,
    topic: &str,
    group: &str,
    consumer: &str,
    seen: Seen,
) -> Result<()> {
    let client = Client::new();
    let mut done: Option<String> = None;
    loop {
        let mut request = client.get(format!("{url}/poll")).query(&[
            ("topic", topic),
            ("group", group),
            ("consumer", consumer),
            ("from", "earliest"),
            ("timeout_ms", "1000"),
        ]);
        if let Some(cursor) = &done {
            request = request.query(&[("cursor", cursor)]);
        }
        let Ok(answer) = request.send().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let status = answer.status();
        let Ok(answer) = answer.json::<Value>().await else {
            continue;
        };
        ensure!(
            !status.is_client_error() || status == StatusCode::CONFLICT,
            "refused: {answer}"
        );
        if !status.is_success() {
            // The partitions went to another member meanwhile: what was not committed is theirs.
            // Or the node is on its way down, and who polls again gets the same records again.
            done = None;
            tokio::time::sleep(RETRY).await;
            continue;
        }
        for record in answer
            .get("records")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            seen.note(record)?;
        }
        done = answer
            .get("cursor")
            .and_then(Value::as_str)
            .map(str::to_owned);
    }
}

/// Follows a topic from its beginning by server-sent events until cancelled; after a cut it goes
/// on behind the last event it saw.
pub async fn by_sse(url: String, topic: &str, seen: Seen) -> Result<()> {
    let client = Client::new();
    let mut last_id: Option<String> = None;
    loop {
        let mut request = client
            .get(format!("{url}/topics/{topic}/stream"))
            .query(&[("from", "earliest")]);
        if let Some(id) = &last_id {
            request = request.header("last-event-id", id);
        }
        if let Ok(answer) = request.send().await {
            read_events(answer, &mut last_id, &seen).await?;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Notes every event of one connection until it breaks.
async fn read_events(
    mut answer: reqwest::Response,
    last_id: &mut Option<String>,
    seen: &Seen,
) -> Result<()> {
    let mut rest = Vec::new();
    let mut id = None;
    while let Ok(Some(piece)) = answer.chunk().await {
        rest.extend_from_slice(&piece);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8(line).context("events are UTF-8")?;
            let line = line.trim_end();
            if let Some(value) = line.strip_prefix("id:") {
                id = Some(value.trim_start().to_owned());
            } else if let Some(data) = line.strip_prefix("data:") {
                let record: Value = serde_json::from_str(data.trim_start())?;
                if record.get("offset").is_some() {
                    seen.note(&record)?;
                }
            } else if line.is_empty() && id.is_some() {
                *last_id = id.take();
            }
        }
    }
    Ok(())
}
