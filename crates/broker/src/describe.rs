//! Topics with what the leaders of their partitions hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use model::{PartitionIndex, TopicName};

use crate::api::{Extent, TopicDescription};
use crate::error::TopicError;
use crate::inner::Inner;
use crate::topic::Topic;

/// So many topics are asked for at once.
const ASKED_AT_ONCE: usize = 16;

impl Inner {
    pub(crate) async fn topic_detailed(
        &self,
        name: &TopicName,
    ) -> Result<TopicDescription, TopicError> {
        let topic = self.find_topic(name).await?;
        Ok(self.detailed(topic).await)
    }

    pub(crate) async fn topics_detailed(&self) -> Vec<TopicDescription> {
        if let Err(error) = self.look_again().await {
            tracing::debug!(%error, "the list of topics may be behind");
        }
        let topics = stream::iter(self.topics.all());
        let described = topics.map(|topic| self.detailed(topic));
        described.buffered(ASKED_AT_ONCE).collect().await
    }

    async fn detailed(&self, topic: Arc<Topic>) -> TopicDescription {
        let mut described = topic.describe();
        let elsewhere = described.partitions.iter().filter(|p| p.held.is_none());
        let elsewhere: Vec<PartitionIndex> = elsewhere.map(|p| p.index).collect();
        if elsewhere.is_empty() {
            return described;
        }
        let found: BTreeMap<PartitionIndex, Extent> =
            self.remote.extents(topic.id, elsewhere).await;
        for partition in &mut described.partitions {
            partition.held = partition
                .held
                .or_else(|| found.get(&partition.index).copied());
        }
        described
    }
}
