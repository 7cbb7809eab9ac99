//! Publishes records and batches.

mod accepting;

use std::sync::Arc;
use std::time::Duration;

use model::{Mode, PartitionIndex, TopicId, TopicName};
use tokio::time::Instant;
use wire::{Batch, BatchError};

use crate::api::{Publish, Receipt};
use crate::batches::{self, Cut};
use crate::error::{PublishError, TopicError};
use crate::inner::Inner;
use crate::partition::Place;
use crate::seat::Seat;
use crate::topic::Topic;

/// Disks that hold an acknowledged record.
const COPIES: u16 = 1;
/// How long other nodes have, from the moment that the topic is there, to say what became of a publish.
/// Less than most clients wait: whoever hears nothing knows less than whoever hears that it is not known.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Attribute bits that only a broker may write.
const TRANSACTIONAL_BIT: u16 = 1 << 4;
const CONTROL_BIT: u16 = 1 << 5;

impl Inner {
    pub(crate) async fn publish(&self, publish: Publish) -> Result<Vec<Receipt>, PublishError> {
        if publish.records.is_empty() {
            return Err(PublishError::Empty);
        }
        let topic = self.topic_to_publish(&publish.topic).await?;
        let now = self.clock.wall();
        let cut = batches::cut(&topic, &publish, now).inspect_err(|_| self.count_refusal())?;
        let times = publish
            .records
            .iter()
            .map(|record| record.timestamp.unwrap_or(now));
        let times: Vec<_> = times.collect();
        drop(publish);
        let Cut { batches, places } = cut;
        let outcomes = self.append_all(&topic, batches).await;
        let receipts = places.iter().zip(times).map(|((batch, index), timestamp)| {
            let (partition, place) = outcomes.get(*batch as usize)?.as_ref().ok()?;
            Some(Receipt {
                offset: place.offset.saturating_add(u64::from(*index)),
                timestamp,
                ..receipt(*partition, *place)
            })
        });
        let receipts: Vec<Receipt> = receipts.flatten().collect();
        match outcomes.into_iter().find_map(Result::err) {
            None => Ok(receipts),
            Some(cause) if receipts.is_empty() => Err(cause),
            Some(cause) => Err(PublishError::Partial {
                acknowledged: receipts.len(),
                of: places.len(),
                cause: cause.to_string(),
            }),
        }
    }

    pub(crate) async fn append(
        &self,
        name: &TopicName,
        index: PartitionIndex,
        batch: Batch,
    ) -> Result<Receipt, PublishError> {
        check_flags(&batch)?;
        let topic = self.topic_to_publish(name).await?;
        self.append_in(&topic, index, batch).await
    }

    pub(crate) async fn append_to(
        &self,
        name: &TopicName,
        id: TopicId,
        index: PartitionIndex,
        batch: Batch,
    ) -> Result<Receipt, PublishError> {
        check_flags(&batch)?;
        let topic = self.topic_meant(name, id).await?;
        self.append_in(&topic, index, batch).await
    }

    /// The topic of this name, which must have this identity. This node may know an older one.
    async fn topic_meant(&self, name: &TopicName, id: TopicId) -> Result<Arc<Topic>, TopicError> {
        if let Some(topic) = self.topics.by_id(id).filter(|topic| topic.name == *name) {
            return Ok(topic);
        }
        if self.topics.by_name(name).is_some() {
            self.look_again().await?;
        }
        let topic = self.find_topic(name).await?;
        if topic.id == id {
            Ok(topic)
        } else {
            Err(TopicError::Replaced(name.to_string()))
        }
    }

    async fn append_in(
        &self,
        topic: &Topic,
        index: PartitionIndex,
        batch: Batch,
    ) -> Result<Receipt, PublishError> {
        let (size, max) = (batch.bytes().len(), topic.max_message_bytes());
        if size > max {
            self.count_refusal();
            return Err(PublishError::TooLarge { size, max });
        }
        let Some(seat) = topic.seat(index) else {
            return Err(PublishError::Partition {
                topic: topic.name.to_string(),
                partition: index,
            });
        };
        let until = Instant::now() + ANSWER_PATIENCE;
        let accepted = self.accept(topic, seat, batch, until).await?;
        let place = accepted.fate().await;
        place
            .map(|place| receipt(index, place))
            .map_err(|error| self.named(error, topic))
    }

