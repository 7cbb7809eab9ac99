//! Makes this node's part of one topic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::limits::FETCH_BYTES_MAX;
use model::{PartitionId, PartitionIndex};
use seglog::{Bounds, PartitionSettings, ReadError, Store, StoreError};

use super::Made;
use crate::error::TopicError;
use crate::inner::Inner;
use crate::metadata::{Metadata, MetadataError, SavedProducers, TopicRow};
use crate::partition::{Held, Partition};
use crate::producers::ProducerTable;
use crate::topic::Topic;

/// Why this node's part of a topic is not made.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The store or `hark.db` did not take it.
    Topic(TopicError),
    /// What is in the store cannot be read.
    Unreadable(String),
}

/// What is to be done for one topic, off the async workers.
struct Work {
    /// With everything that is to be held.
    row: TopicRow,
    settings: PartitionSettings,
    /// Whether the store and `hark.db` have to be told of any of it.
    is_news: bool,
    /// Whether the settings are others than `hark.db` knows.
    is_configured: bool,
    /// Partitions to open, with what is known of their producers.
    open: Vec<(PartitionId, Option<SavedProducers>)>,
}

impl Inner {
    /// Makes this node's part of a topic what the catalog says.
    pub(super) async fn settle(
        &self,
        agreed: &Arc<catalog::Topic>,
        made: &mut Made,
    ) -> Result<(), Failure> {
        let known = self.topics.by_id(agreed.id);
        if let Some(topic) = &known
            && (Arc::ptr_eq(&topic.agreed(), agreed) || topic.agreed() == *agreed)
            && self.reconciler.failure(agreed.id).is_none()
        {
            return Ok(());
        }
        let topic = known.clone().unwrap_or_else(|| self.new_topic(agreed));
        // Before anything is made, so that no partition takes a batch under an old reign.
        topic.agree(Arc::clone(agreed), self.cluster.me());
        let furnished = self.furnish(&topic, agreed, made).await;
        if known.is_none() {
            self.topics.insert(&topic);
            let partitions = topic.partition_count();
            self.groups.partitions_changed(&topic, partitions);
            tracing::debug!(topic = %topic.name, id = %topic.id, partitions, "topic is known");
        } else {
            // Who waits may find a partition where there was none.
            topic.wake.ring();
        }
        furnished
    }

    fn new_topic(&self, agreed: &Arc<catalog::Topic>) -> Arc<Topic> {
        Arc::new(Topic::new(
            Arc::clone(agreed),
            self.cluster.me(),
            Arc::clone(&self.makers.topic_defaults),
            self.makers.wake(),
        ))
    }

    /// Makes and opens the partitions that are to be here and are not, and tells the store of settings
    /// that are new.
    async fn furnish(
        &self,
        topic: &Topic,
        agreed: &catalog::Topic,
        made: &mut Made,
    ) -> Result<(), Failure> {
        let me = self.cluster.me();
        let mine = topic
            .seats
            .iter()
            .filter(|seat| seat.here().is_none() && seat.agreed().replicas.contains(&me));
        let mine: Vec<PartitionIndex> = mine.map(|seat| seat.index).collect();
        let Some(work) = self.work(topic, agreed, &mine, made) else {
            return Ok(());
        };
        let row = work.row.clone();
        let (store, metadata) = (Arc::clone(&self.store), self.metadata.clone());
        let done = tokio::task::spawn_blocking(move || work.carry_out(&*store, &metadata)).await;
        let held = match done {
            Ok(held) => held?,
            Err(_) => return Err(TopicError::Stopped("the node is stopping".to_owned()).into()),
        };
        made.rows.insert(row.id, row);
        for (index, held) in held {
            let id = PartitionId {
                topic: topic.id,
                index,
            };
            made.saved_producers.remove(&id);
            self.open_partition(topic, id, held);
        }
        Ok(())
    }

