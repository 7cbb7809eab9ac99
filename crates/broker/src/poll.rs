//! Reads records, and waits for them.
//!
//! A reader that waits holds its positions, a place on its topic's bell and a timer, and nothing
//! else: ten thousand of them are nothing special. What is rare, and what needs the disk, is boxed.

mod anywhere;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use model::limits::{POLL_RECORDS_MAX, POLL_TIMEOUT_MAX};
use model::{PartitionIndex, TopicName};
use tokio::time::{Instant, timeout_at};

use crate::api::{Delivered, Poll, Polled, Start};
use crate::error::FetchError;
use crate::fresh::Decoded;
use crate::inner::Inner;
use crate::partition::Partition;
use crate::reader::{Found, Reader, Source};
use crate::start::{partitions_asked, read_failed};
use crate::topic::Topic;

pub(crate) use self::anywhere::{hear_all, hear_patience};

impl Inner {
    pub(crate) async fn poll(&self, poll: Poll) -> Result<Polled, FetchError> {
        let mut reader = Box::pin(self.reader(&poll)).await?;
        let before = match poll.start {
            Start::Cursor(cursor) => Some(Box::new(cursor)),
            _ => None,
        };
        let found = self.read_or_wait(&mut reader, deadline(poll.wait)).await?;
        self.count_delivery(&found);
        Ok(reader.answer(found, before.as_deref()))
    }

    /// Reads, waiting until the deadline for something to read. Empty when there was nothing, or
    /// when the broker is closed.
    pub(crate) async fn read_or_wait(
        &self,
        reader: &mut Reader,
        deadline: Instant,
    ) -> Result<Found, FetchError> {
        if !reader.is_here() {
            return Box::pin(self.read_anywhere(reader, deadline)).await;
        }
        if let Some(found) = self.look(reader).await? {
            return Ok(found);
        }
        let topic = Arc::clone(&reader.topic);
        let waiting = topic.wake.wait();
        loop {
            let ring = waiting.ring();
            if let Some(found) = self.look(reader).await? {
                return Ok(found);
            }
            if topic.is_deleted() {
                return Err(FetchError::UnknownTopic(topic.name.to_string()));
            }
            if !reader.is_here() {
                break;
            }
            if self.is_closed() || timeout_at(deadline, ring).await.is_err() {
                return Ok(Found::default());
            }
        }
        // Another node leads some of it since the last ring.
        drop(waiting);
        Box::pin(self.read_anywhere(reader, deadline)).await
    }

    /// Reads what there is now; `None` when there is nothing.
    pub(crate) async fn look(&self, reader: &mut Reader) -> Result<Option<Found>, FetchError> {
        if !reader.is_ready() {
            return Ok(None);
        }
        let found = match reader.gather(Source::Memory)? {
            Some(found) => found,
            None => Box::pin(self.read_from_store(reader)).await?,
        };
        Ok(Some(found).filter(|found| !found.is_empty()))
    }

    pub(crate) fn count_delivery(&self, found: &Found) {
        self.counts()
            .records_delivered
            .add(found.records.len() as u64);
        self.counts().bytes_delivered.add(found.bytes as u64);
    }

    /// The newest record of a topic: of each partition the last, and of those the one with the
    /// largest timestamp, then the largest offset. Needs all leaders: any of them may have it.
    pub(crate) async fn last(&self, name: &TopicName) -> Result<Option<Delivered>, FetchError> {
        let topic = self.topic_to_read(name).await?;
        let is_here = |index: &PartitionIndex| topic.led(*index).is_some();
        let (here, afar) = topic.indexes().partition(is_here);
        let asked = join(
            self.last_here(&topic, here),
            self.remote.last(topic.id, afar),
        );
        let (here, afar) = asked.await;
        let newest = here?
            .into_iter()
            .chain(afar?)
            .max_by_key(|last| (last.record.timestamp, last.offset, last.partition));
        if let Some(newest) = &newest {
            self.counts().records_delivered.add(1);
            self.counts()
                .bytes_delivered
                .add(newest.record.size() as u64);
        }
        Ok(newest)
    }

    /// The same of partitions that this node leads.
    pub(crate) async fn last_here(
        &self,
        topic: &Arc<Topic>,
        partitions: Vec<PartitionIndex>,
    ) -> Result<Option<Delivered>, FetchError> {
        if partitions.is_empty() {
            return Ok(None);
        }
        let topic = Arc::clone(topic);
        self.on_disk(move |store| {
            let mut newest: Option<Delivered> = None;
            // Of two at a time, for each keeps the batch in memory that it was read from.
            for partition in partitions.into_iter().filter_map(|index| topic.led(index)) {
                let both = newest.into_iter().chain(last_of(store, &topic, partition)?);
                newest = both.max_by_key(|d| (d.record.timestamp, d.offset));
            }
            Ok(newest)
        })
        .await?
    }

    async fn reader(&self, poll: &Poll) -> Result<Reader, FetchError> {
        let topic = self.topic_to_read_from(&poll.topic, &poll.start).await?;
        let partitions = partitions_asked(&topic, poll.partitions.as_deref())?;
        let positions = self.positions(&topic, &partitions, &poll.start).await?;
        let max_records = poll.max_records.clamp(1, POLL_RECORDS_MAX);
        Ok(Reader::new(topic, positions, max_records))
    }

    /// The same reader comes back moved; it travels to the thread that may block.
    async fn read_from_store(&self, reader: &mut Reader) -> Result<Found, FetchError> {
        let mut travelling = reader.take();
        let (back, found) = self
            .on_disk(move |store| {
                let found = travelling.gather(Source::Store(store));
                (travelling, found)
            })
            .await?;
        *reader = back;
        Ok(found?.unwrap_or_default())
    }
}

/// When a wait that begins now ends.
pub(crate) fn deadline(wait: Duration) -> Instant {
    Instant::now() + wait.min(POLL_TIMEOUT_MAX)
}

/// The last record of a partition; `None` while it is empty.
fn last_of(
    store: &dyn seglog::Store,
    topic: &Topic,
    partition: &Partition,
) -> Result<Option<Delivered>, FetchError> {
    let end = partition.end();
    let Some(last) = end.get().checked_sub(1).and_then(model::Offset::new) else {
        return Ok(None);
    };
    if last < partition.start() {
        return Ok(None);
    }
    let batches = match partition.fresh.from(last).pop() {
        Some(kept) => vec![kept.batch().clone()],
        None => store
            .read(partition.id, last, 1)
            .map_err(|error| read_failed(error, topic, partition))?,
    };
    let Some(batch) = batches.into_iter().next() else {
        return Ok(None);
    };
    let index = partition.id.index;
    let (_, record) = last_record(&Decoded::once(batch), last, index)?;
    Ok(Some(Delivered {
        partition: index,
        offset: last,
        record,
    }))
}

fn last_record(
    decoded: &Decoded,
    last: model::Offset,
    partition: PartitionIndex,
) -> Result<(model::Offset, model::Record), FetchError> {
    let at = decoded.batch().header().base_offset;
    let undecodable = |why: String| FetchError::Undecodable { partition, at, why };
    for item in decoded.records().map_err(undecodable)? {
        let (offset, record) = item.map_err(|error| undecodable(error.to_string()))?;
        if offset == last {
            return Ok((offset, record));
        }
    }
    Err(undecodable("the batch ends too early".to_owned()))
}
