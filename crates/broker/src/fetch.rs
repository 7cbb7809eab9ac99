//! Reads whole batches, for doors that pass them through.

mod anywhere;
mod cutting;
mod row;

use std::sync::Arc;

use model::limits::FETCH_BYTES_MAX;
use model::{NodeId, Offset, PartitionIndex};
use tokio::time::{Instant, timeout_at};

use self::row::{Room, Row, Taken};
use crate::api::{Fetch, FetchedPartition};
use crate::budget::AnswerRoom;
use crate::error::FetchError;
use crate::inner::Inner;
use crate::poll::deadline;
use crate::reader::Source;
use crate::topic::Topic;

impl Inner {
    pub(crate) async fn fetch(&self, fetch: Fetch) -> Result<Vec<FetchedPartition>, FetchError> {
        let topic = self.topic_to_read(&fetch.topic).await?;
        let positions = fetch.positions.iter().copied();
        let mut fetched = Fetching::new(&topic, positions, fetch.max_bytes);
        let (min_bytes, deadline) = (fetch.min_bytes, deadline(fetch.wait));
        if fetched.is_here() {
            fetched = self.fetch_here(fetched, min_bytes, deadline).await?;
        }
        // Another node may lead some of it since then.
        if !fetched.is_here() {
            fetched = Box::pin(self.fetch_anywhere(fetched, min_bytes, deadline)).await?;
        }
        self.counts().records_delivered.add(fetched.records());
        self.counts().bytes_delivered.add(fetched.bytes as u64);
        Ok(fetched.finish())
    }

    /// Reads partitions that this node leads. Ends early when it leads one of them no more.
    pub(crate) async fn fetch_here(
        &self,
        mut fetching: Fetching,
        min_bytes: usize,
        deadline: Instant,
    ) -> Result<Fetching, FetchError> {
        let topic = Arc::clone(&fetching.topic);
        let waiting = topic.wake.wait();
        loop {
            let ring = waiting.ring();
            fetching = self.read_on(fetching).await?;
            if fetching.is_enough(min_bytes) || self.is_closed() {
                return Ok(fetching);
            }
            if topic.is_deleted() {
                return Err(FetchError::UnknownTopic(topic.name.to_string()));
            }
            if !fetching.is_here() {
                return Ok(fetching);
            }
            if timeout_at(deadline, ring).await.is_err() {
                return Ok(fetching);
            }
        }
    }

    /// Reads what has come since the last time.
    async fn read_on(&self, mut fetching: Fetching) -> Result<Fetching, FetchError> {
        if !fetching.has_news() {
            return Ok(fetching);
        }
        // Not before: many wait for long, and hold nothing.
        let bytes = fetching.bytes_at_most();
        fetching.room.take(&self.budget, bytes).await;
        if !fetching.read(Source::Memory) {
            fetching = Box::pin(self.extend(fetching)).await?;
        }
        if fetching.bytes == 0 {
            fetching.room.give_back();
        }
        Ok(fetching)
    }

    /// The same from the store.
    async fn extend(&self, mut fetching: Fetching) -> Result<Fetching, FetchError> {
        self.on_disk(move |store| {
            fetching.read(Source::Store(store));
            fetching
        })
        .await
    }
}

/// A fetch on its way.
#[derive(Debug)]
pub(crate) struct Fetching {
    topic: Arc<Topic>,
    rows: Vec<Row>,
    max_bytes: usize,
    bytes: usize,
    /// A batch was there that would have been too much.
    is_full: bool,
    /// A partition has more, but the room left is not worth another read of it.
    left_some: bool,
    room: AnswerRoom,
}

impl Fetching {
    /// A fetch that has read nothing yet.
    pub(crate) fn new(
        topic: &Arc<Topic>,
        positions: impl Iterator<Item = (PartitionIndex, Offset)>,
        max_bytes: usize,
    ) -> Self {
        let rows = positions.map(|(index, from)| Row::new(topic, index, from));
        Self {
            rows: rows.collect(),
            topic: Arc::clone(topic),
            max_bytes: max_bytes.min(FETCH_BYTES_MAX),
            bytes: 0,
            is_full: false,
            left_some: false,
            room: AnswerRoom::default(),
        }
    }

    /// The same for an answer to another node: nothing is read before there is room for it.
    pub(crate) fn answering(self, to: NodeId) -> Self {
        let room = AnswerRoom::to(to);
        Self { room, ..self }
    }

    /// The room that was taken for what was read.
    pub(crate) fn take_room(&mut self) -> AnswerRoom {
        std::mem::take(&mut self.room)
    }

    fn bytes_at_most(&self) -> usize {
        // A first batch comes whole.
        self.max_bytes.max(self.topic.max_message_bytes())
    }

    fn has_news(&self) -> bool {
        self.rows.iter().any(|row| row.has_news(&self.topic))
    }

    /// An error, or no partition at all, is told at once. That a leader is silent is none yet.
    fn is_enough(&self, min_bytes: usize) -> bool {
        self.rows.is_empty()
            || self.bytes >= min_bytes
            || self.is_full
            || self.left_some
            || self.rows.iter().any(|row| row.error.is_some())
    }

    /// The partitions are served in the order in which they were asked for. The first batch of all
    /// comes whole, however large. False when the store must be asked for the rest.
    fn read(&mut self, source: Source<'_>) -> bool {
        for row in &mut self.rows {
            let Some(partition) = self.topic.led(row.index) else {
                continue;
            };
            // The store may give less than there is.
            while row.has_news(&self.topic) && !self.is_full {
                let room = Room {
                    bytes: self.max_bytes.saturating_sub(self.bytes),
                    is_first: self.bytes == 0,
                };
                match row.read(source, &self.topic, partition, room) {
                    Some(Taken::Bytes(0)) => break,
                    Some(Taken::Bytes(bytes)) => {
                        self.bytes += bytes;
                        // To ask for the small rest would read a batch only to throw it away, and
                        // the next fetch would not go on where the disk is.
                        if bytes >= room.bytes / 2 && row.has_news(&self.topic) {
                            self.left_some = true;
                            break;
                        }
                    }
                    Some(Taken::Full(bytes)) => {
                        self.bytes += bytes;
                        self.is_full = true;
                    }
                    None => return false,
                }
            }
        }
        true
    }

    /// Whether this node leads all of them.
    fn is_here(&self) -> bool {
        !self.rows.iter().any(|row| row.is_afar(&self.topic))
    }

    /// The partitions that other nodes lead, in order.
    fn afar(&self) -> Vec<PartitionIndex> {
        let rows = self.rows.iter().filter(|row| row.is_afar(&self.topic));
        let mut afar: Vec<_> = rows.map(|row| row.index).collect();
        afar.sort_unstable();
        afar.dedup();
        afar
    }

    fn records(&self) -> u64 {
        let batches = self.rows.iter().flat_map(|row| &row.batches);
        batches
            .map(|batch| u64::from(batch.header().record_count))
            .sum()
    }

    /// What was read, in the order in which it was asked for.
    pub(crate) fn finish(self) -> Vec<FetchedPartition> {
        let topic = self.topic;
        self.rows
            .into_iter()
            .map(|row| row.finish(&topic))
            .collect()
    }
}
