//! A broker in this process, on the log engine, as `hark serve` puts it together.

use std::path::Path;

use broker::{Broker, NewTopic, TopicSettings};
use bytes::Bytes;
use model::{Mode, Record, Timestamp, TopicName};
use wire::{Batch, BatchBuilder};

use super::machine::noise;
use crate::assemble::{self, NodePlan};
use crate::commands::serve::{ServeOptions, plan};
use crate::exit::{Failure, Outcome, While as _};

/// Bytes of one record's value.
pub(super) const RECORD_BYTES: usize = 1024;

/// Opens the broker in this directory.
pub(super) async fn open(data: &Path) -> Outcome<Broker> {
    assemble::broker(&node_plan(data)?).await
}

fn node_plan(data: &Path) -> Outcome<NodePlan> {
    let options = ServeOptions {
        data: Some(data.to_owned()),
        ..ServeOptions::default()
    };
    plan(options, None)
}

/// Makes a topic.
pub(super) async fn topic(broker: &Broker, name: &str, partitions: u32) -> Outcome<TopicName> {
    let name: TopicName = name.parse().while_doing("name a topic")?;
    let topic = NewTopic {
        name: name.clone(),
        partitions: Some(partitions),
        replication_factor: None,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
    };
    broker
        .create_topic(topic)
        .await
        .while_doing("make a topic")?;
    Ok(name)
}

/// A batch of so many records of 1 KB.
pub(super) fn batch(records: usize) -> Outcome<Batch> {
    let value = Bytes::from(noise(RECORD_BYTES));
    let record = Record {
        value: Some(value),
        ..Record::default()
    };
    let mut builder = BatchBuilder::new(now());
    for _ in 0..records {
        builder.push(&record).while_doing("build a batch")?;
    }
    builder
        .build()
        .ok_or_else(|| Failure::failed("a batch needs records"))
}

fn now() -> Timestamp {
    broker::seams::Clock::wall(&broker::seams::SystemClock::new())
}
