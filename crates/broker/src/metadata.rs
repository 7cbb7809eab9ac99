//! `hark.db`: what the node must know besides records. One SQLite database in the data directory,
//! write-ahead log, synced before each change is told (`synchronous = FULL`).
//!
//! | table | one row for |
//! |---|---|
//! | `node` | the node: storage id, the next producer id never given out, the defaults for topics that the store was told of |
//! | `topics` | each topic of users |
//! | `producers` | each partition that an idempotent producer has written to: a [snapshot](SavedProducers) |
//!
//! `PRAGMA user_version` is the version of the schema. SQLite blocks, so everything here is run off
//! the async workers, through [`Metadata::run`].

mod rows;
mod schema;

use std::path::Path;
use std::sync::Arc;

use model::limits::PRODUCER_IDS_PER_BLOCK;
use model::{Offset, PartitionId, PartitionIndex, Timestamp, TopicId, TopicName};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::api::TopicSettings;
use crate::error::OpenError;

/// A topic as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRow {
    pub(crate) id: TopicId,
    pub(crate) name: TopicName,
    pub(crate) partitions: u32,
    pub(crate) created: Timestamp,
    pub(crate) settings: TopicSettings,
    /// Whether the store has been told of these settings.
    pub(crate) applied: bool,
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

    /// The identity of the data directory.
    pub(crate) fn storage_id(&self) -> rusqlite::Result<[u8; 16]> {
        let query = "SELECT storage_id FROM node";
        self.connection
            .lock()
            .query_row(query, [], |row| row.get(0))
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

    /// Every topic, by name.
    pub(crate) fn topics(&self) -> rusqlite::Result<Vec<TopicRow>> {
        let connection = self.connection.lock();
        let mut query = connection.prepare(rows::SELECT_TOPICS)?;
        query.query_map([], rows::topic)?.collect()
    }

    /// Adds a topic, whose settings the store knows.
    pub(crate) fn insert_topic(&self, topic: &TopicRow) -> rusqlite::Result<()> {
        let settings = rows::settings(&topic.settings);
        self.connection.lock().execute(
            "INSERT INTO topics (id, name, partitions, created_ms, applied, retention_ms, \
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
        Ok(())
    }

    /// Removes a topic and what is known of its producers.
    pub(crate) fn delete_topic(&self, id: TopicId) -> rusqlite::Result<()> {
        let mut connection = self.connection.lock();
        let change = connection.transaction()?;
        change.execute("DELETE FROM topics WHERE id = ?1", [id.as_bytes()])?;
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

    /// Takes a block of producer ids that were never given out; the first of them.
    pub(crate) fn take_producer_ids(&self) -> rusqlite::Result<u64> {
        self.connection.lock().query_row(
            "UPDATE node SET next_producer_id = next_producer_id + ?1 \
             RETURNING next_producer_id - ?1",
            [i64::from(PRODUCER_IDS_PER_BLOCK)],
            |row| row.get(0).map(i64::cast_unsigned),
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> TopicRow {
        TopicRow {
            id: TopicId::from_bytes([7; 16]),
            name: name.parse().unwrap(),
            partitions: 3,
            created: Timestamp::from_millis(5).unwrap(),
            settings: TopicSettings {
                retention_bytes: Some(u64::MAX),
                max_message_bytes: Some(100),
                ..TopicSettings::default()
            },
            applied: true,
        }
    }

    #[test]
    fn topics_are_there_after_a_reopen() {
        let dir = tempfile::tempdir().unwrap();
        let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
        metadata.insert_topic(&row("a")).unwrap();
        let held = metadata.topics().unwrap().remove(0).settings;
        let expected = TopicSettings {
            // SQLite's integers are signed: a setting that they cannot hold becomes the most they can.
            retention_bytes: Some(i64::MAX as u64),
            ..row("a").settings
        };
        assert_eq!(held, expected);
        let changed = TopicSettings {
            segment_bytes: Some(1 << 20),
            ..TopicSettings::default()
        };
        metadata.configure_topic(row("a").id, &changed).unwrap();
        metadata.close().unwrap();
        drop(metadata);

        let metadata = Metadata::open(dir.path(), [2; 16]).unwrap();
        let expected = TopicRow {
            settings: changed,
            applied: false,
            ..row("a")
        };
        assert_eq!(metadata.topics().unwrap(), [expected]);
        assert_eq!(
            metadata.storage_id().unwrap(),
            [1; 16],
            "the first one stays"
        );
    }

    #[test]
    fn a_name_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
        metadata.insert_topic(&row("a")).unwrap();
        let again = TopicRow {
            id: TopicId::from_bytes([8; 16]),
            ..row("a")
        };
        assert!(metadata.insert_topic(&again).is_err());
    }

    #[test]
    fn producer_ids_are_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let first = Metadata::open(dir.path(), [1; 16]).unwrap();
        assert_eq!(first.take_producer_ids().unwrap(), 0);
        assert_eq!(first.take_producer_ids().unwrap(), 1000);
        drop(first);
        let second = Metadata::open(dir.path(), [1; 16]).unwrap();
        assert_eq!(second.take_producer_ids().unwrap(), 2000);
    }

    #[test]
    fn snapshots_go_with_their_topic() {
        let dir = tempfile::tempdir().unwrap();
        let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
        metadata.insert_topic(&row("a")).unwrap();
        let saved = SavedProducers {
            partition: PartitionId {
                topic: row("a").id,
                index: PartitionIndex(2),
            },
            up_to: Offset::new(9).unwrap(),
            table: vec![1, 2, 3],
        };
        metadata
            .save_producers(std::slice::from_ref(&saved))
            .unwrap();
        assert_eq!(
            metadata.saved_producers().unwrap(),
            std::slice::from_ref(&saved)
        );
        metadata.delete_topic(row("a").id).unwrap();
        metadata.save_producers(&[saved]).unwrap();
        assert_eq!(metadata.saved_producers().unwrap(), []);
    }

    #[test]
    fn new_defaults_concern_the_topics_that_follow_them() {
        let dir = tempfile::tempdir().unwrap();
        let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
        let independent = TopicRow {
            id: TopicId::from_bytes([8; 16]),
            settings: TopicSettings {
                retention: Some(std::time::Duration::from_secs(1)),
                retention_bytes: Some(1),
                segment_bytes: Some(1 << 20),
                max_message_bytes: None,
            },
            ..row("b")
        };
        metadata.insert_topic(&row("a")).unwrap();
        metadata.insert_topic(&independent).unwrap();
        let applied = || -> Vec<bool> {
            let rows = metadata.topics().unwrap();
            rows.iter().map(|row| row.applied).collect()
        };
        let of_the_store = TopicSettings {
            segment_bytes: Some(1 << 20),
            ..TopicSettings::default()
        };
        let of_the_broker = TopicSettings {
            max_message_bytes: Some(500),
            ..of_the_store
        };
        for (defaults, expected) in [
            (TopicSettings::default(), [true, true]),
            (of_the_store, [false, true]),
            (of_the_broker, [true, true]),
            (TopicSettings::default(), [false, true]),
        ] {
            metadata.set_topic_defaults(&defaults).unwrap();
            assert_eq!(applied(), expected, "{defaults:?}");
            metadata.mark_all_applied().unwrap();
        }
    }

    #[test]
    fn a_database_of_version_1_is_brought_up() {
        let dir = tempfile::tempdir().unwrap();
        drop(Metadata::open(dir.path(), [1; 16]).unwrap());
        let raw = Connection::open(dir.path().join("hark.db")).unwrap();
        raw.execute_batch(
            "ALTER TABLE node DROP COLUMN default_retention_ms;
             ALTER TABLE node DROP COLUMN default_retention_bytes;
             ALTER TABLE node DROP COLUMN default_segment_bytes;
             PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(raw);
        let metadata = Metadata::open(dir.path(), [2; 16]).unwrap();
        metadata
            .set_topic_defaults(&TopicSettings::default())
            .unwrap();
        assert_eq!(metadata.storage_id().unwrap(), [1; 16]);
        drop(metadata);
        Metadata::open(dir.path(), [2; 16]).unwrap();
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Metadata::open(dir.path(), [1; 16]).unwrap());
        let raw = Connection::open(dir.path().join("hark.db")).unwrap();
        raw.pragma_update(None, "user_version", 99).unwrap();
        drop(raw);
        let refused = Metadata::open(dir.path(), [1; 16]).unwrap_err().to_string();
        assert!(refused.contains("version 99"), "{refused}");
    }
}
