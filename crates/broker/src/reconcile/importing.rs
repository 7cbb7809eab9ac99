//! Tells a cluster of the topics that this node made before it belonged to it.

use std::time::Duration;

use catalog::{Catalog, Command, Outcome};
use model::{ClusterId, Mode};
use tokio::time::timeout;

use super::Made;
use crate::alone::Alone;
use crate::error::TopicError;
use crate::inner::Inner;
use crate::metadata::{Metadata, MetadataError, TopicRow};
use crate::seams::ProposeError;

/// How long the cluster is waited for. Whoever closes the broker meanwhile waits as long.
const PATIENCE: Duration = Duration::from_secs(5);

impl Made {
    /// Whether a `hark.db` that follows this cluster is that of a node that stood alone: its topics are to
    /// be told to the catalog, those of another cluster are not.
    pub(crate) fn stood_alone(cluster: Option<ClusterId>) -> bool {
        cluster.is_none_or(|cluster| cluster == Alone::CLUSTER)
    }
}

impl Inner {
    /// Sees to it that the catalog has the topics that were made alone, and that it gives out no
    /// producer id that was given out then. False when it is to be tried again.
    pub(super) async fn import(&self, catalog: &Catalog, made: &mut Made) -> bool {
        let Some(cluster) = catalog.cluster().filter(|_| made.is_import_due) else {
            return true;
        };
        if self.standing.check().is_err() {
            return false;
        }
        match self.import_to(cluster, made).await {
            Ok(()) => {
                made.is_import_due = false;
                true
            }
            Err(why) => {
                tracing::warn!(
                    why,
                    "topics made before this node joined are not served yet; tried again soon"
                );
                false
            }
        }
    }

    async fn import_to(&self, cluster: ClusterId, made: &Made) -> Result<(), String> {
        // Before anybody finds the topics: an id that is given out twice would be taken for its first
        // owner there.
        self.skip_producer_ids().await?;
        let mut is_all_taken = true;
        for row in made.rows.values() {
            is_all_taken &= self.import_topic(row).await?;
        }
        self.import_groups().await?;
        if is_all_taken {
            let noted = self.metadata.run(move |db| db.set_cluster(cluster)).await;
            noted.map_err(failed)?;
        }
        Ok(())
    }

    /// False when the catalog refuses the topic: it stays as it is, and the next start tries again.
    async fn import_topic(&self, row: &TopicRow) -> Result<bool, String> {
        let catalog = self.cluster.catalog();
        if catalog.topic_by_id(row.id).is_some() || catalog.is_deleted(row.id) {
            return Ok(true);
        }
        // A part of a topic was not made alone.
        if row.held.len() != row.partitions as usize {
            return Ok(false);
        }
        let command = Command::CreateTopic {
            id: row.id,
            name: row.name.clone(),
            partitions: row.partitions,
            replication_factor: 1,
            mode: Mode::Leader,
            settings: row.settings.clone(),
            created: row.created,
            home: Some(self.cluster.me()),
        };
        match self.propose(command).await {
            Ok(_) => {
                tracing::info!(topic = %row.name, id = %row.id, "topic brought into the cluster");
                Ok(true)
            }
            Err(ProposeError::Refused(refusal)) => {
                tracing::error!(
                    topic = %row.name, id = %row.id, %refusal,
                    "a topic of this node cannot be brought into the cluster; its records are kept and not served"
                );
                Ok(false)
            }
            Err(ProposeError::Unavailable(why)) => Err(why),
        }
    }

    /// Groups stay where their commits are.
    async fn import_groups(&self) -> Result<(), String> {
        if self.groups.count() == 0 {
            return Ok(());
        }
        let made = self.make_groups_topic().await;
        made.map_err(|error| error.to_string())
    }

    /// Takes the producer ids that were given out alone from those that the cluster will give out.
    async fn skip_producer_ids(&self) -> Result<(), String> {
        let next = self.metadata.run(Metadata::next_producer_id).await;
        let next = next.map_err(failed)?;
        let mut given = 0;
        while given < next {
            // The first is taken alone: it may lie behind all of them already.
            let count = if given == 0 { 1 } else { next - given };
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            match self.propose(Command::TakeProducerIds { count }).await {
                Ok(Outcome::ProducerIds { first, count }) => given = first + u64::from(count),
                Ok(_) => return Err("an answer to another question".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let late = || ProposeError::Unavailable("no answer in time".to_owned());
        let proposed = timeout(PATIENCE, self.cluster.propose(command)).await;
        proposed.unwrap_or_else(|_| Err(late()))
    }
}

fn failed(error: MetadataError) -> String {
    TopicError::from(error).to_string()
}
