//! A reader's place in a topic, and what it finds there.

use std::sync::Arc;

use model::limits::FETCH_BYTES_MAX;
use model::{Offset, PartitionIndex};
use seglog::{ReadError, Store};
use wire::cursor::Cursor;

use crate::api::{Delivered, Gap, GapReason, Polled};
use crate::error::FetchError;
use crate::fresh::Decoded;
use crate::partition::Partition;
use crate::topic::Topic;

/// The least that is read from the store at once.
const READ_BYTES_MIN: usize = 64 * 1024;
/// What a record is guessed to take, to choose how much to read for a few.
const RECORD_BYTES_GUESS: usize = 1024;

/// Positions in some partitions of a topic, and how much to read from them at once.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) topic: Arc<Topic>,
    /// By partition; never empty of partitions that do not exist.
    pub(crate) positions: Vec<(PartitionIndex, Offset)>,
    pub(crate) max_records: usize,
}

/// What a reader found; its positions are behind it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) records: Vec<Delivered>,
    pub(crate) gaps: Vec<Gap>,
    /// Bytes of the records.
    pub(crate) bytes: usize,
}

impl Found {
    pub(crate) const fn is_empty(&self) -> bool {
        self.records.is_empty() && self.gaps.is_empty()
    }
}

/// Where batches come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Only what is kept in memory: may be asked on an async worker.
    Memory,
    /// The store as well: may block.
    Store(&'a dyn Store),
}

/// Why a partition gave nothing more.
enum Stop {
    /// The records are not in memory, and the store was not to be asked.
    NotInMemory,
    Failed(FetchError),
}

/// How much one partition may add.
#[derive(Clone, Copy)]
struct Share {
    records: usize,
    bytes: usize,
}

impl Reader {
    /// Whether any partition has something to tell. Costs a few loads.
    pub(crate) fn is_ready(&self) -> bool {
        self.positions
            .iter()
            .any(|position| self.has_news(position))
    }

    /// Reads from all partitions in turn, each getting a fair share of the answer. `None` when
    /// [`Source::Memory`] does not suffice; then nothing has moved.
    pub(crate) fn gather(&mut self, source: Source<'_>) -> Result<Option<Found>, FetchError> {
        let mut found = Found::default();
        let mut positions = self.positions.clone();
        let mut ready: Vec<usize> = (0..positions.len()).collect();
        ready.retain(|at| {
            positions
                .get(*at)
                .is_some_and(|position| self.has_news(position))
        });
        let partitions = ready.len();
        ready.rotate_left(self.topic.turn(partitions).min(partitions));
        for (served, at) in ready.iter().enumerate() {
            let share = self.share(&found, ready.len() - served);
            let Some(position) = positions.get_mut(*at).filter(|_| share.records > 0) else {
                break;
            };
            match self.drain(position, share, source, &mut found) {
                Ok(()) => {}
                Err(Stop::NotInMemory) => return Ok(None),
                // What was found before is told first; the next read meets the error again.
                Err(Stop::Failed(_)) if !found.is_empty() => {}
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        self.positions = positions;
        Ok(Some(found))
    }

    /// The answer, with a cursor that goes on behind it. `before` is the cursor that the reader came
    /// with: its positions in partitions that were not read stay as they are.
    pub(crate) fn answer(self, found: Found, before: Option<&Cursor>) -> Polled {
        let kept = before.map(|cursor| cursor.positions()).unwrap_or_default();
        let positions = kept.iter().copied().chain(self.positions);
        Polled {
            records: found.records,
            gaps: found.gaps,
            cursor: Cursor::new(self.topic.id, positions),
        }
    }

    fn has_news(&self, (index, next): &(PartitionIndex, Offset)) -> bool {
        let partition = self.topic.partition(*index);
        partition.is_some_and(|partition| *next != partition.end())
    }

    fn share(&self, found: &Found, partitions: usize) -> Share {
        let records = self.max_records.saturating_sub(found.records.len());
        let bytes = FETCH_BYTES_MAX.saturating_sub(found.bytes);
        Share {
            records: records.div_ceil(partitions),
            bytes: bytes.div_ceil(partitions),
        }
    }

    fn drain(
        &self,
        (index, next): &mut (PartitionIndex, Offset),
        share: Share,
        source: Source<'_>,
        found: &mut Found,
    ) -> Result<(), Stop> {
        let Some(partition) = self.topic.partition(*index) else {
            return Ok(());
        };
        let end = partition.end();
        check_range(partition, *next, end).map_err(Stop::Failed)?;
        let mut taking = Taking {
            partition,
            next: *next,
            end,
            share,
            found,
        };
        let result = taking.run(source, &self.topic);
        *next = taking.next;
        result
    }
}

/// Nothing was ever handed out past the end, so a position there is not of this log.
fn check_range(partition: &Partition, next: Offset, end: Offset) -> Result<(), FetchError> {
    if next <= end {
        return Ok(());
    }
    Err(FetchError::OutOfRange {
        partition: partition.id.index,
        wanted: next,
        start: partition.start(),
        end,
    })
}

/// Takes records from one partition.
struct Taking<'a> {
    partition: &'a Partition,
    next: Offset,
    /// The durable end when this began: what comes later is not looked at.
    end: Offset,
    share: Share,
    found: &'a mut Found,
}

impl Taking<'_> {
    fn run(&mut self, source: Source<'_>, topic: &Topic) -> Result<(), Stop> {
        self.skip_deleted(self.partition.start());
        while self.next < self.end && self.has_share() {
            let kept = self.partition.fresh.from(self.next);
            if !kept.is_empty() {
                self.take_all(kept.iter().map(|kept| &**kept));
                continue;
            }
            let Source::Store(store) = source else {
                return Err(Stop::NotInMemory);
            };
            match store.read(self.partition.id, self.next, self.bytes_to_read()) {
                Ok(batches) if batches.is_empty() => break,
                Ok(batches) => {
                    let batches: Vec<_> = batches.into_iter().map(Decoded::once).collect();
                    self.take_all(batches.iter());
                }
                Err(error) => self.pass_over(error, topic)?,
            }
        }
        Ok(())
    }

