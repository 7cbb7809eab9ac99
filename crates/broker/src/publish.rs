//! Publishes records and batches.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::limits::{APPEND_BYTES_IN_FLIGHT_MAX, PRODUCER_REPLAY_BYTES_MAX};
use model::{Mode, PartitionId, PartitionIndex, TopicId, TopicName};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wire::{Batch, BatchError};

use crate::api::{Publish, Receipt};
use crate::batches::{self, Cut};
use crate::error::{PublishError, TopicError};
use crate::inner::Inner;
use crate::metadata::SavedProducers;
use crate::partition::{Appended, Partition, Place};
use crate::producers::ProducerTable;
use crate::seat::Seat;
use crate::topic::Topic;

/// Disks that hold an acknowledged record.
const COPIES: u16 = 1;
/// Attribute bits that only a broker may write.
const TRANSACTIONAL_BIT: u16 = 1 << 4;
const CONTROL_BIT: u16 = 1 << 5;

/// A batch that was accepted.
enum Accepted {
    /// By this node.
    Here(oneshot::Receiver<Appended>),
    /// For another one, in the order of the line.
    Afar(oneshot::Receiver<Result<Place, PublishError>>),
}

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
        let accepted = self.accept(topic, seat, batch).await?;
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
        for (index, batch) in batches {
            let Some(seat) = topic.seat(index) else {
                continue;
            };
            match self.accept(topic, seat, batch).await {
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
                false => self.accept(topic, seat, batch).await,
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

    /// Waits in line for the bytes' turn and hands the batch to the partition, or to the line of the
    /// node that leads it. Once this returns the batch will meet its fate, whether or not anybody waits
    /// for the answer.
    async fn accept(
        &self,
        topic: &Topic,
        seat: &Seat,
        batch: Batch,
    ) -> Result<Accepted, PublishError> {
        let _line = match seat.line.try_lock() {
            Ok(line) => line,
            Err(_) => seat.line.lock().await,
        };
        let Some(partition) = seat.led() else {
            let budget = self.take_budget(batch.bytes().len()).await?;
            let id = PartitionId {
                topic: topic.id,
                index: seat.index,
            };
            return Ok(Accepted::Afar(self.remote.append(id, batch, budget)));
        };
        // Before the budget is taken: a slow `hark.db` holds up this partition and no other.
        if batch.header().producer.is_some() {
            self.note_producer(partition, &batch).await?;
        }
        let budget = self.take_budget(batch.bytes().len()).await?;
        let answer = partition.append(&*self.store, batch, budget);
        let answer = answer.inspect_err(|_| self.count_refusal())?;
        Ok(Accepted::Here(answer))
    }

    async fn take_budget(&self, bytes: usize) -> Result<OwnedSemaphorePermit, PublishError> {
        // More than there is would wait for ever.
        let bytes = bytes.min(APPEND_BYTES_IN_FLIGHT_MAX);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let budget = Arc::clone(&self.budget);
        let taken = budget.acquire_many_owned(permits).await;
        taken.map_err(|_| PublishError::Stopped("the node is stopping".to_owned()))
    }

    /// Makes sure that a restart will look for this partition's producers, and not too far back.
    async fn note_producer(
        &self,
        partition: &Arc<Partition>,
        batch: &Batch,
    ) -> Result<(), PublishError> {
        let size = batch.bytes().len() as u64;
        let unsaved = self.unsaved_bytes.fetch_add(size, Ordering::Relaxed) + size;
        if unsaved >= PRODUCER_REPLAY_BYTES_MAX {
            self.save_now.notify_one();
        }
        if partition.has_producers.load(Ordering::Acquire) {
            return Ok(());
        }
        let up_to = partition.end();
        let mark = SavedProducers {
            partition: partition.id,
            up_to,
            table: ProducerTable::default().encode(up_to),
        };
        Box::pin(self.metadata.run(move |db| db.save_producers(&[mark]))).await?;
        partition.has_producers.store(true, Ordering::Release);
        self.with_producers.lock().push(Arc::downgrade(partition));
        Ok(())
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

impl Accepted {
    /// What became of the batch.
    async fn fate(self) -> Result<Place, PublishError> {
        let gone = |what: &str| Err(PublishError::Stopped(what.to_owned()));
        match self {
            Self::Here(answer) => match answer.await {
                Ok(appended) => appended.map_err(PublishError::from),
                // The store dropped its callback, which only a store that died does.
                Err(_) => gone("the store is gone"),
            },
            Self::Afar(answer) => answer
                .await
                .unwrap_or_else(|_| gone("the node is stopping")),
        }
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
