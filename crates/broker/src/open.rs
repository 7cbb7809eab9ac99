//! Brings a broker up from what is on the disk.
//!
//! What the store holds of which topics stands in `hark.db`, which topics there are in the catalog, and
//! their ends in the store. What idempotent producers wrote is the last snapshot in `hark.db` and,
//! behind it, the headers of the batches written since: about
//! [`PRODUCER_REPLAY_BYTES_MAX`](model::limits::PRODUCER_REPLAY_BYTES_MAX), whatever the size of the
//! log, because a snapshot is taken whenever so much has come. Partitions that no idempotent
//! producer has ever written to are not read at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ::groups::Options;
use model::{BootId, PartitionId, TopicId, TopicName};
use seglog::Store;

use crate::api::BrokerOptions;
use crate::error::OpenError;
use crate::group::{self, Groups};
use crate::inner::{Inner, Makers, Restored, Seams};
use crate::metadata::{Metadata, Owner, TopicRow};
use crate::partition::{Held, Partition};
use crate::reconcile::Made;
use crate::seams::{Clock, Cluster, Entropy};
use crate::settings::{check_settings, effective};
use crate::tasks::{self, Tasks};

/// Opens everything and starts the tasks.
pub(crate) async fn open(
    data: &Path,
    seams: Seams,
    options: BrokerOptions,
) -> Result<(Arc<Inner>, Tasks), OpenError> {
    check_settings(&options.topic_defaults).map_err(OpenError::Defaults)?;
    let makers = Makers::new(options.topic_defaults.clone());
    let opening = Opening {
        store: Arc::clone(&seams.store),
        cluster: Arc::clone(&seams.cluster),
        options: options.clone(),
        clock: Arc::clone(&seams.clock),
        entropy: Arc::clone(&seams.entropy),
        makers: makers.clone(),
    };
    let data = data.to_owned();
    let restored = tokio::task::spawn_blocking(move || opening.restore(&data)).await;
    let restored = match restored {
        Ok(restored) => restored?,
        Err(_) => return Err(OpenError::Corrupt("the start was interrupted".to_owned())),
    };
    let inner = Arc::new(Inner::new(restored, seams, options, makers));
    inner.open_topics().await?;
    let tasks = tasks::start(&inner);
    Ok((inner, tasks))
}

impl Inner {
    /// Serves what the catalog says, as far as this node knows it. What cannot be made now is made
    /// later; what is there and cannot be read stops the start.
    async fn open_topics(&self) -> Result<(), OpenError> {
        let catalog = self.cluster.catalog();
        let dropped = self.drop_strays(&catalog).await;
        dropped.map_err(|error| OpenError::Corrupt(error.to_string()))?;
        self.reconcile(&catalog).await;
        // What was made before this node belonged to the cluster is in the catalog only now.
        self.reconcile(&self.cluster.catalog()).await;
        self.reconciler.check()
    }
}

struct Opening {
    store: Arc<dyn Store>,
    cluster: Arc<dyn Cluster>,
    options: BrokerOptions,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    makers: Makers,
}

impl Opening {
    /// Runs off the async workers: it reads and may write.
    fn restore(&self, data: &Path) -> Result<Restored, OpenError> {
        let metadata = Metadata::open(data, None)?;
        let read = |what| move |source| OpenError::Control { what, source };
        let owner = metadata.owner().map_err(read("reading the identity"))?;
        let boot = self.check_owner(&owner)?;
        metadata
            .set_opened()
            .map_err(read("noting that it is used"))?;
        metadata
            .set_topic_defaults(&self.options.topic_defaults)
            .map_err(read("writing the defaults for topics"))?;
        let rows = metadata.topics().map_err(read("reading topics"))?;
        let saved = metadata
            .saved_producers()
            .map_err(read("reading producers"))?;
        self.check_partitions(&rows)?;
        self.apply_settings(&rows, &metadata)?;
        let groups = self.groups(&rows)?;
        let saved = saved.into_iter().map(|saved| (saved.partition, saved));
        Ok(Restored {
            metadata,
            storage_id: owner.storage,
            boot,
            made: Made {
                rows,
                saved_producers: saved.collect(),
                is_import_due: Made::stood_alone(owner.cluster),
            },
            groups,
        })
    }

