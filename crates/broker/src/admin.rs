//! Makes, changes and deletes topics: asks the cluster to agree, and waits until this node has followed.

use std::sync::Arc;
use std::time::Duration;

use catalog::{Command, Outcome, Refusal};
use model::{Mode, Offset, PartitionId, PartitionIndex, TopicId, TopicName};
use seglog::{Store, StoreError};
use tokio::time::{Instant, timeout_at};

use crate::api::{
    Extent, NewTopic, PartitionDescription, TopicChanges, TopicDescription, TopicSettings,
};
use crate::error::{FetchError, TopicError};
use crate::inner::Inner;
use crate::metadata::MetadataError;
use crate::partition::Partition;
use crate::seams::{ClusterError, ProposeError};
use crate::seat::{Seat, extent};
use crate::settings;
use crate::topic::Topic;

/// Why what needs a fresh catalog cannot be said or done.
pub(crate) const NO_MAJORITY: &str = "no majority of the cluster answers this node now";
/// How long the cluster is asked for a topic that this node does not know.
const LOOK_AGAIN_PATIENCE: Duration = Duration::from_secs(1);
/// How long this node may take to make what was agreed on: a topic of very many partitions on a slow disk.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(30);

impl Inner {
    /// A topic of users, as far as this node knows.
    pub(crate) fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, TopicError> {
        let found = self.topics.by_name(name);
        found.ok_or_else(|| TopicError::Unknown(name.to_string()))
    }

    /// A topic of users. One that this node does not know may have been made through another node a
    /// moment ago: the cluster is asked once before it is said not to exist.
    pub(crate) async fn find_topic(&self, name: &TopicName) -> Result<Arc<Topic>, TopicError> {
        match self.topics.by_name(name) {
            Some(topic) => Ok(topic),
            None if name.is_internal() => Err(TopicError::Unknown(name.to_string())),
            None => {
                Box::pin(self.look_again()).await?;
                self.topic(name)
            }
        }
    }

    /// Waits until this node knows every topic that was acknowledged before.
    pub(crate) async fn look_again(&self) -> Result<(), TopicError> {
        let until = Instant::now() + LOOK_AGAIN_PATIENCE;
        let unavailable = |why: String| Err(TopicError::Unavailable(why));
        let catalog = match timeout_at(until, self.cluster.fresh()).await {
            Ok(Ok(catalog)) => catalog,
            Ok(Err(ClusterError::Unavailable(why))) => {
                return unavailable(format!("{NO_MAJORITY}: {why}"));
            }
            Err(_) => return unavailable(NO_MAJORITY.to_owned()),
        };
        match timeout_at(until, self.reconciled(catalog.revision())).await {
            Ok(()) => Ok(()),
            Err(_) => unavailable("this node has not yet made what is agreed on".to_owned()),
        }
    }

    /// Asks the cluster once for the topic of this identity, if nobody here has ever heard of it.
    pub(crate) async fn look_for(&self, id: TopicId) -> Result<(), TopicError> {
        if self.topics.by_id(id).is_none() && !self.cluster.catalog().is_deleted(id) {
            Box::pin(self.look_again()).await?;
        }
        Ok(())
    }

    /// A topic to publish to, made now if the node makes topics by itself.
    pub(crate) async fn topic_to_publish(
        &self,
        name: &TopicName,
    ) -> Result<Arc<Topic>, TopicError> {
        match self.topics.by_name(name) {
            Some(topic) => Ok(topic),
            None if name.is_internal() => Err(TopicError::Reserved),
            None => Box::pin(self.find_or_create(name)).await,
        }
    }

