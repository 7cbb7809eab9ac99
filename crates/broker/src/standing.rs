//! Whether this node may acknowledge anything: once the cluster has registered its start, and not before.
//!
//! A node that starts while no majority answers cannot know whether its data directory is still *the* one:
//! it may be a copy, or was given up meanwhile. What it holds was acknowledged once, so it is read. What it
//! would take now could be refused with it later, so it takes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{BootId, StorageId};
use thiserror::Error;

use crate::error::{FetchError, GroupError, NodeError, PublishError, TopicError};
use crate::seams::Cluster;

/// Whether the cluster has registered this start.
#[derive(Debug)]
pub(crate) struct Standing {
    cluster: Arc<dyn Cluster>,
    /// As `hark.db` has it.
    start: (StorageId, BootId),
    /// It stays so: whoever takes this node's place ends the process.
    is_registered: AtomicBool,
}

/// The cluster has not registered this start yet; with what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct NotRegistered(String);

impl Standing {
    /// For the start that `hark.db` was bound to.
    pub(crate) fn new(cluster: Arc<dyn Cluster>, storage: StorageId, boot: BootId) -> Self {
        Self {
            cluster,
            start: (storage, boot),
            is_registered: AtomicBool::new(false),
        }
    }

    /// What is waited for, as in "waiting for …"; none once this start is registered.
    pub(crate) fn waits_for(&self) -> Option<String> {
        self.check().err().map(|NotRegistered(why)| why)
    }

    /// To be asked before anything is taken that will be acknowledged.
    pub(crate) fn check(&self) -> Result<(), NotRegistered> {
        if self.is_registered.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some(why) = self.cluster.waits_for() {
            return Err(NotRegistered(why));
        }
        let catalog = self.cluster.catalog();
        let me = catalog.node(self.cluster.me());
        if me.map(|node| (node.storage, node.boot)) != Some(self.start) {
            let why = "this node, whose place another process has taken".to_owned();
            return Err(NotRegistered(why));
        }
        self.is_registered.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl From<NotRegistered> for TopicError {
    fn from(NotRegistered(why): NotRegistered) -> Self {
        Self::NotRegistered(why)
    }
}

impl From<NotRegistered> for PublishError {
    fn from(why: NotRegistered) -> Self {
        TopicError::from(why).into()
    }
}

impl From<NotRegistered> for FetchError {
    fn from(NotRegistered(why): NotRegistered) -> Self {
        Self::NotRegistered(why)
    }
}

impl From<NotRegistered> for GroupError {
    fn from(why: NotRegistered) -> Self {
        FetchError::from(why).into()
    }
}

impl From<NotRegistered> for NodeError {
    fn from(NotRegistered(why): NotRegistered) -> Self {
        Self::NotRegistered(why)
    }
}