    /// The start that the cluster has registered is the one that [`bind`](crate::bind) has noted: what is
    /// not in this `hark.db` was never made here. One that was just made knows of no records. While the
    /// registration is waited for only the directory is compared; nothing is taken before the rest was.
    /// Gives the start.
    fn check_owner(&self, owner: &Owner) -> Result<BootId, OpenError> {
        // Before the catalog, which has it by the time that nothing is waited for.
        let is_waiting = self.cluster.waits_for().is_some();
        let catalog = self.cluster.catalog();
        let is_mine = |boot| {
            let me = catalog.node(self.cluster.me());
            me.is_some_and(|me| me.storage == owner.storage && (is_waiting || me.boot == boot))
        };
        let Some(boot) = owner.boot.filter(|boot| is_mine(*boot)) else {
            return Err(OpenError::Foreign(
                "the start that the cluster has registered is not the one that hark.db was \
                 prepared for: another process has taken the place of this one"
                    .to_owned(),
            ));
        };
        let is_of_users = |id: &PartitionId| *id != group::groups_partition();
        if owner.is_opened || !self.store.partitions().iter().any(is_of_users) {
            return Ok(boot);
        }
        Err(OpenError::Corrupt(
            "hark.db was missing or empty, but the store holds records: nothing says to which \
             topics they belong, and which of them are whole; put the old one back, or choose \
             another data directory"
                .to_owned(),
        ))
    }

    /// A topic whose partitions the store does not have lost its records: that must not look like
    /// an empty topic.
    fn check_partitions(&self, rows: &BTreeMap<TopicId, TopicRow>) -> Result<(), OpenError> {
        let held: BTreeSet<PartitionId> = self.store.partitions().into_iter().collect();
        for row in rows.values() {
            if let Some(missing) = row.held_ids().iter().find(|id| !held.contains(id)) {
                return Err(OpenError::Corrupt(format!(
                    "hark.db has the topic '{}', but the store does not hold its partition {}; \
                     was the data written with another --store, or were files removed?",
                    row.name, missing.index
                )));
            }
        }
        Ok(())
    }

    /// Tells the store of settings that it may not know: of topics changed just before a crash, and
    /// of all that follow the node's defaults when those are new.
    fn apply_settings(
        &self,
        rows: &BTreeMap<TopicId, TopicRow>,
        metadata: &Metadata,
    ) -> Result<(), OpenError> {
        let mut told = false;
        for row in rows.values().filter(|row| !row.applied) {
            let settings = effective(&row.settings, &self.options.topic_defaults);
            self.store
                .create_partitions(&row.held_ids(), settings.of_store())?;
            told = true;
        }
        if told {
            let what = "noting that settings were applied";
            let marked = metadata.mark_all_applied();
            marked.map_err(|source| OpenError::Control { what, source })?;
        }
        Ok(())
    }

    fn groups(&self, rows: &BTreeMap<TopicId, TopicRow>) -> Result<Groups, OpenError> {
        let restored = group::restore(&*self.store)?;
        let mut seed = [0; 8];
        self.entropy.fill(&mut seed);
        let options = Options {
            initial_rebalance_delay: self.options.initial_rebalance_delay,
            commit_retention: self.options.commit_retention,
            ..Options::default()
        };
        let now = self.clock.now();
        let seed = u64::from_ne_bytes(seed);
        let catalog = self.cluster.catalog();
        let known = self.known_topics(rows);
        // The catalog of a node that was away may be behind: only what it says was deleted is lost.
        let is_lost = |topic| catalog.is_deleted(topic);
        let coordinator = restored
            .records
            .start_keeping(now, options, seed, known, is_lost);
        let held = Held {
            bounds: restored.bounds,
            bytes: restored.bytes,
            producers: None,
        };
        let partition = Arc::new(Partition::new(
            group::groups_partition(),
            held,
            self.makers.fresh(),
            self.makers.wake(),
            // Not among what users published.
            Arc::default(),
        ));
        Ok(Groups::new(
            coordinator,
            group::Log::new(partition, restored.bytes),
            Arc::clone(&self.clock),
            Arc::clone(&self.store),
        ))
    }

    /// Topics that groups may read: those of the catalog, and those in the store that it does not know
    /// yet.
    fn known_topics(&self, rows: &BTreeMap<TopicId, TopicRow>) -> Vec<(TopicId, TopicName, u32)> {
        let catalog = self.cluster.catalog();
        let agreed = catalog.topics().filter(|topic| !topic.name.is_internal());
        let agreed = agreed.map(|topic| {
            // At most PARTITIONS_PER_TOPIC_MAX.
            (topic.id, topic.name.clone(), topic.partitions.len() as u32)
        });
        let unknown = rows
            .values()
            .filter(|row| catalog.topic_by_id(row.id).is_none() && !catalog.is_deleted(row.id));
        let unknown = unknown.map(|row| (row.id, row.name.clone(), row.partitions));
        agreed.chain(unknown).collect()
    }
}
