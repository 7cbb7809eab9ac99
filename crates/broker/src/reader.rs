//! A reader's place in a topic, and what it finds there.
//!
//! Partitions that this node leads are read where they lie. Of the others the reader finds what their
//! leaders have sent, once.

mod taking;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::limits::FETCH_BYTES_MAX;
use model::{Offset, PartitionIndex};
use seglog::Store;
use wire::cursor::Cursor;

use self::taking::Taking;
use crate::api::{Delivered, FetchedPartition, Gap, Polled};
use crate::error::FetchError;
use crate::topic::Topic;

/// The place of a reader at the end of a partition that another node leads, as long as that has not
/// answered: the end as it is then. No record stands there.
pub(crate) const END_TO_COME: Offset = Offset::MAX;
/// The same at the first record kept.
pub(crate) const BEGIN_TO_COME: Offset = match Offset::new(Offset::MAX.get() - 1) {
    Some(offset) => offset,
    None => Offset::MAX,
};

/// Whether this stands for an offset that is not known yet.
pub(crate) fn is_to_come(at: Offset) -> bool {
    at >= BEGIN_TO_COME
}

/// Positions in some partitions of a topic, and how much to read from them at once.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) topic: Arc<Topic>,
    /// By partition; never empty of partitions that do not exist.
    pub(crate) positions: Vec<(PartitionIndex, Offset)>,
    pub(crate) max_records: usize,
    /// What the leaders of other partitions have sent since the last look.
    fetched: BTreeMap<PartitionIndex, FetchedPartition>,
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
    /// At these positions, which are in the order of their partitions.
    pub(crate) const fn new(
        topic: Arc<Topic>,
        positions: Vec<(PartitionIndex, Offset)>,
        max_records: usize,
    ) -> Self {
        Self {
            topic,
            positions,
            max_records,
            fetched: BTreeMap::new(),
        }
    }

    /// Whether this node leads all of its partitions.
    pub(crate) fn is_here(&self) -> bool {
        let mut indexes = self.positions.iter().map(|(index, _)| *index);
        indexes.all(|index| self.topic.led(index).is_some())
    }

    /// The partitions that other nodes lead, in order.
    pub(crate) fn afar(&self) -> Vec<PartitionIndex> {
        let indexes = self.positions.iter().map(|(index, _)| *index);
        indexes
            .filter(|index| self.topic.led(*index).is_none())
            .collect()
    }

    /// Takes what leaders have sent.
    pub(crate) fn receive(&mut self, parts: Vec<FetchedPartition>) {
        for part in parts {
            let at = self
                .positions
                .binary_search_by_key(&part.index, |(index, _)| *index);
            let Some((_, next)) = at.ok().and_then(|at| self.positions.get_mut(at)) else {
                continue;
            };
            match *next {
                // It has waited at its end, and what it sends came behind that.
                END_TO_COME => *next = first_of(&part).unwrap_or(part.end),
                BEGIN_TO_COME => *next = part.start,
                _ => {}
            }
            self.fetched.insert(part.index, part);
        }
    }

    /// The same reader, to travel to another thread; what is left here is empty.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            topic: Arc::clone(&self.topic),
            positions: std::mem::take(&mut self.positions),
            max_records: self.max_records,
            fetched: std::mem::take(&mut self.fetched),
        }
    }

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
        self.fetched.clear();
        Ok(Some(found))
    }

    /// The answer, with a cursor that goes on behind it. `before` is the cursor that the reader came
    /// with: its positions in partitions that were not read stay as they are.
    pub(crate) fn answer(self, found: Found, before: Option<&Cursor>) -> Polled {
        let kept = before.map(|cursor| cursor.positions()).unwrap_or_default();
        let positions = kept.iter().copied().chain(self.positions);
        // Where a cursor names no place, reading begins at the first record kept.
        let positions = positions.filter(|(_, at)| *at != BEGIN_TO_COME);
        Polled {
            records: found.records,
            gaps: found.gaps,
            cursor: Cursor::new(self.topic.id, positions),
        }
    }

    fn has_news(&self, (index, next): &(PartitionIndex, Offset)) -> bool {
        match self.topic.led(*index) {
            Some(partition) => *next != partition.end(),
            None => {
                let part = self.fetched.get(index);
                part.is_some_and(|part| *next != part.end || part.batches.is_err())
            }
        }
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
        let led = self.topic.led(*index);
        if let Some(partition) = led {
            // It has come here since.
            match *next {
                END_TO_COME => *next = partition.end(),
                BEGIN_TO_COME => *next = partition.start(),
                _ => {}
            }
        }
        let (start, end) = match (led, self.fetched.get(index)) {
            (Some(partition), _) => (partition.start(), partition.end()),
            (None, Some(part)) => (part.start, part.end),
            (None, None) => return Ok(()),
        };
        check_range(*index, *next, (start, end)).map_err(Stop::Failed)?;
        let mut taking = Taking {
            partition: *index,
            next: *next,
            end,
            share,
            found,
        };
        let result = match (led, self.fetched.get(index)) {
            (Some(partition), _) => taking.run(partition, source, &self.topic),
            (None, Some(part)) => taking.take_part(part, &self.topic),
            (None, None) => Ok(()),
        };
        *next = taking.next;
        result
    }
}

fn first_of(part: &FetchedPartition) -> Option<Offset> {
    let batch = part.batches.as_ref().ok()?.first()?;
    Some(batch.header().base_offset)
}

/// Nothing was ever handed out past the end, so a position there is not of this log.
fn check_range(
    partition: PartitionIndex,
    wanted: Offset,
    (start, end): (Offset, Offset),
) -> Result<(), FetchError> {
    if wanted <= end {
        return Ok(());
    }
    Err(FetchError::OutOfRange {
        partition,
        wanted,
        start,
        end,
    })
}
