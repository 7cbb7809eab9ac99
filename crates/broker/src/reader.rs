//! A reader's place in a topic, and what it finds there.

mod taking;

use std::sync::Arc;

use model::limits::FETCH_BYTES_MAX;
use model::{Offset, PartitionIndex};
use seglog::Store;
use wire::cursor::Cursor;

use self::taking::Taking;
use crate::api::{Delivered, Gap, Polled};
use crate::error::FetchError;
use crate::partition::Partition;
use crate::topic::Topic;

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
