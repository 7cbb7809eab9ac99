//! The broker: the API itself.

use std::path::Path;
use std::sync::Arc;

use model::{Offset, PartitionIndex, TopicId, TopicName};
use seglog::Store;
use wire::Batch;

use crate::api::*;
use crate::error::*;
use crate::inner::Inner;
use crate::open::open;
use crate::seams::{Clock, Entropy};
use crate::tasks::Tasks;

/// A running node's in-process API. Cheap to clone; all clones are one broker.
#[derive(Debug, Clone)]
pub struct Broker {
    inner: Arc<Inner>,
    /// They end with the last clone.
    tasks: Arc<Tasks>,
}

impl Broker {
    /// Opens the control database in `data`, restores topics and groups, and starts the tasks.
    pub async fn open(
        data: &Path,
        store: Arc<dyn Store>,
        options: BrokerOptions,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        let (inner, tasks) = open(data, store, options, clock, entropy).await?;
        let tasks = Arc::new(tasks);
        Ok(Self { inner, tasks })
    }

    /// Stops the tasks, finishes what was accepted, closes the store.
    pub async fn close(&self) {
        self.inner.begin_close();
        self.tasks.stop().await;
        self.inner.close().await;
    }

    /// Makes a topic.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<TopicDescription, TopicError> {
        self.inner.create_topic(topic).await
    }
    /// Removes a topic and its records for ever.
    pub async fn delete_topic(&self, name: &TopicName) -> Result<(), TopicError> {
        self.inner.delete_topic(name).await
    }
    /// Changes settings.
    pub async fn configure_topic(
        &self,
        name: &TopicName,
        changes: TopicChanges,
    ) -> Result<TopicDescription, TopicError> {
        self.inner.configure_topic(name, changes).await
    }
    /// One topic.
    pub fn topic(&self, name: &TopicName) -> Result<TopicDescription, TopicError> {
        Ok(self.inner.topic(name)?.describe())
    }
    /// One topic as a publish finds it: made now if it is unknown and the node makes topics by itself.
    pub async fn topic_to_publish(&self, name: &TopicName) -> Result<TopicDescription, TopicError> {
        Ok(self.inner.topic_to_publish(name).await?.describe())
    }
    /// All topics of users, by name.
    pub fn topics(&self) -> Vec<TopicDescription> {
        let topics = self.inner.topics.all();
        topics.iter().map(|topic| topic.describe()).collect()
    }
    /// Moves the first offset kept of one partition forward.
    pub async fn delete_records(
        &self,
        name: &TopicName,
        partition: PartitionIndex,
        before: Offset,
    ) -> Result<PartitionDescription, FetchError> {
        self.inner.delete_records(name, partition, before).await
    }

    /// Publishes records; one receipt each, in their order, once all are on disk.
    pub async fn publish(&self, publish: Publish) -> Result<Vec<Receipt>, PublishError> {
        self.inner.publish(publish).await
    }
    /// Appends one ready batch. Batches of one caller keep the order in which the futures were first
    /// polled, once the topic is there.
    pub async fn append(
        &self,
        topic: &TopicName,
        partition: PartitionIndex,
        batch: Batch,
    ) -> Result<Receipt, PublishError> {
        self.inner.append(topic, partition, batch).await
    }
    /// The same for the topic with this identity only: one that was made again under the same name
    /// is refused, and none is made. For publishers that may try again much later.
    pub async fn append_to(
        &self,
        topic: &TopicName,
        id: TopicId,
        partition: PartitionIndex,
        batch: Batch,
    ) -> Result<Receipt, PublishError> {
        self.inner.append_to(topic, id, partition, batch).await
    }
    /// A fresh idempotent producer.
    pub async fn new_producer(&self) -> Result<ProducerGrant, PublishError> {
        self.inner.producer_ids.grant().await
    }

    /// Reads records, waiting for the first.
    pub async fn poll(&self, poll: Poll) -> Result<Polled, FetchError> {
        self.inner.poll(poll).await
    }
    /// Reads whole batches.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Vec<FetchedPartition>, FetchError> {
        self.inner.fetch(fetch).await
    }
    /// Of the last records of all partitions the newest, by timestamp and then by offset; `None`
    /// while the topic is empty.
    pub async fn last(&self, topic: &TopicName) -> Result<Option<Delivered>, FetchError> {
        self.inner.last(topic).await
    }
    /// Where each partition of a topic stands for this start.
    pub async fn resolve(
        &self,
        topic: &TopicName,
        start: &Start,
    ) -> Result<wire::cursor::Cursor, FetchError> {
        let topic = self.inner.topic_to_read(topic)?;
        let partitions: Vec<PartitionIndex> = topic.indexes().collect();
        let positions = self.inner.positions(&topic, &partitions, start).await?;
        Ok(wire::cursor::Cursor::new(topic.id, positions))
    }

    /// Joins a group, or changes what a member reads.
    pub async fn group_subscribe(
        &self,
        subscribe: GroupSubscribe,
    ) -> Result<Assignment, GroupError> {
        self.inner.group_subscribe(subscribe).await
    }
    /// Leaves a group.
    pub async fn group_unsubscribe(&self, group: &str, consumer: &str) -> Result<(), GroupError> {
        self.inner.group_unsubscribe(group, consumer).await
    }
    /// Reads as a member of a group.
    pub async fn group_poll(&self, poll: GroupPoll) -> Result<GroupPolled, GroupError> {
        self.inner.group_poll(poll).await
    }
    /// Records progress, durably.
    pub async fn commit(&self, commit: Commit) -> Result<(), GroupError> {
        self.inner.commit(commit).await
    }
    /// All groups.
    #[expect(
        clippy::unused_async,
        reason = "another coordinator may have to be asked one day"
    )]
    pub async fn groups(&self) -> Vec<GroupDescription> {
        self.inner.groups()
    }
    /// One group.
    #[expect(
        clippy::unused_async,
        reason = "another coordinator may have to be asked one day"
    )]
    pub async fn group(&self, name: &str) -> Result<GroupDescription, GroupError> {
        self.inner.group(name)
    }
    /// Puts an empty group's progress on one topic to `start`.
    pub async fn reset_group(
        &self,
        name: &str,
        topic: &TopicName,
        start: &Start,
    ) -> Result<GroupDescription, GroupError> {
        self.inner.reset_group(name, topic, start).await
    }
    /// Forgets an empty group.
    pub async fn delete_group(&self, name: &str) -> Result<(), GroupError> {
        self.inner.delete_group(name).await
    }

    /// How the node is.
    pub fn status(&self) -> NodeStatus {
        self.inner.status()
    }
    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        self.inner.counters()
    }
}
