//! What is written is there after a reopen, and older databases are brought up.

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
        held: [0, 2].map(PartitionIndex).into(),
    }
}

fn rows(metadata: &Metadata) -> Vec<TopicRow> {
    metadata.topics().unwrap().into_values().collect()
}

#[test]
fn topics_are_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
    metadata.hold(&row("a")).unwrap();
    let held = rows(&metadata).remove(0).settings;
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
    assert_eq!(rows(&metadata), [expected]);
    assert_eq!(
        metadata.owner().unwrap().storage.as_bytes(),
        &[1; 16],
        "the first one stays"
    );
}

#[test]
fn more_of_a_topic_is_held_than_before() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
    metadata.hold(&row("a")).unwrap();
    let more = TopicRow {
        held: [1].map(PartitionIndex).into(),
        ..row("a")
    };
    metadata.hold(&more).unwrap();
    assert_eq!(
        rows(&metadata)[0].held,
        [0, 1, 2].map(PartitionIndex).into()
    );
    metadata.delete_topic(row("a").id).unwrap();
    metadata.hold(&more).unwrap();
    assert_eq!(
        rows(&metadata)[0].held,
        more.held,
        "nothing was left behind"
    );
}

#[test]
fn producer_ids_only_grow() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
    assert_eq!(metadata.next_producer_id().unwrap(), 0);
    metadata.raise_next_producer_id(2000).unwrap();
    metadata.raise_next_producer_id(1000).unwrap();
    drop(metadata);
    let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
    assert_eq!(metadata.next_producer_id().unwrap(), 2000);
}

#[test]
fn whose_it_is_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
    let mut expected = Owner {
        storage: StorageId::from_bytes([1; 16]),
        boot: None,
        cluster: None,
        is_opened: false,
    };
    assert_eq!(metadata.owner().unwrap(), expected);
    expected.cluster = Some(ClusterId::from_bytes([4; 16]));
    metadata
        .set_cluster(ClusterId::from_bytes([4; 16]))
        .unwrap();
    metadata.set_opened().unwrap();
    let (storage, boot) = (StorageId::from_bytes([2; 16]), BootId::from_bytes([3; 16]));
    metadata.set_start(storage, boot).unwrap();
    (expected.storage, expected.boot) = (storage, Some(boot));
    expected.is_opened = true;
    assert_eq!(metadata.owner().unwrap(), expected);
}

#[test]
fn snapshots_go_with_their_topic() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = Metadata::open(dir.path(), [1; 16]).unwrap();
    metadata.hold(&row("a")).unwrap();
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
    metadata.hold(&row("a")).unwrap();
    metadata.hold(&independent).unwrap();
    let applied = || -> Vec<bool> { rows(&metadata).iter().map(|row| row.applied).collect() };
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

/// The tables as version 1 made them, with one topic; version 2 added columns to the first.
const VERSION_1: &str = "
    CREATE TABLE node (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        storage_id BLOB NOT NULL CHECK (length(storage_id) = 16),
        next_producer_id INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE topics (
        id BLOB PRIMARY KEY CHECK (length(id) = 16),
        name TEXT NOT NULL UNIQUE,
        partitions INTEGER NOT NULL CHECK (partitions > 0),
        created_ms INTEGER NOT NULL,
        applied INTEGER NOT NULL,
        retention_ms INTEGER,
        retention_bytes INTEGER,
        segment_bytes INTEGER,
        max_message_bytes INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE producers (
        topic BLOB NOT NULL,
        partition INTEGER NOT NULL,
        up_to INTEGER NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (topic, partition)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO node VALUES (1, x'01010101010101010101010101010101', 3000);
    INSERT INTO topics VALUES
        (x'07070707070707070707070707070707', 'a', 3, 5, 1, NULL, 9223372036854775807, NULL, 100);
";
const VERSION_2: &str = "
    ALTER TABLE node ADD COLUMN default_retention_ms INTEGER;
    ALTER TABLE node ADD COLUMN default_retention_bytes INTEGER;
    ALTER TABLE node ADD COLUMN default_segment_bytes INTEGER;
";

#[test]
fn databases_of_older_versions_are_brought_up() {
    for (version, more) in [(1, ""), (2, VERSION_2)] {
        let dir = tempfile::tempdir().unwrap();
        let raw = Connection::open(dir.path().join("hark.db")).unwrap();
        raw.execute_batch(VERSION_1).unwrap();
        raw.execute_batch(more).unwrap();
        raw.pragma_update(None, "user_version", version).unwrap();
        drop(raw);
        let metadata = Metadata::open(dir.path(), None).unwrap();
        metadata
            .set_topic_defaults(&TopicSettings::default())
            .unwrap();
        let owner = Owner {
            storage: StorageId::from_bytes([1; 16]),
            boot: None,
            cluster: None,
            is_opened: true,
        };
        assert_eq!(metadata.owner().unwrap(), owner);
        assert_eq!(metadata.next_producer_id().unwrap(), 3000);
        let mut expected = row("a");
        expected.settings.retention_bytes = Some(i64::MAX as u64);
        expected.held = [0, 1, 2].map(PartitionIndex).into();
        assert_eq!(rows(&metadata), [expected], "version {version}");
        drop(metadata);
        Metadata::open(dir.path(), None).unwrap();
    }
}

#[test]
fn a_database_of_version_3_lacks_only_its_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(Metadata::open(dir.path(), [1; 16]).unwrap());
    let raw = Connection::open(dir.path().join("hark.db")).unwrap();
    raw.execute_batch("ALTER TABLE node DROP COLUMN boot; ALTER TABLE node DROP COLUMN opened")
        .unwrap();
    raw.pragma_update(None, "user_version", 3).unwrap();
    drop(raw);
    let owner = Metadata::open(dir.path(), None).unwrap().owner().unwrap();
    assert_eq!((owner.boot, owner.is_opened), (None, true));
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
