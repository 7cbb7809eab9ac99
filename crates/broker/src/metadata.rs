//! `hark.db`: what the node must know besides records. One SQLite database in the data directory,
//! write-ahead log, synced before each change is told (`synchronous = FULL`).
//!
//! | table | one row for |
//! |---|---|
//! | `node` | the node: storage id, its last start, whether a broker has ever used this, the cluster whose catalog it follows, one past the last producer id that it was given, the defaults for topics that the store was told of |
//! | `topics` | each topic of users of which the store holds something |
//! | `held` | each partition that the store was told to make |
//! | `producers` | each partition that an idempotent producer has written to: a [snapshot](SavedProducers) |
//!
//! Which topics there are is said by the catalog of the cluster; `topics` and `held` say what of it this
//! node has made. `PRAGMA user_version` is the version of the schema. SQLite blocks, so everything here is run off
//! the async workers, through [`Metadata::run`].

mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use model::{
    BootId, ClusterId, Offset, PartitionId, PartitionIndex, StorageId, Timestamp, TopicId,
    TopicName,
};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::api::TopicSettings;
use crate::error::OpenError;

/// A topic of which the store holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRow {
    pub(crate) id: TopicId,
    pub(crate) name: TopicName,
    pub(crate) partitions: u32,
    pub(crate) created: Timestamp,
    pub(crate) settings: TopicSettings,
    /// Whether the store has been told of these settings.
    pub(crate) applied: bool,
    /// What the store was told to make.
    pub(crate) held: BTreeSet<PartitionIndex>,
}

impl TopicRow {
    /// The partitions that the store was told to make.
    pub(crate) fn held_ids(&self) -> Vec<PartitionId> {
        let topic = self.id;
        let ids = self.held.iter().map(|index| PartitionId {
            topic,
            index: *index,
        });
        ids.collect()
    }
}

/// Whose `hark.db` it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The data directory.
    pub(crate) storage: StorageId,
    /// The last start that used it; none before there was more than the storage id.
    pub(crate) boot: Option<BootId>,
    /// The cluster whose catalog the node follows, once it does.
    pub(crate) cluster: Option<ClusterId>,
    /// Whether a broker has ever used it.
    pub(crate) is_opened: bool,
}

/// What a partition's idempotent producers had written when the log ended at `up_to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SavedProducers {
    pub(crate) partition: PartitionId,
    pub(crate) up_to: Offset,
    /// An encoded `ProducerTable`.
    pub(crate) table: Vec<u8>,
}

/// The open database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    connection: Arc<Mutex<Connection>>,
}