    /// What has to be done, if anything.
    fn work(
        &self,
        topic: &Topic,
        agreed: &catalog::Topic,
        mine: &[PartitionIndex],
        made: &Made,
    ) -> Option<Work> {
        let before = made.rows.get(&topic.id);
        let is_configured = before.is_some_and(|row| row.settings != agreed.settings);
        if mine.is_empty() && !is_configured {
            return None;
        }
        let mut held = before.map(|row| row.held.clone()).unwrap_or_default();
        let is_news = mine.iter().filter(|index| held.insert(**index)).count() > 0;
        let open = mine.iter().map(|index| {
            let id = PartitionId {
                topic: topic.id,
                index: *index,
            };
            (id, made.saved_producers.get(&id).cloned())
        });
        Some(Work {
            open: open.collect(),
            row: TopicRow {
                id: topic.id,
                name: topic.name.clone(),
                partitions: topic.partition_count(),
                created: topic.created,
                settings: agreed.settings.clone(),
                applied: true,
                held,
            },
            settings: topic.effective().of_store(),
            is_news,
            is_configured,
        })
    }

    fn open_partition(&self, topic: &Topic, id: PartitionId, held: Held) {
        let partition = Arc::new(Partition::new(
            id,
            held,
            self.makers.fresh(),
            Arc::clone(&topic.wake),
            Arc::clone(&self.makers.counts),
        ));
        if partition.has_producers.load(Ordering::Relaxed) {
            self.with_producers.lock().push(Arc::downgrade(&partition));
        }
        if let Some(seat) = topic.seat(id.index) {
            seat.make(partition);
        }
    }
}

impl Work {
    /// Runs off the async workers: it reads and may write.
    fn carry_out(
        self,
        store: &dyn Store,
        metadata: &Metadata,
    ) -> Result<BTreeMap<PartitionIndex, Held>, Failure> {
        let noted = |error: rusqlite::Error| Failure::from(MetadataError::from(error));
        if self.is_configured {
            metadata
                .configure_topic(self.row.id, &self.row.settings)
                .map_err(noted)?;
        }
        if self.is_news || self.is_configured {
            store.create_partitions(&self.row.held_ids(), self.settings)?;
        }
        if self.is_news {
            metadata.hold(&self.row).map_err(noted)?;
        }
        if self.is_configured {
            metadata.mark_applied(self.row.id).map_err(noted)?;
        }
        let open = self.open.into_iter();
        let found = open.map(|(id, saved)| Ok((id.index, find(store, id, saved)?)));
        found.collect()
    }
}

/// What a partition holds.
fn find(
    store: &dyn Store,
    id: PartitionId,
    saved: Option<SavedProducers>,
) -> Result<Held, Failure> {
    let bounds = store.bounds(id).map_err(|error| unreadable(id, &error))?;
    let bytes = store.size(id).map_err(|error| unreadable(id, &error))?;
    let producers = match saved {
        Some(saved) => Some(replay(store, bounds, &saved)?),
        None => None,
    };
    Ok(Held {
        bounds,
        bytes,
        producers,
    })
}

/// What producers had written by the end of the log: the snapshot, and the batches behind it.
fn replay(
    store: &dyn Store,
    bounds: Bounds,
    saved: &SavedProducers,
) -> Result<ProducerTable, Failure> {
    let id = saved.partition;
    // A snapshot of more than there is was taken of another log: a restored backup, perhaps.
    let table = (saved.up_to <= bounds.end).then(|| ProducerTable::decode(&saved.table));
    let Some(mut table) = table.flatten() else {
        tracing::warn!(partition = %id, "what producers had written is not known; retries from before this start may be appended twice");
        return Ok(ProducerTable::default());
    };
    let mut next = saved.up_to.max(bounds.start);
    while next < bounds.end {
        match store.read(id, next, FETCH_BYTES_MAX) {
            Ok(batches) => {
                for batch in &batches {
                    table.record(&batch.header(), bounds.end);
                }
                let last = batches.last().map(|batch| batch.header().last_offset);
                next = last.map_or(bounds.end, |last| last.saturating_add(1));
            }
            Err(ReadError::Damaged { resume_at, .. }) if resume_at > next => next = resume_at,
            Err(error) => return Err(unreadable(id, &error)),
        }
    }
    Ok(table)
}

fn unreadable(id: PartitionId, error: &ReadError) -> Failure {
    Failure::Unreadable(format!("partition {id} cannot be read: {error}"))
}

impl From<TopicError> for Failure {
    fn from(error: TopicError) -> Self {
        Self::Topic(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Topic(error.into())
    }
}

impl From<MetadataError> for Failure {
    fn from(error: MetadataError) -> Self {
        Self::Topic(error.into())
    }
}

impl From<Failure> for TopicError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Topic(error) => error,
            Failure::Unreadable(why) => Self::Stopped(why),
        }
    }
}
