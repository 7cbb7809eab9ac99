//! Makes, changes and deletes topics.

use std::sync::Arc;

use model::{Mode, Offset, PartitionId, PartitionIndex, TopicName};
use seglog::{Store, StoreError};

use crate::api::{NewTopic, PartitionDescription, TopicChanges, TopicDescription, TopicSettings};
use crate::error::{FetchError, TopicError};
use crate::inner::{Inner, Makers};
use crate::metadata::{MetadataError, TopicRow};
use crate::partition::{Held, Partition};
use crate::settings;
use crate::topic::{Topic, describe_partition};

impl Inner {
    /// A topic of users.
    pub(crate) fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, TopicError> {
        let found = self.topics.by_name(name);
        found.ok_or_else(|| TopicError::Unknown(name.to_string()))
    }

    /// A topic to publish to, made now if the node makes topics by itself.
    pub(crate) async fn topic_to_publish(
        self: &Arc<Self>,
        name: &TopicName,
    ) -> Result<Arc<Topic>, TopicError> {
        match self.topics.by_name(name) {
            Some(topic) => Ok(topic),
            None if name.is_internal() => Err(TopicError::Reserved),
            None if self.options.auto_create_topics => Box::pin(self.auto_create(name)).await,
            None => Err(TopicError::Unknown(name.to_string())),
        }
    }

    /// Of several publishers that meet here one makes the topic and all use it.
    async fn auto_create(self: &Arc<Self>, name: &TopicName) -> Result<Arc<Topic>, TopicError> {
        let topic = NewTopic {
            name: name.clone(),
            partitions: None,
            replication_factor: None,
            mode: Mode::Leader,
            settings: TopicSettings::default(),
        };
        match self.create_topic(topic).await {
            Ok(_) | Err(TopicError::Exists(_)) => self.topic(name),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn create_topic(
        self: &Arc<Self>,
        topic: NewTopic,
    ) -> Result<TopicDescription, TopicError> {
        let partitions = settings::check_new(&topic, self.options.default_partitions)?;
        let this = Arc::clone(self);
        undisturbed(async move { this.make(topic, partitions).await }).await
    }

    pub(crate) async fn delete_topic(self: &Arc<Self>, name: &TopicName) -> Result<(), TopicError> {
        let (this, name) = (Arc::clone(self), name.clone());
        undisturbed(async move { this.remove(&name).await }).await
    }

    pub(crate) async fn configure_topic(
        self: &Arc<Self>,
        name: &TopicName,
        changes: TopicChanges,
    ) -> Result<TopicDescription, TopicError> {
        let (this, name) = (Arc::clone(self), name.clone());
        undisturbed(async move { this.configure(&name, &changes).await }).await
    }

    pub(crate) async fn delete_records(
        &self,
        name: &TopicName,
        index: PartitionIndex,
        before: Offset,
    ) -> Result<PartitionDescription, FetchError> {
        let topic = self.topic_to_read(name)?;
        let partition = Arc::clone(partition_of(&topic, index)?);
        let (start, end) = (partition.start(), partition.end());
        if before > end {
            return Err(FetchError::OutOfRange {
                partition: index,
                wanted: before,
                start,
                end,
            });
        }
        let unknown = name.to_string();
        self.on_disk(move |store| {
            let bounds = store.delete_before(partition.id, before);
            let bounds = bounds.map_err(|error| match error {
                StoreError::Invalid(_) => FetchError::UnknownTopic(unknown),
                other => FetchError::Io(other.to_string()),
            })?;
            partition.shrunk(store, bounds.start);
            Ok(describe_partition(&partition))
        })
        .await?
    }

    async fn make(&self, new: NewTopic, partitions: u32) -> Result<TopicDescription, TopicError> {
        let _one_at_a_time = self.topics.changes.lock().await;
        self.topics.check_room(&new.name, partitions)?;
        let row = TopicRow {
            id: self.new_topic_id(),
            name: new.name,
            partitions,
            created: self.clock.wall(),
            settings: new.settings,
            applied: true,
        };
        let ids = partition_ids(&row);
        let settings = row.settings.over(&self.makers.topic_defaults).of_store();
        let to_create = ids.clone();
        self.change_store(move |store| store.create_partitions(&to_create, settings))
            .await?;
        let to_insert = row.clone();
        let inserted = self
            .metadata
            .run(move |db| db.insert_topic(&to_insert))
            .await;
        if let Err(error) = inserted {
            // What stays behind if this fails too is dropped at the next start.
            let dropped = self
                .change_store(move |store| store.drop_partitions(&ids))
                .await;
            tracing::warn!(topic = %row.name, ?error, ?dropped, "topic not made");
            return Err(error.into());
        }
        let topic = Arc::new(assemble(row, &self.makers, |_| Held::NOTHING));
        self.topics.insert(&topic);
        self.groups
            .partitions_changed(&topic, topic.partition_count());
        tracing::info!(topic = %topic.name, id = %topic.id, partitions, "topic made");
        Ok(topic.describe())
    }

    async fn remove(&self, name: &TopicName) -> Result<(), TopicError> {
        let _one_at_a_time = self.topics.changes.lock().await;
        let topic = self.topic(name)?;
        let id = topic.id;
        self.metadata.run(move |db| db.delete_topic(id)).await?;
        self.topics.remove(&topic);
        topic.delete();
        self.groups.partitions_changed(&topic, 0);
        let ids: Vec<PartitionId> = topic.partitions.iter().map(|p| p.id).collect();
        let dropped = self
            .change_store(move |store| store.drop_partitions(&ids))
            .await;
        if let Err(error) = dropped {
            // The topic is gone for everybody; its bytes go at the next start.
            tracing::warn!(topic = %name, %error, "records of a deleted topic are still on disk");
        }
        tracing::info!(topic = %name, %id, "topic deleted");
        Ok(())
    }

    async fn configure(
        &self,
        name: &TopicName,
        changes: &TopicChanges,
    ) -> Result<TopicDescription, TopicError> {
        let _one_at_a_time = self.topics.changes.lock().await;
        let topic = self.topic(name)?;
        let (id, settings) = (topic.id, settings::changed(topic.settings(), changes)?);
        let written = settings.clone();
        self.metadata
            .run(move |db| db.configure_topic(id, &written))
            .await?;
        topic.configure(settings);
        let ids: Vec<PartitionId> = topic.partitions.iter().map(|p| p.id).collect();
        let settings = topic.effective().of_store();
        self.change_store(move |store| store.create_partitions(&ids, settings))
            .await?;
        self.metadata.run(move |db| db.mark_applied(id)).await?;
        Ok(topic.describe())
    }

    async fn change_store(
        &self,
        change: impl FnOnce(&dyn Store) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), TopicError> {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || change(&*store)).await {
            Ok(result) => result.map_err(TopicError::from),
            Err(_) => Err(TopicError::Stopped("the node is stopping".to_owned())),
        }
    }
}

/// Runs a change to its end even if the caller goes away.
async fn undisturbed<T: Send + 'static>(
    change: impl Future<Output = Result<T, TopicError>> + Send + 'static,
) -> Result<T, TopicError> {
    match tokio::spawn(change).await {
        Ok(result) => result,
        Err(_) => Err(TopicError::Stopped("the node is stopping".to_owned())),
    }
}