    /// Appends batches in order and waits for all of them. What was accepted before a refusal stays
    /// accepted, and what comes after it is not tried.
    async fn append_all(
        &self,
        topic: &Topic,
        batches: Vec<(PartitionIndex, Batch)>,
    ) -> Vec<Result<(PartitionIndex, Place), PublishError>> {
        let mut accepted = Vec::with_capacity(batches.len());
        let mut refused = None;
        let until = Instant::now() + ANSWER_PATIENCE;
        for (index, batch) in batches {
            let Some(seat) = topic.seat(index) else {
                continue;
            };
            match self.accept(topic, seat, batch, until).await {
                Ok(batch) => accepted.push((index, batch)),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let mut outcomes = Vec::with_capacity(accepted.len() + 1);
        for (index, batch) in accepted {
            let place = batch.fate().await;
            outcomes.push(place.map(|place| (index, place)));
        }
        outcomes.extend(refused.map(Err));
        let named = |outcome: Result<_, _>| outcome.map_err(|error| self.named(error, topic));
        outcomes.into_iter().map(named).collect()
    }

    /// Appends batches that brokers of other nodes pass on. Each is taken or refused by itself, for they
    /// are of different publishers; those that are taken keep their order.
    pub(crate) async fn append_each(
        &self,
        topic: &Topic,
        seat: &Seat,
        batches: Vec<Batch>,
    ) -> Vec<Result<Place, PublishError>> {
        let max = topic.max_message_bytes();
        let mut accepted = Vec::with_capacity(batches.len());
        for batch in batches {
            let size = batch.bytes().len();
            accepted.push(match size > max {
                true => Err(PublishError::TooLarge { size, max }),
                false => self.accept_here(seat, batch).await,
            });
        }
        let mut fates = Vec::with_capacity(accepted.len());
        for accepted in accepted {
            let fate = match accepted {
                Ok(batch) => batch.fate().await,
                Err(error) => Err(error),
            };
            fates.push(fate.map_err(|error| self.named(error, topic)));
        }
        fates
    }

    /// A partition that is gone, or that nobody leads any more, may mean that its topic is.
    fn named(&self, error: PublishError, topic: &Topic) -> PublishError {
        let is_gone = match &error {
            PublishError::Topic(TopicError::Unknown(_)) => true,
            PublishError::LeaderUnavailable(_) => self.cluster.catalog().is_deleted(topic.id),
            _ => false,
        };
        if is_gone {
            TopicError::Unknown(topic.name.to_string()).into()
        } else {
            error
        }
    }

    fn count_refusal(&self) {
        self.counts().publishes_failed.add(1);
    }
}

/// Checks what a batch's own checks leave out: that its records can be read, one by one, within the
/// limits. A door that takes batches from outside asks this before it appends them, once. Takes as
/// long as decompressing the batch does.
pub fn check_records(batch: &Batch) -> Result<(), PublishError> {
    let records = compress::records(batch);
    let mut records = records.map_err(|error| PublishError::Undecodable(error.to_string()))?;
    let fault = records.find_map(Result::err);
    fault.map_or(Ok(()), |error| {
        Err(PublishError::Undecodable(error.to_string()))
    })
}

/// Clients may not write the marks of transactions, which this node does not have.
fn check_flags(batch: &Batch) -> Result<(), PublishError> {
    let header = batch.header();
    let forbidden = [
        (header.is_transactional, TRANSACTIONAL_BIT),
        (header.is_control, CONTROL_BIT),
    ];
    let bits = forbidden
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, bit)| bit)
        .sum();
    if bits == 0 {
        Ok(())
    } else {
        Err(PublishError::Invalid(BatchError::Attributes(bits)))
    }
}

const fn receipt(partition: PartitionIndex, place: Place) -> Receipt {
    Receipt {
        mode: Mode::Leader,
        partition,
        offset: place.offset,
        leader_epoch: place.leader_epoch,
        copies: COPIES,
        timestamp: place.timestamp,
        duplicate: place.duplicate,
    }
}
