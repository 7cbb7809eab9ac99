//! From options to a plan: defaults are filled in, and what makes no sense is refused.

mod cluster;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::limits::COMMIT_RETENTION_DEFAULT;

use super::{KEY_VARIABLE, ServeOptions};
use crate::assemble::{Keys, NODE_NAME_DEFAULT, NodePlan};
use crate::exit::{Failure, Outcome};
use crate::units::Span;

/// Fills in the defaults and refuses what makes no sense.
pub(crate) fn plan(options: ServeOptions, key_text: Option<String>) -> Outcome<NodePlan> {
    let topic_defaults = topic_defaults(&options)?;
    let cluster = cluster::plan(&options)?;
    // The mark of a decimal number is no part of a name.
    let id = options.id.map(|id| match id.strip_prefix("0d") {
        Some(digits) => digits.to_owned(),
        None => id,
    });
    let name = options.node_name.or(id);
    let name = name.unwrap_or_else(|| NODE_NAME_DEFAULT.to_owned());
    check_name(&name)?;
    let keys = match (options.encryption_key_file, key_text) {
        (None, None) => Keys::None,
        (Some(file), None) => Keys::File(file),
        (None, Some(text)) => Keys::Text(text.into()),
        (Some(_), Some(_)) => {
            return Err(Failure::config(format!(
                "both encryption-key-file and {KEY_VARIABLE} are set; keep one"
            )));
        }
    };
    let partitions = options.default_partitions.unwrap_or(1);
    check_partitions(partitions)?;
    Ok(NodePlan {
        data: options.data.unwrap_or_else(|| PathBuf::from("hark-data")),
        http: options
            .http
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7070))),
        hosts: options
            .allow_host
            .into_iter()
            .chain(options.advertise)
            .collect(),
        engine: options.store.unwrap_or_default(),
        name,
        keys,
        cluster,
        broker: broker::BrokerOptions {
            auto_create_topics: !options.no_auto_create_topics,
            default_partitions: partitions,
            commit_retention: options
                .commit_retention
                .map_or(COMMIT_RETENTION_DEFAULT, |s| s.0),
            retention_interval: at_least(options.retention_interval, "retention-interval", 30_000)?,
            initial_rebalance_delay: options
                .rebalance_delay
                .map_or(Duration::from_millis(200), |span| span.0),
            topic_defaults,
        },
    })
}

fn topic_defaults(options: &ServeOptions) -> Outcome<broker::TopicSettings> {
    let defaults = broker::TopicSettings {
        retention: options.retention.map(|span| span.0),
        retention_bytes: options.retention_bytes.map(|size| size.0),
        segment_bytes: options.segment_bytes.map(|size| size.0),
        // A size past the address space is past every limit too.
        max_message_bytes: options
            .max_message_bytes
            .map(|size| usize::try_from(size.0).unwrap_or(usize::MAX)),
    };
    match defaults.check() {
        Ok(()) => Ok(defaults),
        Err(error) => Err(Failure::config(format!("defaults for topics: {error}"))),
    }
}

/// The name becomes part of a file name.
fn check_name(name: &str) -> Outcome {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    if fits && !name.starts_with('.') {
        return Ok(());
    }
    Err(Failure::config(format!(
        "node-name '{name}': 1 to 64 letters, digits, '.', '_' or '-', not beginning with '.'"
    )))
}

fn check_partitions(partitions: u32) -> Outcome {
    let most = model::limits::PARTITIONS_PER_TOPIC_MAX;
    if (1..=most).contains(&partitions) {
        return Ok(());
    }
    Err(Failure::config(format!(
        "default-partitions {partitions}: a topic has 1 to {most}"
    )))
}

/// A period of less than 100 ms would keep the node busy with nothing else.
fn at_least(span: Option<Span>, key: &str, default_ms: u64) -> Outcome<Duration> {
    let period = span.map_or_else(|| Duration::from_millis(default_ms), |span| span.0);
    if period.as_millis() >= 100 {
        return Ok(period);
    }
    Err(Failure::config(format!(
        "{key} {}: must be 100ms or more",
        Span(period)
    )))
}
