//! Takes batches in: what is accepted will meet its fate, whether or not anybody waits for the answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::PartitionId;
use model::limits::PRODUCER_REPLAY_BYTES_MAX;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use wire::Batch;

use crate::error::PublishError;
use crate::inner::Inner;
use crate::metadata::SavedProducers;
use crate::partition::{Appended, Partition, Place};
use crate::producers::ProducerTable;
use crate::remote::too_late;
use crate::seat::Seat;
use crate::topic::Topic;

/// A batch that was accepted.
pub(super) enum Accepted {
    /// By this node.
    Here(oneshot::Receiver<Appended>),
    /// For another one, in the order of the line.
    Afar(oneshot::Receiver<Result<Place, PublishError>>),
}

impl Inner {
    /// Waits in line for the bytes' turn and hands the batch to the partition, or to the line of the
    /// node that leads it. Another node has `until` then to say what became of the batch.
    pub(super) async fn accept(
        &self,
        topic: &Topic,
        seat: &Seat,
        batch: Batch,
        until: Instant,
    ) -> Result<Accepted, PublishError> {
        if seat.led().is_some() {
            let _line = seat.in_line().await;
            if let Some(partition) = seat.led() {
                return self.take(partition, batch).await;
            }
        }
        let sent = timeout_at(until, self.send(topic, seat, batch, until)).await;
        sent.unwrap_or_else(|_| {
            self.count_refusal();
            Err(too_late())
        })
    }

    /// The same for a batch that another node has passed on, which is not passed on again.
    pub(super) async fn accept_here(
        &self,
        seat: &Seat,
        batch: Batch,
    ) -> Result<Accepted, PublishError> {
        let _line = seat.in_line().await;
        match seat.led() {
            Some(partition) => self.take(partition, batch).await,
            None => Err(PublishError::LeaderUnavailable(
                "it leads the partition no more".to_owned(),
            )),
        }
    }

    async fn take(
        &self,
        partition: &Arc<Partition>,
        batch: Batch,
    ) -> Result<Accepted, PublishError> {
        self.standing.check()?;
        // Before there is room: a slow `hark.db` holds up this partition and no other.
        if batch.header().producer.is_some() {
            self.note_producer(partition, &batch).await?;
        }
        let room = self.budget.take_here(batch.bytes().len()).await?;
        let answer = partition.append(&*self.store, batch, room);
        let answer = answer.inspect_err(|_| self.count_refusal())?;
        Ok(Accepted::Here(answer))
    }

    async fn send(
        &self,
        topic: &Topic,
        seat: &Seat,
        batch: Batch,
        until: Instant,
    ) -> Result<Accepted, PublishError> {
        let _line = seat.in_line().await;
        let (me, leader) = (self.cluster.me(), seat.agreed().leader);
        // It should be here, and could not be made.
        if leader == Some(me)
            && let Some(why) = self.reconciler.failure(topic.id)
        {
            return Err(why.into());
        }
        let to = leader.unwrap_or(me);
        let room = self.budget.take_afar(to, batch.bytes().len()).await?;
        let id = PartitionId {
            topic: topic.id,
            index: seat.index,
        };
        Ok(Accepted::Afar(self.remote.append(id, batch, room, until)))
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
}

impl Accepted {
    /// What became of the batch.
    pub(super) async fn fate(self) -> Result<Place, PublishError> {
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
