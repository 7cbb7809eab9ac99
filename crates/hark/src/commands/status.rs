//! `hark status`: how the node is, and the cluster as it sees it.

use std::time::Duration;

use door_http::dto::{CountersAnswer, StatusAnswer};

use super::Context;
use super::node::{cluster_rows, nodes_table};
use crate::client::Request;
use crate::exit::Outcome;
use crate::output::{Format, Table};
use crate::text::counted;
use crate::time::{rfc3339, rough};
use crate::units::Size;

/// Asks and shows.
pub(crate) async fn run(mut context: Context) -> Outcome {
    let status: StatusAnswer = context.client.call(&Request::get(&["status"])).await?;
    if context.out.format == Format::Json {
        context.out.json(&status)?;
    } else {
        context.out.line(&table(&status).text())?;
        context.out.line("")?;
        context.out.line(&nodes_table(&status.cluster).text())?;
    }
    context.out.flush()
}

fn table(status: &StatusAnswer) -> Table {
    let counters = &status.counters;
    let uptime = rough(Duration::from_millis(status.uptime_ms));
    let health = match (&status.reason, &status.waits_for) {
        (Some(reason), _) => format!("{}: {reason}", status.health),
        (None, Some(what)) => format!("{}, read only: waiting for {what}", status.health),
        (None, None) => status.health.to_string(),
    };
    let rows: [(&str, String); 15] = [
        ("version", status.version.clone()),
        ("health", health),
        ("store", format!("{}, {}", status.store, status.storage_id)),
        (
            "running",
            format!("{uptime}, since {}", rfc3339(status.started)),
        ),
        ("topics", status.topics.to_string()),
        (
            "partitions",
            format!("{}, {} led here", status.partitions, status.partitions_led),
        ),
        ("groups", format!("{} coordinated here", status.groups)),
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
        ("calls", calls(counters)),
        ("waiting polls", counters.polls_waiting.to_string()),
        ("in flight", Size(counters.bytes_in_flight).to_string()),
    ];
    let mut table = Table::new(&["NODE", &status.node]);
    cluster_rows(&status.cluster)
        .into_iter()
        .chain(rows)
        .for_each(|(name, value)| table.row([name, &value]));
    table
}

fn calls(counters: &CountersAnswer) -> String {
    format!(
        "{} to other nodes ({} failed), {} from them",
        counters.calls_sent, counters.calls_failed, counters.calls_answered
    )
}

fn traffic(records: u64, bytes: u64) -> String {
    format!("{}, {}", counted(records, "record"), Size(bytes))
}
