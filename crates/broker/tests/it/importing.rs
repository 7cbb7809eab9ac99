//! What a node made alone comes along into its cluster.

use std::sync::Arc;

use broker::Alone;
use broker::seams::{OsEntropy, SystemClock};
use model::NodeId;
use tempfile::TempDir;

use crate::cluster::Hub;
use crate::node::{Engine, Node, open_store, options, texts, topic};
use crate::reconcile::{new_topic, read_all};

/// Topics of a node that stood alone, with one record each, and a producer that wrote them.
async fn stood_alone(names: &[&str]) -> TempDir {
    let node = Node::new(Engine::Log).await;
    for name in names {
        let name = node.topic(name, 2).await;
        node.say(&name, &[name.as_str()]).await;
    }
    assert_eq!(node.broker.new_producer().await.unwrap().id.0, 0);
    node.close().await
}

/// Before there were clusters, `hark.db` named none.
fn forget_cluster(dir: &TempDir) {
    std::fs::remove_file(dir.path().join("alone.catalog")).unwrap();
    let database = rusqlite::Connection::open(dir.path().join("hark.db")).unwrap();
    let changed = database.execute("UPDATE node SET cluster = NULL", []);
    assert_eq!(changed.unwrap(), 1);
}

#[tokio::test]
async fn topics_made_alone_are_brought_into_the_cluster() {
    bring_along(&stood_alone(&["a", "b"]).await).await;
}

#[tokio::test]
async fn topics_made_before_there_were_clusters_are_brought_into_one() {
    let dir = stood_alone(&["a", "b"]).await;
    forget_cluster(&dir);
    bring_along(&dir).await;
}

async fn bring_along(dir: &TempDir) {
    let hub = Hub::new(1);
    hub.register(NodeId(0));
    hub.register(NodeId(1));
    for start in 0..2 {
        let store = open_store(Engine::Log, dir);
        let broker = hub.open(NodeId(1), dir, store, options()).await.unwrap();
        let catalog = hub.catalog();
        assert_eq!(catalog.topics().count(), 2);
        if start == 0 {
            let newest = catalog.topics().map(|topic| topic.changed).max();
            let last = Some(catalog.revision());
            assert_eq!(newest, last, "the producer ids were taken before");
        }
        for name in ["a", "b"] {
            assert_eq!(
                texts(&read_all(&broker, name).await),
                [name],
                "start {start}"
            );
        }
        let producer = broker.new_producer().await.unwrap().id.0;
        assert!(producer >= 1000, "{producer} was given out before");
        broker.close().await;
        hub.forget(NodeId(1));
    }
}

#[tokio::test]
async fn a_topic_whose_name_is_taken_in_the_cluster_is_kept() {
    let dir = stood_alone(&["a", "b"]).await;
    let hub = Hub::new(1);
    hub.register(NodeId(0));
    hub.register(NodeId(1));
    let other = hub.start(NodeId(0), options()).await;
    other.broker.create_topic(new_topic("a", 1)).await.unwrap();
    let read = async |name: &str| {
        let store = open_store(Engine::Log, &dir);
        let broker = hub.open(NodeId(1), &dir, store, options()).await.unwrap();
        let found = texts(&read_all(&broker, name).await);
        broker.close().await;
        hub.forget(NodeId(1));
        found
    };
    assert_eq!(read("a").await, [] as [String; 0], "the cluster's");
    assert_eq!(read("b").await, ["b"]);
    other.broker.delete_topic(&topic("a")).await.unwrap();
    assert_eq!(
        read("a").await,
        ["a"],
        "the next start after the name is free"
    );
}

#[tokio::test]
async fn topics_of_another_cluster_are_kept_and_not_brought_along() {
    let dir = tempfile::tempdir().unwrap();
    for (cluster, expected) in [(1, 1), (2, 0), (1, 0)] {
        let hub = Hub::new(cluster);
        hub.register(NodeId(0));
        let store = open_store(Engine::Log, &dir);
        let broker = hub.open(NodeId(0), &dir, store, options()).await.unwrap();
        if expected > 0 {
            broker.create_topic(new_topic("t", 1)).await.unwrap();
        }
        assert_eq!(broker.topics().len(), expected);
        broker.close().await;
        hub.forget(NodeId(0));
    }
}

/// The catalog of a node that stands alone is gone, and its records are not.
#[tokio::test]
async fn a_lost_catalog_of_one_is_made_again() {
    let dir = stood_alone(&["a"]).await;
    std::fs::remove_file(dir.path().join("alone.catalog")).unwrap();
    let broker = Node::open(Engine::Log, &dir).await.unwrap();
    assert_eq!(texts(&read_all(&broker, "a").await), ["a"]);
}

#[tokio::test]
async fn a_damaged_catalog_of_one_is_refused() {
    let dir = stood_alone(&["a"]).await;
    std::fs::write(dir.path().join("alone.catalog"), b"no catalog").unwrap();
    let clock = Arc::new(SystemClock::new());
    let opened = Alone::open(dir.path(), clock, Arc::new(OsEntropy)).await;
    let refused = opened.unwrap_err().to_string();
    assert!(refused.starts_with("alone.catalog: "), "{refused}");
}
