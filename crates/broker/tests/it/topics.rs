//! Topics: made, changed, deleted, and there after a restart.

use std::sync::Arc;
use std::time::Duration;

use broker::seams::{OsEntropy, SystemClock};
use broker::{
    Alone, Broker, BrokerOptions, EffectiveSettings, NewTopic, OpenError, Start, TopicChanges,
    TopicError, TopicSettings,
};
use model::Mode;
use seglog::Store;

use crate::memory::MemoryStore;
use crate::node::{Engine, Node, eventually, on_both, options, texts, time, topic};

on_both!(
    topics_outlive_a_restart,
    settings_can_be_changed,
    a_deleted_topic_is_gone,
    retention_moves_the_start,
    topics_that_set_nothing_follow_the_node,
);

async fn topics_outlive_a_restart(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("b", 3).await;
    node.topic("a", 1).await;
    node.say_in(&name, 2, &["x", "y"]).await.unwrap();
    let before = node.broker.topic(&name).unwrap();
    assert_eq!(before.partitions[2].held.unwrap().end.get(), 2);
    assert_eq!(before.created, time(1_000_000));
    let (id, status) = (before.id, node.broker.status());
    assert_eq!((status.topics, status.partitions, status.groups), (2, 4, 0));
    assert_eq!(
        status.store,
        if engine == Engine::Log {
            "log"
        } else {
            "sqlite"
        }
    );

    let node = node.reopen(engine).await;
    let names: Vec<String> = node
        .broker
        .topics()
        .iter()
        .map(|t| t.name.to_string())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let after = node.broker.topic(&name).unwrap();
    assert_eq!(
        (after.id, after.partitions[2].held.unwrap().end.get()),
        (id, 2)
    );
    assert_eq!(node.broker.status().storage_id, status.storage_id);
    assert_eq!(texts(&node.read_all(&name).await), ["x", "y"]);
    assert_eq!(
        node.say_in(&name, 2, &["z"]).await.unwrap()[0].offset.get(),
        2
    );

    let again = NewTopic {
        name,
        partitions: None,
        replication_factor: None,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
    };
    let exists = node.broker.create_topic(again).await.unwrap_err();
    assert_eq!(exists, TopicError::Exists("b".to_owned()));
}

async fn settings_can_be_changed(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    let changes = TopicChanges {
        retention: Some(Some(Duration::from_secs(60))),
        max_message_bytes: Some(Some(200)),
        ..TopicChanges::default()
    };
    let changed = node.broker.configure_topic(&name, changes).await.unwrap();
    assert_eq!(changed.settings.retention, Some(Duration::from_secs(60)));
    let large = "x".repeat(200);
    assert_eq!(
        node.say_in(&name, 0, &[&large]).await.unwrap_err().code(),
        "message_too_large"
    );
    let node = node.reopen(engine).await;
    assert_eq!(node.broker.topic(&name).unwrap().settings, changed.settings);
    let back = TopicChanges {
        max_message_bytes: Some(None),
        ..TopicChanges::default()
    };
    node.broker.configure_topic(&name, back).await.unwrap();
    node.say(&name, &[&large]).await;
    let wrong = TopicChanges {
        segment_bytes: Some(Some(1)),
        ..TopicChanges::default()
    };
    let refused = node.broker.configure_topic(&name, wrong).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_setting");
    let unknown = node
        .broker
        .configure_topic(&topic("u"), TopicChanges::default())
        .await;
    assert_eq!(unknown.unwrap_err().code(), "unknown_topic");
}

async fn a_deleted_topic_is_gone(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 2).await;
    node.say(&name, &["old"]).await;
    node.broker.delete_topic(&name).await.unwrap();
    assert_eq!(
        node.broker.topic(&name).unwrap_err().code(),
        "unknown_topic"
    );
    assert_eq!(
        node.broker.delete_topic(&name).await.unwrap_err().code(),
        "unknown_topic"
    );
    let node = node.reopen(engine).await;
    assert_eq!(node.broker.topics(), []);
    node.topic("t", 1).await;
    node.say(&name, &["new"]).await;
    assert_eq!(texts(&node.read_all(&name).await), ["new"]);
}

async fn retention_moves_the_start(engine: Engine) {
    let often = BrokerOptions {
        retention_interval: Duration::from_millis(20),
        ..options()
    };
    let node = Node::with(engine, often).await;
    let settings = TopicSettings {
        retention: Some(Duration::from_secs(10)),
        segment_bytes: Some(64 * 1024),
        ..TopicSettings::default()
    };
    let name = node.topic_with("t", 1, settings).await;
    let text = "x".repeat(10_000);
    let first = node.poll(&name, Start::Latest);
    for _ in 0..30 {
        node.say(&name, &[&text]).await;
    }
    drop(first);
    node.clock.set(1_000_000 + 60_000);
    let start = || {
        node.broker.topic(&name).unwrap().partitions[0]
            .held
            .unwrap()
            .start
            .get()
    };
    eventually("old segments go", || start() > 0).await;
    let polled = node.peek(&name, Start::Earliest).await.unwrap();
    assert!(polled.gaps.is_empty());
}

