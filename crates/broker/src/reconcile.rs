//! Makes this node what the catalog says it is: which topics there are, and which of their partitions
//! lie here.
//!
//! One task follows the catalog. For each topic of it there is a [`Topic`] in memory, and for each
//! partition that has a copy here one in the store; `hark.db` remembers which those are. A partition is
//! made in the store first and noted in `hark.db` then, so a crash in between leaves one that is simply
//! made again. A topic that was deleted leaves `hark.db` first and the store then; what a crash leaves
//! behind is dropped at the next start.
//!
//! Records go only when the catalog says that their topic was deleted. A topic that it does not know is
//! kept and not served: the catalog may be behind, or another one than it was.

mod importing;
mod making;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use model::{PartitionId, TopicId};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use self::making::Failure;
use crate::error::{OpenError, TopicError};
use crate::group::groups_partition;
use crate::inner::Inner;
use crate::metadata::{SavedProducers, TopicRow};
use crate::topic::Topic;

/// How long after a failure it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// A revision that no catalog reaches: nobody reconciles any more.
const NEVER_AGAIN: u64 = u64::MAX;

/// How far this node is what the catalog says.
#[derive(Debug)]
pub(crate) struct Reconciler {
    /// Held while anything is made or dropped.
    pub(crate) made: tokio::sync::Mutex<Made>,
    /// The revision that this node's topics are of.
    done: watch::Sender<u64>,
    /// Topics whose part here is not made, and why.
    failures: Mutex<BTreeMap<TopicId, Failure>>,
}

/// What is in the store, as `hark.db` says.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) rows: BTreeMap<TopicId, TopicRow>,
    /// Of partitions that were not opened yet.
    pub(crate) saved_producers: BTreeMap<PartitionId, SavedProducers>,
    /// Whether topics that were made before there was a cluster have yet to be told to it.
    pub(crate) is_import_due: bool,
}

impl Reconciler {
    pub(crate) fn new(made: Made) -> Self {
        Self {
            made: tokio::sync::Mutex::new(made),
            done: watch::Sender::new(0),
            failures: Mutex::default(),
        }
    }

    /// Waits until this node's topics are at least as new as this revision of the catalog, or nobody
    /// sees to it any more.
    pub(crate) async fn reached(&self, revision: u64) {
        // The sender lives as long as this.
        let _ = self
            .done
            .subscribe()
            .wait_for(|done| *done >= revision)
            .await;
    }

    /// The revision that this node's topics are of.
    pub(crate) fn revision(&self) -> u64 {
        *self.done.borrow()
    }

    /// Why this node's part of a topic is not made, if it is not.
    pub(crate) fn failure(&self, topic: TopicId) -> Option<TopicError> {
        let failures = self.failures.lock();
        failures.get(&topic).cloned().map(TopicError::from)
    }

    /// Sends home who waits.
    pub(crate) fn stop(&self) {
        self.done.send_replace(NEVER_AGAIN);
    }

    /// What stopped a broker that was just opened from serving what it has.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let failures = self.failures.lock();
        let mut unreadable = failures.values().filter_map(|failure| match failure {
            Failure::Unreadable(why) => Some(why.clone()),
            Failure::Topic(_) => None,
        });
        unreadable
            .next()
            .map_or(Ok(()), |why| Err(OpenError::Corrupt(why)))
    }

    fn is_complete(&self) -> bool {
        self.failures.lock().is_empty()
    }
}

/// Follows the catalog until it is stopped.
pub(crate) async fn run(broker: Arc<Inner>, mut stopped: watch::Receiver<()>) {
    let mut changes = broker.cluster.changes();
    loop {
        let catalog = Arc::clone(&changes.borrow_and_update());
        let is_done = broker.reconcile(&catalog).await;
        tokio::select! {
            _ = stopped.changed() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(RETRY_INTERVAL), if !is_done => {}
        }
    }
}

impl Inner {
    /// Waits until this node's topics are at least as new as this revision of the catalog. Returns at
    /// once when the broker is closed.
    pub(crate) async fn reconciled(&self, revision: u64) {
        self.reconciler.reached(revision).await;
    }

