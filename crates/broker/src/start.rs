//! Where reading begins.

use std::sync::Arc;

use model::{Offset, PartitionIndex, Timestamp, TopicName};
use seglog::{ReadError, Store};
use wire::cursor::Cursor;

use crate::admin::partition_of;
use crate::api::Start;
use crate::error::FetchError;
use crate::inner::Inner;
use crate::partition::Partition;
use crate::topic::Topic;

/// How much is read to find the record of a time: one batch, however small this is.
const ONE_BATCH: usize = 1;

impl Inner {
    /// A topic to read from. The node's own are nobody's business.
    pub(crate) fn topic_to_read(&self, name: &TopicName) -> Result<Arc<Topic>, FetchError> {
        let found = self.topics.by_name(name);
        found.ok_or_else(|| FetchError::UnknownTopic(name.to_string()))
    }

    /// The offset at which each of these partitions is to be read for this start. An explicit
    /// offset must be in range; what a cursor does not name begins at the earliest.
    pub(crate) async fn positions(
        &self,
        topic: &Arc<Topic>,
        partitions: &[PartitionIndex],
        start: &Start,
    ) -> Result<Vec<(PartitionIndex, Offset)>, FetchError> {
        if let Start::Time(time) = start {
            return self.positions_at(topic, partitions, *time).await;
        }
        if let Start::Cursor(cursor) = start {
            check_cursor(topic, cursor)?;
        }
        let position = |index: &PartitionIndex| {
            let partition = partition_of(topic, *index)?;
            Ok((*index, position(partition, start)?))
        };
        partitions.iter().map(position).collect()
    }

    async fn positions_at(
        &self,
        topic: &Arc<Topic>,
        partitions: &[PartitionIndex],
        time: Timestamp,
    ) -> Result<Vec<(PartitionIndex, Offset)>, FetchError> {
        let (topic, partitions) = (Arc::clone(topic), partitions.to_vec());
        self.on_disk(move |store| {
            let find = |index: &PartitionIndex| {
                let partition = partition_of(&topic, *index)?;
                Ok((*index, find_time(store, &topic, partition, time)?))
            };
            partitions.iter().map(find).collect()
        })
        .await?
    }
}

/// Every partition, or those asked for: each once, in order, and all of them there.
pub(crate) fn partitions_asked(
    topic: &Topic,
    asked: Option<&[PartitionIndex]>,
) -> Result<Vec<PartitionIndex>, FetchError> {
    let Some(asked) = asked else {
        return Ok(topic.indexes().collect());
    };
    for index in asked {
        partition_of(topic, *index)?;
    }
    let mut partitions = asked.to_vec();
    partitions.sort_unstable();
    partitions.dedup();
    Ok(partitions)
}

/// A cursor of another topic, or of one deleted since, is refused; so is one that names partitions
/// which this topic never had.
pub(crate) fn check_cursor(topic: &Topic, cursor: &Cursor) -> Result<(), FetchError> {
    let last = cursor.positions().last();
    let has_partitions = last.is_none_or(|(index, _)| topic.partition(*index).is_some());
    if cursor.topic() == topic.id && has_partitions {
        Ok(())
    } else {
        Err(FetchError::ForeignCursor)
    }
}

fn position(partition: &Partition, start: &Start) -> Result<Offset, FetchError> {
    match start {
        Start::Latest => Ok(partition.end()),
        Start::Offset(wanted) => in_range(partition, *wanted),
        Start::Cursor(cursor) => {
            let known = cursor.position(partition.id.index);
            Ok(known.unwrap_or_else(|| partition.start()))
        }
        // Times are looked up elsewhere, for that needs the disk.
        Start::Earliest | Start::Time(_) => Ok(partition.start()),
    }
}

fn in_range(partition: &Partition, wanted: Offset) -> Result<Offset, FetchError> {
    let (start, end) = (partition.start(), partition.end());
    if (start..=end).contains(&wanted) {
        return Ok(wanted);
    }
    Err(FetchError::OutOfRange {
        partition: partition.id.index,
        wanted,
        start,
        end,
    })
}

/// The offset of the first record at or after `time`; the end when there is none.
fn find_time(
    store: &dyn Store,
    topic: &Topic,
    partition: &Partition,
    time: Timestamp,
) -> Result<Offset, FetchError> {
    let failed = |error| read_failed(error, topic, partition);
    let Some(base) = store.find_time(partition.id, time).map_err(failed)? else {
        return Ok(partition.end());
    };
    let base = base.max(partition.start());
    let batches = match store.read(partition.id, base, ONE_BATCH) {
        Ok(batches) => batches,
        // Reading will tell of it.
        Err(ReadError::Damaged { .. }) => return Ok(base),
        Err(error) => return Err(failed(error)),
    };
    let records = batches
        .first()
        .and_then(|batch| compress::records(batch).ok());
    let mut records = records.into_iter().flatten().map_while(Result::ok);
    let first = records.find(|(offset, record)| *offset >= base && record.timestamp >= Some(time));
    Ok(first.map_or(base, |(offset, _)| offset))
}

/// A failed read as the caller is told of it.
pub(crate) fn read_failed(error: ReadError, topic: &Topic, partition: &Partition) -> FetchError {
    let partition = partition.id.index;
    match error {
        ReadError::NoPartition => FetchError::UnknownTopic(topic.name.to_string()),
        ReadError::OutOfRange { wanted, bounds } => FetchError::OutOfRange {
            partition,
            wanted,
            start: bounds.start,
            end: bounds.end,
        },
        ReadError::Damaged { at, resume_at } => FetchError::Damaged {
            partition,
            at,
            resume_at,
        },
        ReadError::Io(why) => FetchError::Io(why),
    }
}
