//! The broker: the API itself.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use model::{NodeId, Offset, PartitionIndex, TopicId, TopicName};
use seglog::Store;
use wire::Batch;

use crate::api::*;
use crate::error::*;
use crate::inner::{Inner, Seams};
use crate::nodes::NodeChange;
use crate::open::open;
use crate::remote::GroupAsk;
use crate::seams::{Clock, Cluster, ClusterOverview, Entropy};
use crate::tasks::Tasks;

/// A running node's in-process API. Cheap to clone; all clones are one broker.
#[derive(Debug, Clone)]
pub struct Broker {
    inner: Arc<Inner>,
    /// They end with the last clone.
    tasks: Arc<Tasks>,
}

impl Broker {
    /// Opens `hark.db` in `data`, makes this node what the catalog of the cluster says as far as it is
    /// known here, restores groups, and starts the tasks. Before, [`bind`](crate::bind) has noted in it the
    /// start that the cluster has registered.
    pub async fn open(
        data: &Path,
        store: Arc<dyn Store>,
        cluster: Arc<dyn Cluster>,
        options: BrokerOptions,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        let seams = Seams {
            store,
            cluster,
            clock,
            entropy,
        };
        let (inner, tasks) = open(data, seams, options).await?;
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
    /// One topic, as far as this node knows by itself.
    pub fn topic(&self, name: &TopicName) -> Result<TopicDescription, TopicError> {
        Ok(self.inner.topic(name)?.describe())
    }
    /// One topic as the cluster knows it, with what the leaders of its partitions say that they hold.
    pub async fn topic_detailed(&self, name: &TopicName) -> Result<TopicDescription, TopicError> {
        self.inner.topic_detailed(name).await
    }
    /// One topic as a publish finds it: made now if it is unknown and the node makes topics by itself.
    pub async fn topic_to_publish(&self, name: &TopicName) -> Result<TopicDescription, TopicError> {
        Ok(self.inner.topic_to_publish(name).await?.describe())
    }
    /// All topics of users, by name, as far as this node knows by itself.
    pub fn topics(&self) -> Vec<TopicDescription> {
        let topics = self.inner.topics.all();
        topics.iter().map(|topic| topic.describe()).collect()
    }
    /// The same, with what the leaders of their partitions say that they hold.
    pub async fn topics_detailed(&self) -> Vec<TopicDescription> {
        self.inner.topics_detailed().await
    }
    /// Moves the first offset kept of one partition forward. Gives the partition as it is then.
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
        self.inner.standing.check()?;
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
        let topic = self.inner.topic_to_read_from(topic, start).await?;
        let partitions: Vec<PartitionIndex> = topic.indexes().collect();
        let positions = self.inner.located(&topic, &partitions, start).await?;
        Ok(wire::cursor::Cursor::new(topic.id, positions))
    }

    /// Joins a group, or changes what a member reads.
    pub async fn group_subscribe(
        &self,
        subscribe: GroupSubscribe,
    ) -> Result<Assignment, GroupError> {
        let ask = GroupAsk::Subscribe(subscribe);
        self.inner.ask_group(ask).await?.assigned()
    }
    /// Leaves a group.
    pub async fn group_unsubscribe(&self, group: &str, consumer: &str) -> Result<(), GroupError> {
        let ask = GroupAsk::Unsubscribe {
            group: group.to_owned(),
            consumer: consumer.to_owned(),
        };
        self.inner.ask_group(ask).await?.done()
    }
    /// Reads as a member of a group.
    pub async fn group_poll(&self, poll: GroupPoll) -> Result<GroupPolled, GroupError> {
        let ask = GroupAsk::Poll(poll);
        self.inner.ask_group(ask).await?.polled()
    }
    /// Records progress, durably.
    pub async fn commit(&self, commit: Commit) -> Result<(), GroupError> {
        let ask = GroupAsk::Commit(commit);
        self.inner.ask_group(ask).await?.done()
    }
    /// All groups, by name; those of a coordinator that does not answer are missing.
    pub async fn groups(&self) -> Vec<GroupDescription> {
        self.inner.all_groups().await
    }
    /// One group.
    pub async fn group(&self, name: &str) -> Result<GroupDescription, GroupError> {
        let group = name.to_owned();
        let ask = GroupAsk::Describe { group };
        self.inner.ask_group(ask).await?.described()
    }
    /// Puts an empty group's progress on one topic to `start`.
    pub async fn reset_group(
        &self,
        name: &str,
        topic: &TopicName,
        start: &Start,
    ) -> Result<GroupDescription, GroupError> {
        let ask = GroupAsk::Reset {
            group: name.to_owned(),
            topic: topic.clone(),
            start: start.clone(),
        };
        self.inner.ask_group(ask).await?.described()
    }
    /// Forgets an empty group.
    pub async fn delete_group(&self, name: &str) -> Result<(), GroupError> {
        let group = name.to_owned();
        let ask = GroupAsk::Delete { group };
        self.inner.ask_group(ask).await?.done()
    }

    /// Answers the broker of another node: the bytes of an answer to the bytes of a request. Whoever
    /// calls has made sure that it is `from` who asks. Dropping the future calls a wait off.
    pub async fn serve_peer(&self, from: NodeId, request: Bytes) -> Bytes {
        self.inner.serve_peer(from, request).await
    }

    /// How the cluster is, as this node sees it.
    pub fn overview(&self) -> ClusterOverview {
        self.inner.cluster.overview()
    }
    /// The lowest id that another node could have.
    pub fn free_id(&self) -> Option<NodeId> {
        self.inner.free_id()
    }
    /// Changes something about a node of the cluster.
    pub async fn change_node(&self, id: NodeId, change: NodeChange) -> Result<(), NodeError> {
        self.inner.change_node(id, change).await
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