    /// Makes this node what the catalog says. False when something could not be done and is to be
    /// tried again.
    pub(crate) async fn reconcile(&self, catalog: &Catalog) -> bool {
        let mut made = self.reconciler.made.lock().await;
        if self.is_closed() {
            return true;
        }
        let is_imported = self.import(catalog, &mut made).await;
        let is_withdrawn = self.withdraw(catalog, &mut made).await;
        let before = *self.reconciler.done.borrow();
        let was_complete = self.reconciler.is_complete();
        let is_news = |topic: &&Arc<catalog::Topic>| {
            let may_be_unmade = !was_complete || topic.changed > before || before == 0;
            may_be_unmade && !topic.name.is_internal()
        };
        for agreed in catalog.topics().filter(is_news) {
            let settled = self.settle(agreed, &mut made).await;
            self.note(agreed, settled);
        }
        let revision = catalog.revision();
        // Never back: a stop is for ever.
        self.reconciler.done.send_if_modified(|done| {
            let is_news = *done < revision;
            *done = revision.max(*done);
            is_news
        });
        is_imported && is_withdrawn && self.reconciler.is_complete()
    }

    fn note(&self, agreed: &catalog::Topic, settled: Result<(), Failure>) {
        let mut failures = self.reconciler.failures.lock();
        match settled {
            Ok(()) => {
                failures.remove(&agreed.id);
            }
            Err(failure) => {
                tracing::warn!(topic = %agreed.name, ?failure, "this node's part of a topic is not made");
                failures.insert(agreed.id, failure);
            }
        }
    }

    /// Takes away topics that the catalog does not have any more.
    async fn withdraw(&self, catalog: &Catalog, made: &mut Made) -> bool {
        for topic in self.topics.all() {
            if catalog.topic_by_id(topic.id).is_none() {
                self.close_topic(&topic, catalog.is_deleted(topic.id));
            }
        }
        let mut is_done = true;
        let deleted = made.rows.keys().filter(|id| catalog.is_deleted(**id));
        for id in deleted.copied().collect::<Vec<_>>() {
            is_done &= self.drop_topic(id, made).await;
        }
        is_done
    }

    /// From now on nobody finds the topic.
    fn close_topic(&self, topic: &Topic, is_deleted: bool) {
        self.topics.remove(topic);
        topic.delete();
        self.reconciler.failures.lock().remove(&topic.id);
        if is_deleted {
            self.groups.partitions_changed(topic, 0);
            tracing::debug!(topic = %topic.name, id = %topic.id, "topic is gone");
        } else {
            tracing::error!(
                topic = %topic.name, id = %topic.id,
                "the catalog does not know this topic any more; its records are kept and not served"
            );
        }
    }

    /// Drops what this node has of a deleted topic.
    async fn drop_topic(&self, id: TopicId, made: &mut Made) -> bool {
        if let Err(error) = self.metadata.run(move |db| db.delete_topic(id)).await {
            tracing::warn!(%id, ?error, "a deleted topic still stands in hark.db; tried again later");
            return false;
        }
        let Some(row) = made.rows.remove(&id) else {
            return true;
        };
        made.saved_producers
            .retain(|partition, _| partition.topic != id);
        let ids = row.held_ids();
        let dropped = self.change_store(move |store| store.drop_partitions(&ids));
        if let Err(error) = dropped.await {
            // The topic is gone for everybody; its bytes go at the next start.
            tracing::warn!(topic = %row.name, %error, "records of a deleted topic are still on disk");
        }
        true
    }

    /// Drops what earlier deletions left in the store, and says what else is there that nobody serves.
    pub(crate) async fn drop_strays(&self, catalog: &Catalog) -> Result<(), TopicError> {
        let made = self.reconciler.made.lock().await;
        let mut strays = self.store.partitions();
        strays.retain(|id| {
            let row = made.rows.get(&id.topic);
            let is_held = row.is_some_and(|row| row.held.contains(&id.index));
            !is_held && *id != groups_partition()
        });
        let (deleted, others): (Vec<_>, Vec<_>) = strays
            .into_iter()
            .partition(|id| catalog.is_deleted(id.topic));
        let unknown = others.iter().map(|id| id.topic);
        let unknown = unknown.chain(made.rows.keys().copied());
        let unknown = unknown.filter(|id| catalog.topic_by_id(*id).is_none());
        let unknown: BTreeSet<TopicId> = unknown.filter(|id| !catalog.is_deleted(*id)).collect();
        for id in unknown {
            let name = made.rows.get(&id).map(|row| row.name.as_str());
            tracing::error!(
                %id, name,
                "the catalog does not know this topic; its records are kept and not served"
            );
        }
        if deleted.is_empty() {
            return Ok(());
        }
        tracing::info!(
            partitions = deleted.len(),
            "dropping what deleted topics left"
        );
        self.change_store(move |store| store.drop_partitions(&deleted))
            .await
    }
}