impl Metadata {
    /// Opens `hark.db` in `data`, or makes it for a node of this identity; without one it must be
    /// there.
    pub(crate) fn open(
        data: &Path,
        new_identity: impl Into<Option<[u8; 16]>>,
    ) -> Result<Self, OpenError> {
        let connection = schema::open(&data.join("hark.db"), new_identity.into())?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Runs `work` on a thread that may block. It is finished even if the caller goes away.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, MetadataError> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&this)).await;
        match done {
            Ok(result) => result.map_err(MetadataError::from),
            // Only a runtime that is shutting down drops blocking work.
            Err(_) => Err(MetadataError::Failed("the node is stopping".to_owned())),
        }
    }

    /// Whose this is.
    pub(crate) fn owner(&self) -> rusqlite::Result<Owner> {
        let query = "SELECT storage_id, boot, cluster, opened FROM node";
        let connection = self.connection.lock();
        connection.query_row(query, [], |row| {
            let boot: Option<[u8; 16]> = row.get(1)?;
            let cluster: Option<[u8; 16]> = row.get(2)?;
            Ok(Owner {
                storage: StorageId::from_bytes(row.get(0)?),
                boot: boot.map(BootId::from_bytes),
                cluster: cluster.map(ClusterId::from_bytes),
                is_opened: row.get(3)?,
            })
        })
    }

    /// Notes that this is used by this start of this node.
    pub(crate) fn set_start(&self, storage: StorageId, boot: BootId) -> rusqlite::Result<()> {
        let change = "UPDATE node SET storage_id = ?1, boot = ?2";
        let ids = [storage.as_bytes(), boot.as_bytes()];
        self.connection.lock().execute(change, ids)?;
        Ok(())
    }

    /// Notes that a broker uses this: from here on it says which records there are.
    pub(crate) fn set_opened(&self) -> rusqlite::Result<()> {
        let change = "UPDATE node SET opened = 1 WHERE opened = 0";
        self.connection.lock().execute(change, [])?;
        Ok(())
    }

    /// Takes note of the node's defaults for topics. If those that concern the store are not the ones
    /// it was last told of, it has yet to be told of every topic that follows any of them.
    pub(crate) fn set_topic_defaults(&self, defaults: &TopicSettings) -> rusqlite::Result<()> {
        let [retention, retention_bytes, segment_bytes, _] = rows::settings(defaults);
        let values = params![retention, retention_bytes, segment_bytes];
        let mut connection = self.connection.lock();
        let change = connection.transaction()?;
        let changed = change.execute(
            "UPDATE node SET default_retention_ms = ?1, default_retention_bytes = ?2, \
             default_segment_bytes = ?3 WHERE default_retention_ms IS NOT ?1 \
             OR default_retention_bytes IS NOT ?2 OR default_segment_bytes IS NOT ?3",
            values,
        )?;
        if changed > 0 {
            let follow = "UPDATE topics SET applied = 0 WHERE retention_ms IS NULL \
                 OR retention_bytes IS NULL OR segment_bytes IS NULL";
            change.execute(follow, [])?;
        }
        change.commit()
    }

    /// Notes that this cluster's catalog holds every topic of this node.
    pub(crate) fn set_cluster(&self, cluster: ClusterId) -> rusqlite::Result<()> {
        let change = "UPDATE node SET cluster = ?1";
        self.connection
            .lock()
            .execute(change, [cluster.as_bytes()])?;
        Ok(())
    }

    /// Every topic, by identity.
    pub(crate) fn topics(&self) -> rusqlite::Result<BTreeMap<TopicId, TopicRow>> {
        let connection = self.connection.lock();
        let mut query = connection.prepare(rows::SELECT_TOPICS)?;
        let topics = query.query_map([], rows::topic)?;
        let topics = topics.map(|topic| topic.map(|topic| (topic.id, topic)));
        let mut topics: BTreeMap<TopicId, TopicRow> = topics.collect::<Result<_, _>>()?;
        let mut query = connection.prepare("SELECT topic, partition FROM held")?;
        for partition in query.query_map([], rows::partition)? {
            let partition = partition?;
            if let Some(topic) = topics.get_mut(&partition.topic) {
                topic.held.insert(partition.index);
            }
        }
        Ok(topics)
    }

    /// Adds a topic, whose settings the store knows, or adds to what is held of it.
    pub(crate) fn hold(&self, topic: &TopicRow) -> rusqlite::Result<()> {
        let mut connection = self.connection.lock();
        let change = connection.transaction()?;
        let settings = rows::settings(&topic.settings);
        change.execute(
            "INSERT OR IGNORE INTO topics (id, name, partitions, created_ms, applied, retention_ms, \
             retention_bytes, segment_bytes, max_message_bytes) \
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8)",
            params![
                topic.id.as_bytes(),
                topic.name.as_str(),
                topic.partitions,
                topic.created.as_millis(),
                settings[0],
                settings[1],
                settings[2],
                settings[3],
            ],
        )?;
        {
            let mut insert = change.prepare("INSERT OR IGNORE INTO held VALUES (?1, ?2)")?;
            for PartitionIndex(index) in &topic.held {
                insert.execute(params![topic.id.as_bytes(), index])?;
            }
        }
        change.commit()
    }

    /// Removes a topic and what is known of its producers.
    pub(crate) fn delete_topic(&self, id: TopicId) -> rusqlite::Result<()> {
        let mut connection = self.connection.lock();
        let change = connection.transaction()?;
        change.execute("DELETE FROM topics WHERE id = ?1", [id.as_bytes()])?;
        change.execute("DELETE FROM held WHERE topic = ?1", [id.as_bytes()])?;
        change.execute("DELETE FROM producers WHERE topic = ?1", [id.as_bytes()])?;
        change.commit()
    }

    /// Changes settings, which the store has yet to be told of.
    pub(crate) fn configure_topic(
        &self,
        id: TopicId,
        settings: &TopicSettings,
    ) -> rusqlite::Result<()> {
        let settings = rows::settings(settings);
        self.connection.lock().execute(
            "UPDATE topics SET applied = 0, retention_ms = ?2, retention_bytes = ?3, \
             segment_bytes = ?4, max_message_bytes = ?5 WHERE id = ?1",
            params![
                id.as_bytes(),
                settings[0],
                settings[1],
                settings[2],
                settings[3]
            ],
        )?;
        Ok(())
    }

    /// Notes that the store knows the settings.
    pub(crate) fn mark_applied(&self, id: TopicId) -> rusqlite::Result<()> {
        let change = "UPDATE topics SET applied = 1 WHERE id = ?1";
        self.connection.lock().execute(change, [id.as_bytes()])?;
        Ok(())
    }

    /// Notes that the store knows the settings of every topic.
    pub(crate) fn mark_all_applied(&self) -> rusqlite::Result<()> {
        let change = "UPDATE topics SET applied = 1 WHERE applied = 0";
        self.connection.lock().execute(change, [])?;
        Ok(())
    }

    /// One past the last producer id that this node was given.
    pub(crate) fn next_producer_id(&self) -> rusqlite::Result<u64> {
        let query = "SELECT next_producer_id FROM node";
        let connection = self.connection.lock();
        connection.query_row(query, [], |row| row.get(0).map(i64::cast_unsigned))
    }

    /// Notes that this node was given producer ids up to this one.
    pub(crate) fn raise_next_producer_id(&self, next: u64) -> rusqlite::Result<()> {
        let change = "UPDATE node SET next_producer_id = max(next_producer_id, ?1)";
        let next = i64::try_from(next).unwrap_or(i64::MAX);
        self.connection.lock().execute(change, [next])?;
        Ok(())
    }

    /// Every snapshot of producers.
    pub(crate) fn saved_producers(&self) -> rusqlite::Result<Vec<SavedProducers>> {
        let connection = self.connection.lock();
        let mut query =
            connection.prepare("SELECT topic, partition, up_to, state FROM producers")?;
        query.query_map([], rows::producers)?.collect()
    }

    /// Writes snapshots, at one go.
    pub(crate) fn save_producers(&self, saved: &[SavedProducers]) -> rusqlite::Result<()> {
        let mut connection = self.connection.lock();
        let change = connection.transaction()?;
        {
            // A topic deleted meanwhile must not come back as a stray row.
            let mut insert = change.prepare(
                "INSERT OR REPLACE INTO producers (topic, partition, up_to, state) \
                 SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM topics WHERE id = ?1)",
            )?;
            for one in saved {
                let PartitionIndex(index) = one.partition.index;
                let up_to = one.up_to.to_wire();
                let topic = one.partition.topic;
                insert.execute(params![topic.as_bytes(), index, up_to, one.table])?;
            }
        }
        change.commit()
    }

    /// Merges the write-ahead log back, so that the one file is whole.
    pub(crate) fn close(&self) -> rusqlite::Result<()> {
        let connection = self.connection.lock();
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .optional()?;
        Ok(())
    }
}

/// Why a change was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MetadataError {
    /// No space left.
    Full,
    /// Anything else.
    Failed(String),
}

impl From<rusqlite::Error> for MetadataError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(format!("hark.db: {error}")),
        }
    }
}
