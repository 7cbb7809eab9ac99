//! Brings a broker up from what is on the disk.
//!
//! Topics come from `hark.db`, their ends from the store. What idempotent producers wrote is the
//! last snapshot in `hark.db` and, behind it, the headers of the batches written since: about
//! [`PRODUCER_REPLAY_BYTES_MAX`](model::limits::PRODUCER_REPLAY_BYTES_MAX), whatever the size of the
//! log, because a snapshot is taken whenever so much has come. Partitions that no idempotent
//! producer has ever written to are not read at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Weak};

use ::groups::Options;
use model::PartitionId;
use model::limits::FETCH_BYTES_MAX;
use seglog::{Bounds, ReadError, Store};

use crate::admin::{assemble, partition_ids};
use crate::api::BrokerOptions;
use crate::error::OpenError;
use crate::group::{self, Groups};
use crate::inner::{Inner, Makers, Restored};
use crate::metadata::{Metadata, SavedProducers, TopicRow};
use crate::partition::{Held, Partition};
use crate::producers::ProducerTable;
use crate::seams::{Clock, Entropy};
use crate::tasks::{self, Tasks};
use crate::topic::Topic;
use crate::topics::Topics;

/// Opens everything and starts the tasks.
pub(crate) async fn open(
    data: &Path,
    store: Arc<dyn Store>,
    options: BrokerOptions,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<(Arc<Inner>, Tasks), OpenError> {
    options
        .topic_defaults
        .check()
        .map_err(OpenError::Defaults)?;
    let makers = Makers::new(options.topic_defaults.clone());
    let opening = Opening {
        store: Arc::clone(&store),
        options: options.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        makers: makers.clone(),
    };
    let data = data.to_owned();
    let restored = tokio::task::spawn_blocking(move || opening.restore(&data)).await;
    let restored = match restored {
        Ok(restored) => restored?,
        Err(_) => return Err(OpenError::Corrupt("the start was interrupted".to_owned())),
    };
    let seams = (clock, entropy);
    let inner = Arc::new(Inner::new(restored, store, options, seams, makers));
    let tasks = tasks::start(&inner);
    Ok((inner, tasks))
}

struct Opening {
    store: Arc<dyn Store>,
    options: BrokerOptions,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    makers: Makers,
}

impl Opening {
    /// Runs off the async workers: it reads and may write.
    fn restore(&self, data: &Path) -> Result<Restored, OpenError> {
        let metadata = Metadata::open(data, self.new_identity())?;
        let read = |what| move |source| OpenError::Control { what, source };
        let storage_id = metadata
            .storage_id()
            .map_err(read("reading the identity"))?;
        metadata
            .set_topic_defaults(&self.options.topic_defaults)
            .map_err(read("writing the defaults for topics"))?;
        let rows = metadata.topics().map_err(read("reading topics"))?;
        let saved = metadata
            .saved_producers()
            .map_err(read("reading producers"))?;
        self.drop_strays(&rows)?;
        self.check_partitions(&rows)?;
        self.apply_settings(&rows, &metadata)?;
        let (topics, with_producers) = self.topics(rows, saved)?;
        let groups = self.groups(&topics)?;
        Ok(Restored {
            metadata,
            storage_id,
            topics,
            groups,
            with_producers,
        })
    }

    /// For a `hark.db` that is to be made. None where there are partitions of users: without the one
    /// that named their topics they would all be dropped as strays.
    fn new_identity(&self) -> Option<[u8; 16]> {
        let partitions = self.store.partitions();
        if partitions.iter().any(|id| *id != group::groups_partition()) {
            return None;
        }
        let mut identity = [0; 16];
        self.entropy.fill(&mut identity);
        Some(identity)
    }

    /// Partitions that no topic names were left behind by a crash between two steps.
    fn drop_strays(&self, rows: &[TopicRow]) -> Result<(), OpenError> {
        let known: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
        let mut strays = self.store.partitions();
        strays.retain(|id| !known.contains(&id.topic) && *id != group::groups_partition());
        if !strays.is_empty() {
            tracing::info!(partitions = strays.len(), "dropping what no topic names");
            self.store.drop_partitions(&strays)?;
        }
        Ok(())
    }

    /// A topic whose partitions the store does not have lost its records: that must not look like
    /// an empty topic.
    fn check_partitions(&self, rows: &[TopicRow]) -> Result<(), OpenError> {
        let held: BTreeSet<PartitionId> = self.store.partitions().into_iter().collect();
        for row in rows {
            if let Some(missing) = partition_ids(row).iter().find(|id| !held.contains(id)) {
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
    fn apply_settings(&self, rows: &[TopicRow], metadata: &Metadata) -> Result<(), OpenError> {
        let mut told = false;
        for row in rows.iter().filter(|row| !row.applied) {
            let settings = row.settings.over(&self.options.topic_defaults);
            self.store
                .create_partitions(&partition_ids(row), settings.of_store())?;
            told = true;
        }
        if told {
            let what = "noting that settings were applied";
            let marked = metadata.mark_all_applied();
            marked.map_err(|source| OpenError::Control { what, source })?;
        }
        Ok(())
    }

    fn topics(
        &self,
        rows: Vec<TopicRow>,
        saved: Vec<SavedProducers>,
    ) -> Result<(Topics, Vec<Weak<Partition>>), OpenError> {
        let saved = saved.into_iter().map(|saved| (saved.partition, saved));
        let mut saved: BTreeMap<PartitionId, SavedProducers> = saved.collect();
        let topics = Topics::default();
        let mut with_producers = Vec::new();
        for row in rows {
            let topic = Arc::new(self.topic(row, &mut saved)?);
            let written =
                |p: &&Arc<Partition>| p.has_producers.load(std::sync::atomic::Ordering::Relaxed);
            with_producers.extend(topic.partitions.iter().filter(written).map(Arc::downgrade));
            topics.insert(&topic);
        }
        Ok((topics, with_producers))
    }

    fn topic(
        &self,
        row: TopicRow,
        saved: &mut BTreeMap<PartitionId, SavedProducers>,
    ) -> Result<Topic, OpenError> {
        let mut found = BTreeMap::new();
        for id in partition_ids(&row) {
            let bounds = self
                .store
                .bounds(id)
                .map_err(|error| unreadable(id, &error))?;
            let bytes = self
                .store
                .size(id)
                .map_err(|error| unreadable(id, &error))?;
            let producers = match saved.remove(&id) {
                Some(saved) => Some(replay(&*self.store, bounds, &saved)?),
                None => None,
            };
            let held = Held {
                bounds,
                bytes,
                producers,
            };
            found.insert(id, held);
        }
        let held_by = |id| found.remove(&id).unwrap_or(Held::NOTHING);
        Ok(assemble(row, &self.makers, held_by))
    }

    fn groups(&self, topics: &Topics) -> Result<Groups, OpenError> {
        let restored = group::restore(&*self.store)?;
        let mut seed = [0; 8];
        self.entropy.fill(&mut seed);
        let options = Options {
            initial_rebalance_delay: self.options.initial_rebalance_delay,
            commit_retention: self.options.commit_retention,
            ..Options::default()
        };
        let known = topics.all().into_iter();
        let known = known.map(|t| (t.id, t.name.clone(), t.partition_count()));
        let now = self.clock.now();
        let seed = u64::from_ne_bytes(seed);
        let coordinator = restored.records.start(now, options, seed, known);
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
}

/// What producers had written by the end of the log: the snapshot, and the batches behind it.
fn replay(
    store: &dyn Store,
    bounds: Bounds,
    saved: &SavedProducers,
) -> Result<ProducerTable, OpenError> {
    let id = saved.partition;
    // A snapshot of more than there is was taken of another log: a restored backup, perhaps.
    let table = (saved.up_to <= bounds.end).then(|| ProducerTable::decode(&saved.table));
    let Some(mut table) = table.flatten() else {
        tracing::warn!(partition = %id, "what producers had written is not known; retries from before this start may be appended twice");
        return Ok(ProducerTable::default());
    };
    let mut next = saved.up_to.max(bounds.start);
    while next < bounds.end {
        match store.read(id, next, FETCH_BYTES_MAX) {
            Ok(batches) => {
                for batch in &batches {
                    table.record(&batch.header(), bounds.end);
                }
                let last = batches.last().map(|batch| batch.header().last_offset);
                next = last.map_or(bounds.end, |last| last.saturating_add(1));
            }
            Err(ReadError::Damaged { resume_at, .. }) if resume_at > next => next = resume_at,
            Err(error) => return Err(unreadable(id, &error)),
        }
    }
    Ok(table)
}

fn unreadable(id: PartitionId, error: &ReadError) -> OpenError {
    OpenError::Corrupt(format!("partition {id} cannot be read: {error}"))
}
