//! Gives out producer ids, each once for ever in the whole cluster.

use std::ops::Range;
use std::sync::Arc;

use catalog::{Command, Outcome};
use model::limits::PRODUCER_IDS_PER_BLOCK;
use model::{ProducerEpoch, ProducerId};
use tokio::sync::Mutex;

use crate::api::ProducerGrant;
use crate::error::{PublishError, TopicError};
use crate::metadata::{Metadata, MetadataError};
use crate::seams::Cluster;

/// Takes ids from the catalog in blocks, so that most grants ask nobody. What is left of a block at a
/// restart is never used.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    cluster: Arc<dyn Cluster>,
    metadata: Metadata,
    block: Mutex<Range<u64>>,
}

impl ProducerIds {
    pub(crate) fn new(cluster: Arc<dyn Cluster>, metadata: Metadata) -> Self {
        Self {
            cluster,
            metadata,
            block: Mutex::new(0..0),
        }
    }

    /// A producer id that nobody ever had.
    pub(crate) async fn grant(&self) -> Result<ProducerGrant, PublishError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = self.take_block().await?;
        }
        let id = block.start;
        block.start += 1;
        Ok(ProducerGrant {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
        })
    }

    /// Noted in `hark.db` too: a node that stands alone may bring its topics, and what producers wrote
    /// to them, into a cluster that has given out none of these ids.
    async fn take_block(&self) -> Result<Range<u64>, PublishError> {
        let count = PRODUCER_IDS_PER_BLOCK;
        let taken = self.cluster.propose(Command::TakeProducerIds { count });
        let block = match taken.await {
            Ok(Outcome::ProducerIds { first, count }) => first..first + u64::from(count),
            Ok(_) => return Err(unavailable("an answer to another question")),
            Err(error) => return Err(unavailable(&error.to_string())),
        };
        let next = block.end;
        let noted = self.metadata.run(move |db| db.raise_next_producer_id(next));
        noted.await?;
        Ok(block)
    }
}

fn unavailable(why: &str) -> PublishError {
    TopicError::Unavailable(format!("no producer id was given out: {why}")).into()
}

impl From<MetadataError> for PublishError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Full => Self::Full,
            MetadataError::Failed(why) => Self::Stopped(why),
        }
    }
}
