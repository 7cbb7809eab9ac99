//! Takes records from one partition, as far as its share of an answer goes.

use bytes::Bytes;
use model::{Header, Offset, PartitionIndex, Record};
use seglog::ReadError;
use wire::Batch;

use super::{Found, Share, Source, Stop};
use crate::api::{Delivered, FetchedPartition, Gap, GapReason};
use crate::error::FetchError;
use crate::fresh::Decoded;
use crate::partition::Partition;
use crate::topic::Topic;

/// The least that is read from the store at once.
const READ_BYTES_MIN: usize = 64 * 1024;
/// What a record is guessed to take, to choose how much to read for a few.
const RECORD_BYTES_GUESS: usize = 1024;
/// So much more than its records a read may keep in memory until they are sent.
const HELD_BYTES_FREE: usize = 4 * 1024;

/// How batches lie in memory.
#[derive(Clone, Copy)]
enum Memory {
    /// Each for itself.
    Apart,
    /// In one buffer, as they were read.
    Together,
}

/// Takes records from one partition.
pub(super) struct Taking<'a> {
    pub(super) partition: PartitionIndex,
    pub(super) next: Offset,
    /// The durable end when this began: what comes later is not looked at.
    pub(super) end: Offset,
    pub(super) share: Share,
    pub(super) found: &'a mut Found,
}

