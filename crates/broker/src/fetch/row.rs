//! What a fetch reads of one partition.

use model::{Offset, PartitionIndex};
use wire::Batch;

use crate::admin::{led_elsewhere, seat_of};
use crate::api::FetchedPartition;
use crate::error::FetchError;
use crate::partition::Partition;
use crate::reader::Source;
use crate::start::read_failed;
use crate::topic::Topic;

/// What one read of a partition added.
pub(super) enum Taken {
    /// So many bytes, and there was room for more.
    Bytes(usize),
    /// So many, and the next batch has no room.
    Full(usize),
}

/// What a partition may still add.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) bytes: usize,
    /// Whether nothing has been read yet, so that one batch may be larger.
    pub(super) is_first: bool,
}

/// One partition of a fetch.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) index: PartitionIndex,
    /// Where reading began.
    pub(super) from: Offset,
    pub(super) next: Offset,
    pub(super) batches: Vec<Batch>,
    pub(super) error: Option<FetchError>,
    /// Begin and end as another node, the leader, has told them.
    pub(super) told: Option<(Offset, Offset)>,
}

impl Row {
    /// Nothing is read yet.
    pub(super) fn new(topic: &Topic, index: PartitionIndex, from: Offset) -> Self {
        Self {
            index,
            from,
            next: from,
            batches: Vec::new(),
            error: seat_of(topic, index).err(),
            told: None,
        }
    }

    pub(super) fn is_afar(&self, topic: &Topic) -> bool {
        self.error.is_none() && topic.led(self.index).is_none()
    }

    pub(super) fn has_news(&self, topic: &Topic) -> bool {
        let partition = topic.led(self.index);
        self.error.is_none() && partition.is_some_and(|p| p.end() != self.next)
    }

    /// Reads on; the bytes that came. `None` when the store must be asked.
    pub(super) fn read(
        &mut self,
        source: Source<'_>,
        topic: &Topic,
        partition: &Partition,
        room: Room,
    ) -> Option<Taken> {
        let (start, end) = (partition.start(), partition.end());
        let read = if (start..=end).contains(&self.next) {
            self.batches_from(source, topic, partition, room)?
        } else {
            let (wanted, partition) = (self.next, self.index);
            Err(FetchError::OutOfRange {
                partition,
                wanted,
                start,
                end,
            })
        };
        Some(match read {
            Ok(batches) => self.take(batches, end, room),
            Err(error) => {
                // What was read before the trouble is told first.
                if self.batches.is_empty() {
                    self.error = Some(error);
                }
                Taken::Bytes(0)
            }
        })
    }

    fn batches_from(
        &self,
        source: Source<'_>,
        topic: &Topic,
        partition: &Partition,
        room: Room,
    ) -> Option<Result<Vec<Batch>, FetchError>> {
        let kept = partition.fresh.from(self.next);
        match source {
            _ if !kept.is_empty() => {
                Some(Ok(kept.iter().map(|kept| kept.batch().clone()).collect()))
            }
            Source::Memory => None,
            Source::Store(store) => {
                let read = store.read(partition.id, self.next, room.bytes);
                Some(read.map_err(|error| read_failed(error, topic, partition)))
            }
        }
    }

    pub(super) fn take(&mut self, batches: Vec<Batch>, end: Offset, room: Room) -> Taken {
        let mut taken = 0;
        for batch in batches {
            let header = batch.header();
            if header.base_offset >= end {
                break;
            }
            let fits = taken + header.size <= room.bytes || (room.is_first && taken == 0);
            if !fits {
                return Taken::Full(taken);
            }
            taken += header.size;
            self.next = header.last_offset.saturating_add(1);
            self.batches.push(batch);
        }
        Taken::Bytes(taken)
    }

    pub(super) fn finish(self, topic: &Topic) -> FetchedPartition {
        let here = topic.led(self.index).map(|p| (p.start(), p.end()));
        let known = here.or(self.told);
        // Begin and end that nobody has told must not look like those of an empty partition.
        let unknown = || known.is_none().then(|| led_elsewhere(topic, self.index));
        let error = self.error.or_else(unknown);
        let (start, end) = known.unwrap_or_default();
        FetchedPartition {
            index: self.index,
            start,
            end,
            batches: error.map_or(Ok(self.batches), Err),
        }
    }
}
