//! `hark status`: how the node is.

use std::time::Duration;

use door_http::dto::StatusAnswer;

use super::Context;
use crate::client::Request;
use crate::exit::Outcome;
use crate::output::Table;
use crate::time::{rfc3339, rough};
use crate::units::Size;

/// Asks and shows.
pub(crate) async fn run(mut context: Context) -> Outcome {
    let status: StatusAnswer = context.client.call(&Request::get(&["status"])).await?;
    context.out.show(&status, || table(&status))?;
    context.out.flush()
}

fn table(status: &StatusAnswer) -> Table {
    let counters = &status.counters;
    let uptime = rough(Duration::from_millis(status.uptime_ms));
    let health = match &status.reason {
        Some(reason) => format!("{}: {reason}", status.health),
        None => status.health.to_string(),
    };
    let rows: [(&str, String); 14] = [
        ("version", status.version.clone()),
        ("health", health),
        ("store", format!("{}, {}", status.store, status.storage_id)),
        (
            "running",
            format!("{uptime}, since {}", rfc3339(status.started)),
        ),
        ("topics", status.topics.to_string()),
        ("partitions", status.partitions.to_string()),
        ("groups", status.groups.to_string()),
        ("connections", status.connections.to_string()),
        (
            "published",
            traffic(counters.records_published, counters.bytes_published),
        ),
        (
            "delivered",
            traffic(counters.records_delivered, counters.bytes_delivered),
        ),
        ("failed", counters.publishes_failed.to_string()),
        ("commits", counters.commits.to_string()),
        ("waiting polls", counters.polls_waiting.to_string()),
        ("in flight", Size(counters.bytes_in_flight).to_string()),
    ];
    let mut table = Table::new(&["NODE", &status.node]);
    rows.into_iter()
        .for_each(|(name, value)| table.row([name, &value]));
    table
}

fn traffic(records: u64, bytes: u64) -> String {
    format!("{records} records, {}", Size(bytes))
}
