//! What one partition remembers of idempotent producers, so that a retry is recognised and a gap
//! or a replaced producer is refused. Pure: offsets and headers in, verdicts out.
//!
//! Rules (those of Kafka's brokers, which every client expects):
//! - A producer that is not known may begin with any sequence number: it may have been forgotten.
//! - A batch equal in epoch, sequence and length to one of the last five and more
//!   ([`PRODUCER_BATCHES_REMEMBERED`]) is a retry: it has the original's offset.
//! - Otherwise a batch must begin where the producer's last one ended; numbers wrap past 2³¹ − 1.
//! - A newer epoch begins at 0 and fences every older one.
//!
//! Batches that are not yet durable are remembered like others, and taken back when they fail.
//! Five *durable* ones are kept beside them, so that a failure forgets nothing that is on disk.

mod codec;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use model::limits::{PRODUCER_BATCHES_REMEMBERED, PRODUCERS_PER_PARTITION_MAX};
use model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use wire::BatchHeader;
use wire::batch::Producer;

/// The producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProducerTable {
    producers: BTreeMap<ProducerId, Entry>,
    /// Who was heard at which turn, the longest silent first.
    silent: BTreeMap<u64, ProducerId>,
    /// Grows with every batch taken.
    turn: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    epoch: ProducerEpoch,
    /// Where the next batch must begin.
    next: Sequence,
    /// In order; see the module's words on how many.
    batches: VecDeque<Remembered>,
    /// The turn at which it was last heard.
    heard: u64,
}

/// A batch that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) base_sequence: Sequence,
    pub(crate) record_count: u32,
    pub(crate) base_offset: Offset,
    pub(crate) timestamp: Timestamp,
}

/// What is to be done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Append it, and tell [`ProducerTable::record`].
    Append,
    /// It was taken before, there.
    Duplicate(Remembered),
    /// A newer epoch is known.
    Fenced,
    /// It leaves a gap or goes back further than is remembered.
    OutOfOrder { expected: Sequence, given: Sequence },
}

impl ProducerTable {
    /// Judges a batch of `record_count` records; changes nothing.
    pub(crate) fn check(&self, producer: Producer, record_count: u32) -> Verdict {
        let given = producer.base_sequence;
        let Some(entry) = self.producers.get(&producer.id) else {
            return Verdict::Append;
        };
        if producer.epoch < entry.epoch {
            return Verdict::Fenced;
        }
        if producer.epoch > entry.epoch {
            return in_order(Sequence::ZERO, given);
        }
        match entry.find(given, record_count) {
            Some(original) => Verdict::Duplicate(original),
            None => in_order(entry.next, given),
        }
    }

    /// Remembers a batch that was given its place. `durable_end` is the partition's: what lies
    /// below it can no longer fail.
    pub(crate) fn record(&mut self, header: &BatchHeader, durable_end: Offset) {
        let Some(producer) = header.producer else {
            return;
        };
        self.make_room_for(producer.id);
        self.turn += 1;
        let turn = self.turn;
        let entry = self.producers.entry(producer.id).or_insert_with(|| Entry {
            epoch: producer.epoch,
            next: producer.base_sequence,
            batches: VecDeque::new(),
            heard: turn,
        });
        self.silent.remove(&entry.heard);
        entry.heard = turn;
        self.silent.insert(turn, producer.id);
        entry.record(producer, header, durable_end);
    }

    /// Takes back every batch at or above `end`: they never became durable.
    pub(crate) fn roll_back(&mut self, end: Offset) {
        for entry in self.producers.values_mut() {
            while let Some(last) = entry.batches.pop_back_if(|last| last.base_offset >= end) {
                entry.next = last.base_sequence;
            }
        }
    }

    /// How many are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.producers.len()
    }

    fn make_room_for(&mut self, newcomer: ProducerId) {
        if self.producers.len() < PRODUCERS_PER_PARTITION_MAX
            || self.producers.contains_key(&newcomer)
        {
            return;
        }
        if let Some((_, forgotten)) = self.silent.pop_first() {
            self.producers.remove(&forgotten);
        }
    }
}

impl Entry {
    fn find(&self, base_sequence: Sequence, record_count: u32) -> Option<Remembered> {
        let same = |batch: &&Remembered| {
            batch.base_sequence == base_sequence && batch.record_count == record_count
        };
        self.batches.iter().rev().find(same).copied()
    }

    fn record(&mut self, producer: Producer, header: &BatchHeader, durable_end: Offset) {
        if producer.epoch != self.epoch {
            self.epoch = producer.epoch;
            self.batches.clear();
        }
        self.next = producer.base_sequence.wrapping_add(header.record_count);
        self.batches.push_back(Remembered {
            base_sequence: producer.base_sequence,
            record_count: header.record_count,
            base_offset: header.base_offset,
            timestamp: header.max_timestamp,
        });
        self.forget_old(durable_end);
    }

    /// The front goes once enough later ones are durable.
    fn forget_old(&mut self, durable_end: Offset) {
        let enough = |batches: &VecDeque<Remembered>| {
            let sixth = batches.get(PRODUCER_BATCHES_REMEMBERED);
            sixth.is_some_and(|batch| batch.base_offset < durable_end)
        };
        while enough(&self.batches) {
            self.batches.pop_front();
        }
    }
}

fn in_order(expected: Sequence, given: Sequence) -> Verdict {
    if expected == given {
        Verdict::Append
    } else {
        Verdict::OutOfOrder { expected, given }
    }
}