    /// Of several publishers that meet here, on whatever nodes, one makes the topic and all use it.
    async fn find_or_create(&self, name: &TopicName) -> Result<Arc<Topic>, TopicError> {
        self.standing.check()?;
        match self.find_topic(name).await {
            Err(TopicError::Unknown(_)) if self.options.auto_create_topics => {}
            found => return found,
        }
        let topic = NewTopic {
            name: name.clone(),
            partitions: None,
            replication_factor: None,
            mode: Mode::Leader,
            settings: TopicSettings::default(),
        };
        match self.create_topic(topic).await {
            Ok(_) | Err(TopicError::Exists(_)) => self.find_topic(name).await,
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn create_topic(&self, new: NewTopic) -> Result<TopicDescription, TopicError> {
        let partitions = settings::check_new(&new, self.options.default_partitions)?;
        let (id, name) = (self.new_topic_id(), new.name.clone());
        let command = Command::CreateTopic {
            id,
            name: new.name,
            partitions,
            replication_factor: new.replication_factor.unwrap_or(1),
            mode: new.mode,
            settings: new.settings,
            created: self.clock.wall(),
            home: None,
        };
        self.agree(&name, command).await?;
        if let Some(error) = self.reconciler.failure(id) {
            // Who asked is told that there is no topic, so there should be none.
            let taken_back = self.agree(&name, Command::DeleteTopic { id }).await;
            tracing::warn!(topic = %name, %error, ?taken_back, "topic not made");
            return Err(error);
        }
        let topic = self.topics.by_id(id);
        // Deleted again already, by somebody who saw it.
        let topic = topic.ok_or_else(|| TopicError::Unknown(name.to_string()))?;
        tracing::info!(topic = %name, %id, partitions, "topic made");
        Ok(topic.describe())
    }

    pub(crate) async fn delete_topic(&self, name: &TopicName) -> Result<(), TopicError> {
        let id = self.find_topic(name).await?.id;
        self.agree(name, Command::DeleteTopic { id }).await?;
        tracing::info!(topic = %name, %id, "topic deleted");
        Ok(())
    }

    pub(crate) async fn configure_topic(
        &self,
        name: &TopicName,
        changes: TopicChanges,
    ) -> Result<TopicDescription, TopicError> {
        let topic = self.find_topic(name).await?;
        settings::changed(topic.agreed().settings.clone(), &changes)?;
        let id = topic.id;
        self.agree(name, Command::ConfigureTopic { id, changes })
            .await?;
        let failure = self.reconciler.failure(id);
        failure.map_or_else(|| Ok(topic.describe()), Err)
    }

    /// Lets the cluster agree on a change of this topic, and waits until this node has followed.
    async fn agree(&self, name: &TopicName, command: Command) -> Result<Outcome, TopicError> {
        self.standing.check()?;
        let outcome = self.cluster.propose(command).await;
        let outcome = outcome.map_err(|error| refused(error, name))?;
        let until = Instant::now() + FOLLOW_PATIENCE;
        let followed = self.reconciled(self.cluster.catalog().revision());
        if timeout_at(until, followed).await.is_err() {
            let why = "the cluster has agreed on it, and this node has not followed yet";
            return Err(TopicError::Unavailable(why.to_owned()));
        }
        if self.is_closed() {
            return Err(TopicError::Stopped("the node is stopping".to_owned()));
        }
        Ok(outcome)
    }

    pub(crate) async fn delete_records(
        &self,
        name: &TopicName,
        index: PartitionIndex,
        before: Offset,
    ) -> Result<PartitionDescription, FetchError> {
        let topic = self.topic_to_read(name).await?;
        let seat = seat_of(&topic, index)?;
        let left = match seat.led() {
            Some(partition) => {
                self.delete_records_here(&topic, Arc::clone(partition), before)
                    .await
            }
            None => {
                let topic = topic.id;
                let partition = PartitionId { topic, index };
                self.remote.delete_records(partition, before).await
            }
        };
        Ok(PartitionDescription {
            held: Some(left?),
            ..seat.describe()
        })
    }

    /// The same in a partition that this node leads.
    pub(crate) async fn delete_records_here(
        &self,
        topic: &Topic,
        partition: Arc<Partition>,
        before: Offset,
    ) -> Result<Extent, FetchError> {
        self.standing.check()?;
        let (start, end) = (partition.start(), partition.end());
        if before > end {
            return Err(FetchError::OutOfRange {
                partition: partition.id.index,
                wanted: before,
                start,
                end,
            });
        }
        let unknown = topic.name.to_string();
        self.on_disk(move |store| {
            let bounds = store.delete_before(partition.id, before);
            let bounds = bounds.map_err(|error| match error {
                StoreError::Invalid(_) => FetchError::UnknownTopic(unknown),
                other => FetchError::Io(other.to_string()),
            })?;
            partition.shrunk(store, bounds.start);
            Ok(extent(&partition))
        })
        .await?
    }

    pub(crate) async fn change_store(
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

/// The partition of this number, or an error that names both.
pub(crate) fn seat_of(topic: &Topic, index: PartitionIndex) -> Result<&Seat, FetchError> {
    topic.seat(index).ok_or_else(|| FetchError::Partition {
        topic: topic.name.to_string(),
        partition: index,
    })
}

/// The same, if this node leads it.
pub(crate) fn led_here(
    topic: &Topic,
    index: PartitionIndex,
) -> Result<&Arc<Partition>, FetchError> {
    let seat = seat_of(topic, index)?;
    seat.led().ok_or_else(|| led_elsewhere(topic, index))
}

/// Why this node has nothing to tell of a partition.
pub(crate) fn led_elsewhere(topic: &Topic, index: PartitionIndex) -> FetchError {
    let leader = topic.seat(index).and_then(|seat| seat.agreed().leader);
    let leader = leader.map_or_else(|| "nobody".to_owned(), |node| format!("node {node}"));
    let name = &topic.name;
    FetchError::LeaderUnavailable(format!("partition {index} of '{name}' is led by {leader}"))
}

/// A refusal of a change of this topic.
fn refused(error: ProposeError, name: &TopicName) -> TopicError {
    let refusal = match error {
        ProposeError::Refused(refusal) => refusal,
        ProposeError::Unavailable(_) => return TopicError::Unavailable(error.to_string()),
    };
    match refusal {
        Refusal::TopicExists(name) => TopicError::Exists(name),
        Refusal::UnknownTopic => TopicError::Unknown(name.to_string()),
        Refusal::Partitions(count) => TopicError::Partitions(count),
        Refusal::Replication(factor) => TopicError::Replication(factor),
        Refusal::Mode => TopicError::Mode,
        Refusal::NoPlace => TopicError::NoPlace,
        Refusal::Limit(why) => TopicError::TooMany(why),
        Refusal::Invalid(why) => TopicError::Setting(why),
        other => TopicError::Unavailable(other.to_string()),
    }
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