impl Taking<'_> {
    pub(super) fn run(
        &mut self,
        partition: &Partition,
        source: Source<'_>,
        topic: &Topic,
    ) -> Result<(), Stop> {
        self.skip_deleted(partition.start());
        while self.next < self.end && self.has_share() {
            let kept = partition.fresh.from(self.next);
            if !kept.is_empty() {
                self.take_all(kept.iter().map(|kept| &**kept), Memory::Apart);
                continue;
            }
            let Source::Store(store) = source else {
                return Err(Stop::NotInMemory);
            };
            match store.read(partition.id, self.next, self.bytes_to_read()) {
                Ok(batches) if batches.is_empty() => break,
                Ok(batches) => {
                    let batches: Vec<_> = batches.into_iter().map(Decoded::once).collect();
                    self.take_all(batches.iter(), Memory::Together);
                }
                Err(error) => self.pass_over(error, partition, topic)?,
            }
        }
        Ok(())
    }

    /// Takes what the leader has sent of a partition.
    pub(super) fn take_part(&mut self, part: &FetchedPartition, topic: &Topic) -> Result<(), Stop> {
        self.skip_deleted(part.start);
        match &part.batches {
            Ok(batches) => {
                let ahead = |batch: &&Batch| batch.header().last_offset >= self.next;
                let batches = batches.iter().filter(ahead).cloned().map(Decoded::once);
                let batches: Vec<_> = batches.collect();
                self.take_all(batches.iter(), Memory::Together);
                Ok(())
            }
            Err(FetchError::Damaged { at, resume_at, .. }) => {
                self.pass_damage(*at, *resume_at, topic);
                Ok(())
            }
            Err(error) => Err(Stop::Failed(error.clone())),
        }
    }

    fn has_share(&self) -> bool {
        self.share.records > 0 && self.share.bytes > 0
    }

    fn bytes_to_read(&self) -> usize {
        let guess = self.share.records.saturating_mul(RECORD_BYTES_GUESS);
        self.share.bytes.min(guess).max(READ_BYTES_MIN)
    }

    /// Records share the memory of what they were read from. When few are taken of much, they are
    /// copied out of it: an answer of a few records from each of thousands of partitions must not
    /// keep a batch of each.
    fn take_all<'b>(&mut self, batches: impl Iterator<Item = &'b Decoded>, memory: Memory) {
        let (first, bytes) = (self.found.records.len(), self.found.bytes);
        let mut held = 0;
        for decoded in batches {
            let header = decoded.batch().header();
            if self.has_share() && header.base_offset < self.end {
                held += self.take_or_pass(decoded);
            } else if matches!(memory, Memory::Apart) {
                break;
            }
            held += header.size;
        }
        let taken = self.found.bytes - bytes;
        if held > 2 * taken + HELD_BYTES_FREE {
            let records = self.found.records.iter_mut().skip(first);
            records.for_each(|found| found.record = detached(&found.record));
        }
    }

    /// Takes what the share allows of a batch. Gives the bytes that its records keep in memory beside
    /// it.
    fn take_or_pass(&mut self, decoded: &Decoded) -> usize {
        self.take(decoded).unwrap_or_else(|why| {
            let after = decoded.batch().header().last_offset.saturating_add(1);
            tracing::warn!(
                partition = %self.partition, from = %self.next, to = %after, why,
                "records that cannot be decoded are passed over"
            );
            self.gap(after, GapReason::Damaged);
            0
        })
    }

    /// Takes the records of a batch, as many as the share allows, from the position on. Gives the
    /// bytes that they keep in memory beside it.
    fn take(&mut self, decoded: &Decoded) -> Result<usize, String> {
        let records = decoded.records()?;
        let beside = decoded.bytes_beside(&records);
        for item in records {
            let (offset, record) = item.map_err(|error| error.to_string())?;
            if offset < self.next {
                continue;
            }
            if !self.has_share() {
                return Ok(beside);
            }
            let size = record.size();
            self.share.records -= 1;
            self.share.bytes = self.share.bytes.saturating_sub(size);
            self.found.bytes += size;
            self.found.records.push(Delivered {
                partition: self.partition,
                offset,
                record,
            });
            self.next = offset.saturating_add(1);
        }
        // Without records left the position is behind the batch, even if that held none for us.
        self.next = self
            .next
            .max(decoded.batch().header().last_offset.saturating_add(1));
        Ok(beside)
    }

    /// A read that failed because records are gone goes on behind them.
    fn pass_over(
        &mut self,
        error: ReadError,
        partition: &Partition,
        topic: &Topic,
    ) -> Result<(), Stop> {
        let before = self.next;
        match error {
            ReadError::OutOfRange { bounds, .. } => {
                partition.moved_start(bounds.start);
                self.skip_deleted(bounds.start);
            }
            ReadError::Damaged { at, resume_at } => self.pass_damage(at, resume_at, topic),
            ReadError::NoPartition => {
                let name = topic.name.to_string();
                return Err(Stop::Failed(FetchError::UnknownTopic(name)));
            }
            ReadError::Io(why) => return Err(Stop::Failed(FetchError::Io(why))),
        }
        if self.next > before {
            return Ok(());
        }
        let why = format!("there is no way on from offset {before}");
        Err(Stop::Failed(FetchError::Io(why)))
    }

    fn pass_damage(&mut self, at: Offset, resume_at: Offset, topic: &Topic) {
        let index = self.partition;
        tracing::error!(topic = %topic.name, %index, %at, %resume_at, "damaged records");
        self.gap(resume_at, GapReason::Damaged);
    }

    fn skip_deleted(&mut self, start: Offset) {
        self.gap(start, GapReason::Deleted);
    }

    /// Moves on to `to`, if that is ahead, and says so.
    fn gap(&mut self, to: Offset, reason: GapReason) {
        if to > self.next {
            self.found.gaps.push(Gap {
                partition: self.partition,
                from: self.next,
                to,
                reason,
            });
            self.next = to;
        }
    }
}

/// The same record in memory of its own.
fn detached(record: &Record) -> Record {
    let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    let header = |header: &Header| Header {
        name: copy(&header.name),
        value: header.value.as_ref().map(copy),
    };
    Record {
        key: record.key.as_ref().map(copy),
        value: record.value.as_ref().map(copy),
        headers: record.headers.iter().map(header).collect(),
        timestamp: record.timestamp,
    }
}