/// The partition of this number, or an error that names both.
pub(crate) fn partition_of(
    topic: &Topic,
    index: PartitionIndex,
) -> Result<&Arc<Partition>, FetchError> {
    topic.partition(index).ok_or_else(|| FetchError::Partition {
        topic: topic.name.to_string(),
        partition: index,
    })
}

/// All partitions of a stored topic.
pub(crate) fn partition_ids(row: &TopicRow) -> Vec<PartitionId> {
    let topic = row.id;
    let indexes = (0..row.partitions).map(PartitionIndex);
    indexes.map(|index| PartitionId { topic, index }).collect()
}

/// A topic from its row; `held_by` says what each partition holds.
pub(crate) fn assemble(
    row: TopicRow,
    makers: &Makers,
    mut held_by: impl FnMut(PartitionId) -> Held,
) -> Topic {
    let wake = makers.wake();
    let partitions = partition_ids(&row).into_iter().map(|id| {
        let (wake, counts) = (Arc::clone(&wake), Arc::clone(&makers.counts));
        Arc::new(Partition::new(
            id,
            held_by(id),
            makers.fresh(),
            wake,
            counts,
        ))
    });
    let partitions = partitions.collect();
    Topic::new(
        row.id,
        row.name,
        row.created,
        (row.settings, Arc::clone(&makers.topic_defaults)),
        wake,
        partitions,
    )
}

impl From<StoreError> for TopicError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::Stopped(why) => Self::Stopped(why),
            other => Self::Stopped(other.to_string()),
        }
    }
}

impl From<MetadataError> for TopicError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Full => Self::Full,
            MetadataError::Failed(why) => Self::Stopped(why),
        }
    }
}
