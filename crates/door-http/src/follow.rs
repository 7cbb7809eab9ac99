//! Following a topic record by record, each with the cursor that goes on after it: what SSE and
//! WebSocket share.

use std::collections::VecDeque;
use std::time::Duration;

use broker::{Broker, Delivered, FetchError, Gap, Poll, Polled, Start};
use model::{PartitionIndex, TopicName};
use serde::Deserialize;
use wire::cursor::Cursor;

use crate::door::Door;
use crate::error::Refusal;
use crate::poll::{partitions, start};

/// Most records fetched at once: they wait here until the client has taken them.
const RECORDS_AHEAD_MAX: usize = 256;
/// Up to so many partitions every record comes with a cursor; above, the last of each burst does.
const CURSOR_PER_RECORD_PARTITIONS_MAX: usize = 64;

/// The parameters of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowQuery {
    pub(crate) cursor: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) partition: Option<String>,
}

/// A reader's place in a topic.
#[derive(Debug)]
pub(crate) struct Follower {
    broker: Broker,
    topic: TopicName,
    partitions: Option<Vec<PartitionIndex>>,
    /// After the last item taken.
    cursor: Cursor,
    ahead: VecDeque<Item>,
    /// After the last item of `ahead`.
    end: Cursor,
}

/// What a reader is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Record(Delivered),
    Gap(Gap),
}

impl Follower {
    /// Finds the place to begin, so that nothing published after this returns is missed.
    pub(crate) async fn new(
        door: &Door,
        topic: TopicName,
        query: FollowQuery,
    ) -> Result<Self, Refusal> {
        let wanted = query.partition.as_deref().map(partitions).transpose()?;
        let start = start(query.cursor.as_deref(), query.from.as_deref())?;
        let cursor = door.broker().resolve(&topic, &start).await?;
        if let Some(wanted) = &wanted {
            check_partitions(&topic, wanted, &cursor)?;
        }
        let cursor = only(cursor, wanted.as_deref());
        Ok(Self {
            broker: door.broker().clone(),
            topic,
            partitions: wanted,
            end: cursor.clone(),
            cursor,
            ahead: VecDeque::new(),
        })
    }

    /// The place after what was taken.
    pub(crate) const fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Waits until there is an item to take; false when the wait is over first. May be dropped
    /// while it waits.
    pub(crate) async fn fill(&mut self, wait: Duration) -> Result<bool, FetchError> {
        if !self.ahead.is_empty() {
            return Ok(true);
        }
        let poll = Poll {
            topic: self.topic.clone(),
            partitions: self.partitions.clone(),
            start: Start::Cursor(self.cursor.clone()),
            max_records: RECORDS_AHEAD_MAX,
            wait,
        };
        let polled = Box::pin(self.broker.poll(poll)).await?;
        self.end.clone_from(&polled.cursor);
        self.ahead = in_order(polled);
        if self.ahead.is_empty() {
            self.cursor.clone_from(&self.end);
        }
        Ok(!self.ahead.is_empty())
    }

    /// The next item and, when there is one, the cursor text that goes on after it.
    pub(crate) fn pop(&mut self) -> Option<(Item, Option<String>)> {
        let item = self.ahead.pop_front()?;
        if self.ahead.is_empty() {
            self.cursor.clone_from(&self.end);
            return Some((item, Some(self.cursor.encode())));
        }
        match &item {
            Item::Record(record) => {
                self.cursor
                    .set(record.partition, record.offset.saturating_add(1));
            }
            Item::Gap(gap) => self.cursor.set(gap.partition, gap.to),
        }
        let is_cheap = self.cursor.positions().len() <= CURSOR_PER_RECORD_PARTITIONS_MAX;
        Some((item, is_cheap.then(|| self.cursor.encode())))
    }
}

fn check_partitions(
    topic: &TopicName,
    wanted: &[PartitionIndex],
    cursor: &Cursor,
) -> Result<(), FetchError> {
    match wanted
        .iter()
        .find(|partition| cursor.position(**partition).is_none())
    {
        Some(&partition) => Err(FetchError::Partition {
            topic: topic.to_string(),
            partition,
        }),
        None => Ok(()),
    }
}

fn only(cursor: Cursor, wanted: Option<&[PartitionIndex]>) -> Cursor {
    match wanted {
        None => cursor,
        Some(wanted) => {
            let positions = cursor.positions().iter().copied();
            Cursor::new(
                cursor.topic(),
                positions.filter(|(p, _)| wanted.contains(p)),
            )
        }
    }
}

/// Records with the gaps where they belong: before the first record of their partition that
/// follows them, so that a cursor in between is never past something untold.
fn in_order(polled: Polled) -> VecDeque<Item> {
    let mut gaps = polled.gaps;
    gaps.sort_by_key(|gap| (gap.partition, gap.from));
    let mut items = VecDeque::with_capacity(polled.records.len() + gaps.len());
    for record in polled.records {
        let is_before = |gap: &Gap| gap.partition == record.partition && gap.to <= record.offset;
        while let Some(at) = gaps.iter().position(is_before) {
            items.push_back(Item::Gap(gaps.remove(at)));
        }
        items.push_back(Item::Record(record));
    }
    items.extend(gaps.into_iter().map(Item::Gap));
    items
}

#[cfg(test)]
mod tests {
    use broker::GapReason;
    use model::{Offset, Record, TopicId};

    use super::*;

    fn record(partition: u32, offset: u64) -> Delivered {
        let offset = Offset::new(offset).unwrap();
        Delivered {
            partition: PartitionIndex(partition),
            offset,
            record: Record::default(),
        }
    }

    fn gap(partition: u32, from: u64, to: u64) -> Gap {
        let [from, to] = [from, to].map(|n| Offset::new(n).unwrap());
        Gap {
            partition: PartitionIndex(partition),
            from,
            to,
            reason: GapReason::Deleted,
        }
    }

    #[test]
    fn gaps_come_before_the_records_that_follow_them() {
        let polled = Polled {
            records: vec![record(1, 0), record(0, 5), record(1, 1), record(1, 9)],
            gaps: vec![gap(1, 2, 9), gap(0, 0, 5), gap(2, 0, 3)],
            cursor: Cursor::new(TopicId::from_bytes([0; 16]), []),
        };
        let items: Vec<Item> = in_order(polled).into();
        assert_eq!(
            items,
            [
                Item::Record(record(1, 0)),
                Item::Gap(gap(0, 0, 5)),
                Item::Record(record(0, 5)),
                Item::Record(record(1, 1)),
                Item::Gap(gap(1, 2, 9)),
                Item::Record(record(1, 9)),
                Item::Gap(gap(2, 0, 3)),
            ]
        );
    }
}
