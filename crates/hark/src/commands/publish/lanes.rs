//! Lines on their way: gathered into batches, one lane for each partition.
//!
//! A lane has one batch under way at a time, so that its records keep their order whatever must be
//! sent again; what comes meanwhile gathers in the next one. So batches grow with the time that an
//! answer takes, and a line that comes alone goes alone.
//!
//! Nothing here knows of sockets or clocks.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use model::{PartitionIndex, ProducerEpoch, ProducerId, Record, Sequence};
use thiserror::Error;
use wire::batch::Producer;
use wire::{BatchBuilder, BatchError};

use super::ranges::Ranges;

/// A batch of this size takes no more records, unless its first is larger.
const BATCH_BYTES: usize = 256 * 1024;

/// Who publishes, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    /// Of the topic; at least 1.
    pub partitions: u32,
    /// The largest batch that the topic takes.
    pub max_bytes: usize,
}

/// Why a line cannot be published.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum Unfit {
    #[error("{bytes} bytes are more than the {max} that the topic takes [message_too_large]")]
    TooLarge { bytes: usize, max: usize },
    #[error("{0} [invalid_batch]")]
    Invalid(#[from] BatchError),
}

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    terms: Terms,
    /// Where everything goes, whatever its key.
    fixed: Option<PartitionIndex>,
    /// Where records without a key go for now.
    sticky: u32,
    lanes: BTreeMap<PartitionIndex, Lane>,
    /// The lane that had its turn last.
    last: PartitionIndex,
    /// Size of everything that is not acknowledged.
    bytes: usize,
}

#[derive(Debug)]
struct Lane {
    /// Of the next record that comes.
    next: Sequence,
    open: Option<Open>,
    /// Full batches, in order.
    full: VecDeque<Load>,
    under_way: bool,
}

/// A batch that still takes records.
#[derive(Debug)]
struct Open {
    builder: BatchBuilder,
    lines: Ranges,
}

/// A batch to be sent, as often as it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Load {
    pub partition: PartitionIndex,
    pub bytes: Bytes,
    /// The lines of the input that are in it.
    pub lines: Ranges,
}

impl Lanes {
    pub(super) fn new(terms: Terms, fixed: Option<PartitionIndex>) -> Self {
        let partitions = u64::from(terms.partitions.max(1));
        // Publishers that each send a little still spread over the partitions.
        let sticky = u32::try_from(terms.producer.0 % partitions).unwrap_or(0);
        Self {
            terms,
            fixed,
            sticky,
            lanes: BTreeMap::new(),
            last: PartitionIndex(0),
            bytes: 0,
        }
    }

    /// Takes the next line. One that is refused is in no batch.
    pub(super) fn push(&mut self, line: u64, record: &Record) -> Result<(), Unfit> {
        let partition = self.partition_of(record);
        let lane = self.lanes.entry(partition).or_insert_with(Lane::new);
        let room = BATCH_BYTES.min(self.terms.max_bytes);
        if lane.is_full_for(size_at_most(record), room) {
            lane.close(partition);
            if record.key.is_none() {
                self.sticky = (self.sticky + 1) % self.terms.partitions.max(1);
                return self.push(line, record);
            }
        }
        self.bytes += lane.push(line, record, &self.terms)?;
        Ok(())
    }

    /// The next batch to send, with every lane getting its turn: full ones, and if `all`, also those
    /// that could still grow. Its lane waits until [`Self::done`].
    pub(super) fn next(&mut self, all: bool) -> Option<Load> {
        let is_ready = |lane: &Lane| !lane.under_way && lane.has_load(all);
        let after = self
            .lanes
            .range((Bound::Excluded(self.last), Bound::Unbounded));
        let from_start = self.lanes.range(..=self.last);
        let mut in_turn = after.chain(from_start);
        let (&partition, _) = in_turn.find(|(_, lane)| is_ready(lane))?;
        self.last = partition;
        let lane = self.lanes.get_mut(&partition)?;
        if lane.full.is_empty() {
            lane.close(partition);
        }
        lane.under_way = true;
        lane.full.pop_front()
    }

    /// This batch is acknowledged: its lane may send the next.
    pub(super) fn done(&mut self, load: &Load) {
        self.bytes = self.bytes.saturating_sub(load.bytes.len());
        if let Some(lane) = self.lanes.get_mut(&load.partition) {
            debug_assert!(lane.under_way, "an answer to what was not sent");
            lane.under_way = false;
        }
    }

    /// Size of everything that is not acknowledged.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn partition_of(&self, record: &Record) -> PartitionIndex {
        match (self.fixed, &record.key) {
            (Some(fixed), _) => fixed,
            (None, Some(key)) => wire::partition_for_key(key, self.terms.partitions),
            (None, None) => PartitionIndex(self.sticky),
        }
    }
}

impl Lane {
    const fn new() -> Self {
        Self {
            next: Sequence::ZERO,
            open: None,
            full: VecDeque::new(),
            under_way: false,
        }
    }

    fn is_full_for(&self, more: usize, room: usize) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.builder.size() + more > room)
    }

    fn has_load(&self, all: bool) -> bool {
        !self.full.is_empty() || (all && self.open.is_some())
    }

    /// Adds a record to the open batch, which has room for it or is new; by how much that grew.
    fn push(&mut self, line: u64, record: &Record, terms: &Terms) -> Result<usize, Unfit> {
        let open = self.open.get_or_insert_with(|| Open {
            builder: new_builder(terms, self.next, record),
            lines: Ranges::default(),
        });
        let before = open.size();
        let fits = open.push(record, terms.max_bytes);
        if let Err(unfit) = fits {
            // What was refused is not in a batch with others, unless it left that as it was.
            self.open.take_if(|_| before == 0);
            return Err(unfit);
        }
        open.lines.insert(line);
        self.next = self.next.wrapping_add(1);
        Ok(open.size() - before)
    }

    /// Lets the open batch take no more.
    fn close(&mut self, partition: PartitionIndex) {
        let Some(Open { builder, lines }) = self.open.take() else {
            return;
        };
        let batch = builder.build();
        debug_assert!(batch.is_some(), "an open batch has a record");
        let load = batch.map(|batch| Load {
            partition,
            bytes: batch.bytes().clone(),
            lines,
        });
        self.full.extend(load);
    }
}

impl Open {
    /// 0 while there is nothing to send.
    fn size(&self) -> usize {
        if self.builder.is_empty() {
            0
        } else {
            self.builder.size()
        }
    }

    fn push(&mut self, record: &Record, max: usize) -> Result<(), Unfit> {
        self.builder.push(record)?;
        let bytes = self.builder.size();
        if bytes > max {
            return Err(Unfit::TooLarge { bytes, max });
        }
        Ok(())
    }
}

fn new_builder(terms: &Terms, base_sequence: Sequence, first: &Record) -> BatchBuilder {
    let builder = BatchBuilder::new(first.timestamp.unwrap_or_default());
    builder.producer(Producer {
        id: terms.producer,
        epoch: terms.epoch,
        base_sequence,
    })
}

/// No record takes more bytes in a batch: each length is at most five bytes long, each delta ten.
fn size_at_most(record: &Record) -> usize {
    record.size() + record.headers.len() * 10 + 40
}

#[cfg(test)]
mod tests;
