//! Where reading begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join;
use model::{Offset, PartitionIndex, Timestamp, TopicName};
use seglog::{ReadError, Store};
use wire::cursor::Cursor;

use crate::admin::{led_here, seat_of};
use crate::api::Start;
use crate::error::{FetchError, TopicError};
use crate::inner::Inner;
use crate::partition::Partition;
use crate::reader::{BEGIN_TO_COME, END_TO_COME, is_to_come};
use crate::topic::Topic;

/// Where a partition is to be read from, or why that is not known.
type Position = Result<Offset, FetchError>;

/// How much is read to find the record of a time: one batch, however small this is.
const ONE_BATCH: usize = 1;

impl Inner {
    /// A topic to read from. Hark's own are nobody's business.
    pub(crate) async fn topic_to_read(&self, name: &TopicName) -> Result<Arc<Topic>, FetchError> {
        match self.topics.by_name(name) {
            Some(topic) => Ok(topic),
            None => Ok(Box::pin(self.find_topic(name)).await?),
        }
    }

    /// The same for this start. A cursor may be of a topic that was made again under this name a moment
    /// ago, which this node does not know yet.
    pub(crate) async fn topic_to_read_from(
        &self,
        name: &TopicName,
        start: &Start,
    ) -> Result<Arc<Topic>, FetchError> {
        if let Start::Cursor(cursor) = start {
            self.look_for(cursor.topic()).await?;
        }
        self.topic_to_read(name).await
    }

    /// The offset at which each of these partitions is to be read for this start. An explicit offset
    /// must be in range; what a cursor does not name begins at the earliest.
    ///
    /// Begin and end of a partition that another node leads are found by reading: until then they are
    /// [`BEGIN_TO_COME`] and [`END_TO_COME`].
    pub(crate) async fn positions(
        &self,
        topic: &Arc<Topic>,
        partitions: &[PartitionIndex],
        start: &Start,
    ) -> Result<Vec<(PartitionIndex, Offset)>, FetchError> {
        let is_here = |index: &PartitionIndex| topic.led(*index).is_some();
        match start {
            Start::Time(_) => return self.located(topic, partitions, start).await,
            Start::Offset(_) if !partitions.iter().all(is_here) => {
                return self.located(topic, partitions, start).await;
            }
            Start::Cursor(cursor) => check_cursor(topic, cursor)?,
            _ => {}
        }
        let position = |index: &PartitionIndex| {
            let position = match seat_of(topic, *index)?.led() {
                Some(partition) => position_in(partition, start)?,
                None => position_afar(*index, start),
            };
            Ok((*index, position))
        };
        partitions.iter().map(position).collect()
    }

    /// The same as numbers, asked of the leaders.
    ///
    /// Of a partition whose leader does not answer, the place to begin at may not be known. The
    /// earliest is left out, for a cursor that does not name a partition means just that; the end is
    /// [`END_TO_COME`]; an offset is taken as it is. To find a time all leaders are needed.
    pub(crate) async fn located(
        &self,
        topic: &Arc<Topic>,
        partitions: &[PartitionIndex],
        start: &Start,
    ) -> Result<Vec<(PartitionIndex, Offset)>, FetchError> {
        let found = Box::pin(self.positions_anywhere(topic, partitions, start)).await?;
        known_positions(found, start)
    }

    /// The same, all of them for sure.
    pub(crate) async fn all_positions(
        &self,
        topic: &Arc<Topic>,
        partitions: &[PartitionIndex],
        start: &Start,
    ) -> Result<Vec<(PartitionIndex, Offset)>, FetchError> {
        let found = Box::pin(self.positions_anywhere(topic, partitions, start)).await?;
        let sure = |(index, at): (_, Position)| Ok((index, at?));
        let positions = found.into_iter().map(sure);
        let mut positions = positions.collect::<Result<Vec<_>, FetchError>>()?;
        positions.retain(|(_, at)| !is_to_come(*at));
        Ok(positions)
    }

