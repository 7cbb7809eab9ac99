//! Turns records into batches, one run for each partition.

use std::collections::BTreeMap;

use model::limits::BATCH_RECORDS_MAX;
use model::{PartitionIndex, Record, Timestamp};
use wire::{Batch, BatchBuilder, BatchError};

use crate::api::Publish;
use crate::error::PublishError;
use crate::topic::Topic;

/// A publish, cut into batches: nothing is written before all of it has passed.
#[derive(Debug)]
pub(crate) struct Cut {
    /// By partition; within one in the order of the records.
    pub(crate) batches: Vec<(PartitionIndex, Batch)>,
    /// For each record: in which batch it is, and as which of its records.
    pub(crate) places: Vec<(u32, u32)>,
}

/// Chooses a partition for each record and builds the batches. `now` is the time of records that
/// carry none.
pub(crate) fn cut(topic: &Topic, publish: &Publish, now: Timestamp) -> Result<Cut, PublishError> {
    let max = topic.max_message_bytes();
    let mut open: BTreeMap<PartitionIndex, Open> = BTreeMap::new();
    let mut cut = Cut {
        batches: Vec::new(),
        places: Vec::with_capacity(publish.records.len()),
    };
    let mut numbers = 0..u32::MAX;
    let mut built: Vec<(PartitionIndex, u32, Batch)> = Vec::new();
    for record in &publish.records {
        let partition = choose(topic, publish.partition, record)?;
        let size = size_at_most(record);
        if let Some(full) = open.remove_if_full(partition, size, max) {
            built.extend(full.build(partition));
        }
        let current = open.entry(partition).or_insert_with(|| Open {
            number: numbers.next().unwrap_or_default(),
            builder: BatchBuilder::with_capacity(now, size),
        });
        current
            .builder
            .push(record)
            .map_err(|error| unfit(error, max))?;
        if current.builder.size() > max {
            let size = current.builder.size();
            return Err(PublishError::TooLarge { size, max });
        }
        let index = current.builder.record_count() - 1;
        cut.places.push((current.number, index));
    }
    let rest = open.into_iter();
    built.extend(rest.filter_map(|(partition, open)| open.build(partition)));
    built.sort_by_key(|(_, number, _)| *number);
    cut.batches = built
        .into_iter()
        .map(|(partition, _, batch)| (partition, batch))
        .collect();
    Ok(cut)
}

/// A batch that still takes records.
struct Open {
    /// Which batch of the publish it will be.
    number: u32,
    builder: BatchBuilder,
}

impl Open {
    fn build(self, partition: PartitionIndex) -> Option<(PartitionIndex, u32, Batch)> {
        let batch = self.builder.build()?;
        Some((partition, self.number, batch))
    }
}

trait RemoveIfFull {
    fn remove_if_full(
        &mut self,
        partition: PartitionIndex,
        size: usize,
        max: usize,
    ) -> Option<Open>;
}

impl RemoveIfFull for BTreeMap<PartitionIndex, Open> {
    /// The open batch of the partition, if `size` more bytes might be too many for it.
    fn remove_if_full(
        &mut self,
        partition: PartitionIndex,
        size: usize,
        max: usize,
    ) -> Option<Open> {
        let open = self.get(&partition)?;
        let is_full = open.builder.record_count() as usize >= BATCH_RECORDS_MAX;
        if is_full || open.builder.size() + size > max {
            self.remove(&partition)
        } else {
            None
        }
    }
}

/// The partition asked for; else that of the key; else the one that keyless records stick to.
fn choose(
    topic: &Topic,
    explicit: Option<PartitionIndex>,
    record: &Record,
) -> Result<PartitionIndex, PublishError> {
    let index = match (explicit, &record.key) {
        (Some(index), _) => index,
        (None, Some(key)) => wire::partition_for_key(key, topic.partition_count()),
        (None, None) => topic.sticky_partition(record.size()),
    };
    match topic.seat(index) {
        Some(_) => Ok(index),
        None => Err(PublishError::Partition {
            topic: topic.name.to_string(),
            partition: index,
        }),
    }
}

/// A record that no batch of any topic can hold is too large, like one that this topic does not take.
fn unfit(error: BatchError, max: usize) -> PublishError {
    match error {
        BatchError::TooLarge { bytes } => PublishError::TooLarge { size: bytes, max },
        other => PublishError::Invalid(other),
    }
}

/// No record takes more bytes in a batch: each length is at most five bytes long, each delta ten.
fn size_at_most(record: &Record) -> usize {
    let headers = record.headers.len() * 10;
    record.size() + headers + 40
}