async fn topics_that_set_nothing_follow_the_node(engine: Engine) {
    let node = Node::new(engine).await;
    let follower = node.topic("follower", 1).await;
    let own = TopicSettings {
        retention: Some(Duration::from_secs(3600)),
        segment_bytes: Some(64 * 1024),
        ..TopicSettings::default()
    };
    let independent = node.topic_with("independent", 1, own).await;
    let built_in = EffectiveSettings {
        retention: None,
        retention_bytes: None,
        segment_bytes: 256 << 20,
        max_message_bytes: (1 << 20) + 12,
    };
    assert_eq!(node.broker.topic(&follower).unwrap().effective, built_in);

    let with_defaults = BrokerOptions {
        retention_interval: Duration::from_millis(20),
        topic_defaults: TopicSettings {
            retention: Some(Duration::from_secs(10)),
            retention_bytes: None,
            segment_bytes: Some(64 * 1024),
            max_message_bytes: Some(11_000),
        },
        ..options()
    };
    let node = node.reopen_with(engine, with_defaults.clone()).await;
    let described = node.broker.topic(&follower).unwrap();
    let expected = EffectiveSettings {
        retention: Some(Duration::from_secs(10)),
        retention_bytes: None,
        segment_bytes: 64 * 1024,
        max_message_bytes: 11_000,
    };
    assert_eq!(described.settings, TopicSettings::default());
    assert_eq!(described.effective, expected);
    let text = "x".repeat(10_000);
    for _ in 0..30 {
        node.say(&follower, &[&text]).await;
        node.say(&independent, &[&text]).await;
    }
    let large = "x".repeat(11_000);
    let refused = node.say_in(&follower, 0, &[&large]).await.unwrap_err();
    assert_eq!(refused.code(), "message_too_large");

    // The store was told of them, and once more is told nothing.
    let node = node.reopen_with(engine, with_defaults).await;
    node.clock.set(1_000_000 + 60_000);
    let start = |name| {
        node.broker.topic(name).unwrap().partitions[0]
            .held
            .unwrap()
            .start
            .get()
    };
    eventually("old segments go", || start(&follower) > 0).await;
    assert_eq!(start(&independent), 0);
    let fresh = node.topic("fresh", 1).await;
    assert_eq!(node.broker.topic(&fresh).unwrap().effective, expected);

    let node = node.reopen(engine).await;
    assert_eq!(node.broker.topic(&follower).unwrap().effective, built_in);
    node.say(&follower, &[&large]).await;
}

#[tokio::test]
async fn impossible_defaults_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let impossible = BrokerOptions {
        topic_defaults: TopicSettings {
            segment_bytes: Some(1),
            ..TopicSettings::default()
        },
        ..options()
    };
    let clock = Arc::new(SystemClock::new());
    let alone = Alone::open(dir.path(), clock.clone(), Arc::new(OsEntropy));
    let store = MemoryStore::new();
    let opened = Broker::open(
        dir.path(),
        store.clone(),
        alone.await.unwrap(),
        impossible,
        clock,
        Arc::new(OsEntropy),
    );
    let refused = opened.await.unwrap_err().to_string();
    assert!(refused.contains("segment_bytes must lie"), "{refused}");
    assert_eq!(store.partitions(), [], "nothing was made");
}

/// A lost `hark.db` must not take the records with it, however often the start is tried.
#[tokio::test]
async fn records_without_a_control_database_are_kept_and_refused() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a"]).await;
    let dir = node.close().await;
    let (path, aside) = (dir.path().join("hark.db"), dir.path().join("aside"));
    let catalog = dir.path().join("alone.catalog");
    let catalog_aside = dir.path().join("catalog-aside");
    std::fs::rename(&path, &aside).unwrap();
    for _ in 0..2 {
        let Err(OpenError::Foreign(why)) = Node::open(Engine::Log, &dir).await else {
            panic!("it was opened");
        };
        assert!(why.contains("hark.db is missing"), "{why}");
    }
    // As if the node had never been one.
    std::fs::rename(&catalog, &catalog_aside).unwrap();
    for _ in 0..2 {
        let Err(OpenError::Corrupt(why)) = Node::open(Engine::Log, &dir).await else {
            panic!("it was opened");
        };
        assert!(why.contains("hark.db was missing"), "{why}");
    }
    std::fs::rename(&catalog_aside, &catalog).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    let broker = Node::open(Engine::Log, &dir).await.unwrap();
    let end = broker.topic(&name).unwrap().partitions[0].held.unwrap().end;
    assert_eq!(end.get(), 1);
}

/// The records of a topic that exists must not look as if there had never been any.
#[tokio::test]
async fn a_store_without_the_topics_partitions_is_refused() {
    let node = Node::on_memory(&MemoryStore::new()).await;
    node.topic("t", 1).await;
    let refused = node.reopen_on(MemoryStore::new()).await;
    let Err(OpenError::Corrupt(why)) = refused.map(|_| ()) else {
        panic!("it was opened");
    };
    assert!(why.contains("topic 't'"), "{why}");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_topic_half_made() {
    let node = Node::new(Engine::Log).await;
    for number in 0..20 {
        let name = topic(&format!("t{number}"));
        let new = NewTopic {
            name: name.clone(),
            partitions: Some(2),
            replication_factor: None,
            mode: Mode::Leader,
            settings: TopicSettings::default(),
        };
        let broker = node.broker.clone();
        let making = tokio::spawn(async move { broker.create_topic(new).await });
        for _ in 0..number % 4 {
            tokio::task::yield_now().await;
        }
        making.abort();
        let _ = making.await;
        // Made or not: it can be used.
        node.say(&name, &["x"]).await;
        assert_eq!(texts(&node.read_all(&name).await), ["x"]);
    }
}
