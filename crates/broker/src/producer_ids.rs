//! Gives out producer ids, each once for ever.

use std::ops::Range;

use model::limits::PRODUCER_IDS_PER_BLOCK;
use model::{ProducerEpoch, ProducerId};
use tokio::sync::Mutex;

use crate::api::ProducerGrant;
use crate::error::PublishError;
use crate::metadata::{Metadata, MetadataError};

/// Takes ids from `hark.db` in blocks, so that most grants write nothing. What is left of a block at
/// a restart is never used.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    metadata: Metadata,
    block: Mutex<Range<u64>>,
}

impl ProducerIds {
    pub(crate) fn new(metadata: Metadata) -> Self {
        Self {
            metadata,
            block: Mutex::new(0..0),
        }
    }

    /// A producer id that nobody ever had.
    pub(crate) async fn grant(&self) -> Result<ProducerGrant, PublishError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let first = self.metadata.run(Metadata::take_producer_ids).await?;
            *block = first..first + u64::from(PRODUCER_IDS_PER_BLOCK);
        }
        let id = block.start;
        block.start += 1;
        Ok(ProducerGrant {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
        })
    }
}

impl From<MetadataError> for PublishError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Full => Self::Full,
            MetadataError::Failed(why) => Self::Stopped(why),
        }
    }
}