    /// Asks whoever leads each partition, all at once.
    async fn positions_anywhere(
        &self,
        topic: &Arc<Topic>,
        partitions: &[PartitionIndex],
        start: &Start,
    ) -> Result<BTreeMap<PartitionIndex, Position>, FetchError> {
        if let Start::Cursor(cursor) = start {
            check_cursor(topic, cursor)?;
        }
        let mut found = BTreeMap::new();
        let (mut here, mut afar) = (Vec::new(), Vec::new());
        for index in partitions {
            match (seat_of(topic, *index)?.led(), start) {
                (Some(_), _) => here.push(*index),
                (None, Start::Cursor(cursor)) if let Some(at) = cursor.position(*index) => {
                    found.insert(*index, Ok(at));
                }
                (None, _) => afar.push(*index),
            }
        }
        let start_afar = match start {
            Start::Cursor(_) => &Start::Earliest,
            other => other,
        };
        let (here, afar) = join(
            self.positions_here(topic, &here, start),
            self.remote.resolve(topic.id, afar, start_afar),
        )
        .await;
        found.extend(here?);
        found.extend(afar);
        Ok(found)
    }

    /// The same for partitions that this node leads.
    pub(crate) async fn positions_here(
        &self,
        topic: &Arc<Topic>,
        partitions: &[PartitionIndex],
        start: &Start,
    ) -> Result<Vec<(PartitionIndex, Position)>, FetchError> {
        let Start::Time(time) = *start else {
            let position = |index: &PartitionIndex| (*index, position_here(topic, *index, start));
            return Ok(partitions.iter().map(position).collect());
        };
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let (topic, partitions) = (Arc::clone(topic), partitions.to_vec());
        self.on_disk(move |store| {
            let find = |index| find_time(store, &topic, led_here(&topic, index)?, time);
            let find = |index: PartitionIndex| (index, find(index));
            partitions.into_iter().map(find).collect()
        })
        .await
    }
}

/// What a reader begins with, of what was found.
fn known_positions(
    found: BTreeMap<PartitionIndex, Position>,
    start: &Start,
) -> Result<Vec<(PartitionIndex, Offset)>, FetchError> {
    let mut positions = Vec::with_capacity(found.len());
    let mut silent = None;
    for (index, at) in found {
        match (at, start) {
            (Ok(at), _) => positions.push((index, at)),
            (Err(FetchError::LeaderUnavailable(_)), Start::Latest) => {
                positions.push((index, END_TO_COME));
            }
            (Err(FetchError::LeaderUnavailable(_)), Start::Offset(at)) => {
                positions.push((index, *at));
            }
            (Err(error @ FetchError::LeaderUnavailable(_)), Start::Earliest | Start::Cursor(_)) => {
                silent = Some(error);
            }
            (Err(error), _) => return Err(error),
        }
    }
    match silent {
        Some(error) if positions.is_empty() => Err(error),
        _ => Ok(positions),
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
        seat_of(topic, *index)?;
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
    let has_partitions = last.is_none_or(|(index, _)| topic.seat(*index).is_some());
    if cursor.topic() == topic.id && has_partitions {
        Ok(())
    } else {
        Err(FetchError::ForeignCursor)
    }
}

fn position_here(topic: &Topic, index: PartitionIndex, start: &Start) -> Position {
    position_in(led_here(topic, index)?, start)
}

fn position_in(partition: &Partition, start: &Start) -> Position {
    match start {
        Start::Latest => Ok(partition.end()),
        Start::Offset(wanted) => in_range(partition, *wanted),
        Start::Cursor(cursor) => Ok(match cursor.position(partition.id.index) {
            Some(END_TO_COME) => partition.end(),
            Some(BEGIN_TO_COME) | None => partition.start(),
            Some(known) => known,
        }),
        // Times are looked up elsewhere, for that needs the disk.
        Start::Earliest | Start::Time(_) => Ok(partition.start()),
    }
}

/// Where another node's partition begins, without asking.
fn position_afar(index: PartitionIndex, start: &Start) -> Offset {
    match start {
        Start::Latest => END_TO_COME,
        Start::Cursor(cursor) => cursor.position(index).unwrap_or(BEGIN_TO_COME),
        Start::Offset(at) => *at,
        Start::Earliest | Start::Time(_) => BEGIN_TO_COME,
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

/// A topic that was not found, to a reader.
impl From<TopicError> for FetchError {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Unknown(name) => Self::UnknownTopic(name),
            other => Self::Unavailable(other.to_string()),
        }
    }
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