    fn has_share(&self) -> bool {
        self.share.records > 0 && self.share.bytes > 0
    }

    fn bytes_to_read(&self) -> usize {
        let guess = self.share.records.saturating_mul(RECORD_BYTES_GUESS);
        self.share.bytes.min(guess).max(READ_BYTES_MIN)
    }

    fn take_all<'b>(&mut self, batches: impl Iterator<Item = &'b Decoded>) {
        for decoded in batches {
            let header = decoded.batch().header();
            if !self.has_share() || header.base_offset >= self.end {
                break;
            }
            if let Err(why) = self.take(decoded) {
                let after = header.last_offset.saturating_add(1);
                tracing::warn!(
                    partition = %self.partition.id, from = %self.next, to = %after, why,
                    "records that cannot be decoded are passed over"
                );
                self.gap(after, GapReason::Damaged);
            }
        }
    }

    /// Takes the records of a batch, as many as the share allows, from the position on.
    fn take(&mut self, decoded: &Decoded) -> Result<(), String> {
        for item in decoded.records()? {
            let (offset, record) = item.map_err(|error| error.to_string())?;
            if offset < self.next {
                continue;
            }
            if !self.has_share() {
                return Ok(());
            }
            let size = record.size();
            self.share.records -= 1;
            self.share.bytes = self.share.bytes.saturating_sub(size);
            self.found.bytes += size;
            self.found.records.push(Delivered {
                partition: self.partition.id.index,
                offset,
                record,
            });
            self.next = offset.saturating_add(1);
        }
        // Without records left the position is behind the batch, even if that held none for us.
        self.next = self
            .next
            .max(decoded.batch().header().last_offset.saturating_add(1));
        Ok(())
    }

    /// A read that failed because records are gone goes on behind them.
    fn pass_over(&mut self, error: ReadError, topic: &Topic) -> Result<(), Stop> {
        let before = self.next;
        match error {
            ReadError::OutOfRange { bounds, .. } => {
                self.partition.moved_start(bounds.start);
                self.skip_deleted(bounds.start);
            }
            ReadError::Damaged { at, resume_at } => {
                let index = self.partition.id.index;
                tracing::error!(topic = %topic.name, %index, %at, %resume_at, "damaged records");
                self.gap(resume_at, GapReason::Damaged);
            }
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

    fn skip_deleted(&mut self, start: Offset) {
        self.gap(start, GapReason::Deleted);
    }

    /// Moves on to `to`, if that is ahead, and says so.
    fn gap(&mut self, to: Offset, reason: GapReason) {
        if to > self.next {
            self.found.gaps.push(Gap {
                partition: self.partition.id.index,
                from: self.next,
                to,
                reason,
            });
            self.next = to;
        }
    }
}
