//! Nodes that were away, and nodes that do not come back.

use catalog::Command;
use model::{Mode, NodeId, PartitionId, PartitionIndex, TopicId};
use seglog::{PartitionSettings, Store};

use broker::{NodeChange, OpenError, TopicSettings};

use crate::cluster::Hub;
use crate::memory::MemoryStore;
use crate::node::{Engine, eventually, open_store, options, texts, topic};
use crate::reconcile::{held, knows, new_topic, read_all, say};

/// What a node holds is there after a restart, even if the catalog that it knows by then is behind.
#[tokio::test]
async fn a_restart_keeps_what_the_catalog_does_not_say_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::new(1);
    hub.register(NodeId(0));
    let id = {
        let store = open_store(Engine::Log, &dir);
        let broker = hub.open(NodeId(0), &dir, store, options()).await.unwrap();
        let id = broker.create_topic(new_topic("t", 2)).await.unwrap().id;
        say(&broker, "t", PartitionIndex(1), "x").await.unwrap();
        broker.close().await;
        id
    };
    hub.forget(NodeId(0));
    // A cluster of the same name, as it was before the topic was made.
    let before = Hub::new(1);
    before.register(NodeId(0));
    let store = open_store(Engine::Log, &dir);
    let broker = before
        .open(NodeId(0), &dir, store.clone(), options())
        .await
        .unwrap();
    assert_eq!(broker.topics(), []);
    let of_topic = |p: &PartitionId| p.topic == id;
    assert_eq!(store.partitions().iter().filter(|p| of_topic(p)).count(), 2);
    broker.close().await;
    before.forget(NodeId(0));
    drop((broker, store));

    let store = open_store(Engine::Log, &dir);
    let broker = hub.open(NodeId(0), &dir, store, options()).await.unwrap();
    assert_eq!(texts(&read_all(&broker, "t").await), ["x"]);
    broker.close().await;
}

#[tokio::test]
async fn what_a_deleted_topic_left_is_dropped_and_what_nobody_knows_is_kept() {
    let hub = Hub::new(1);
    hub.register(NodeId(0));
    let [deleted, unknown] = [7, 8].map(|byte| PartitionId {
        topic: TopicId::from_bytes([byte; 16]),
        index: PartitionIndex(0),
    });
    let (store, dir) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    // A `hark.db` must be there before the store holds anything.
    drop(
        hub.open(NodeId(0), &dir, store.clone(), options())
            .await
            .unwrap(),
    );
    store
        .create_partitions(&[deleted, unknown], PartitionSettings::default())
        .unwrap();
    let create = Command::CreateTopic {
        id: deleted.topic,
        name: topic("t"),
        partitions: 1,
        replication_factor: 1,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
        created: crate::node::time(1),
        home: None,
    };
    let delete = Command::DeleteTopic { id: deleted.topic };
    hub.forget(NodeId(0));
    hub.agree(&create).unwrap();
    hub.agree(&delete).unwrap();
    let node = hub
        .start_on(NodeId(0), dir, store, options())
        .await
        .unwrap();
    assert_eq!(held(&node, deleted.topic), [] as [u32; 0]);
    assert_eq!(held(&node, unknown.topic), [0]);
}

#[tokio::test]
async fn a_node_that_was_away_learns_what_was_deleted() {
    let (hub, mut nodes) = Hub::of(2).await;
    let made = nodes[0].broker.create_topic(new_topic("t", 4)).await;
    let id = made.unwrap().id;
    knows(&nodes[1], &topic("t")).await;
    let away = nodes.pop().unwrap();
    assert!(!held(&away, id).is_empty());
    hub.forget(NodeId(1));
    drop(away.broker);
    nodes[0].broker.delete_topic(&topic("t")).await.unwrap();
    nodes[0]
        .broker
        .create_topic(new_topic("t", 2))
        .await
        .unwrap();
    let node = hub
        .start_on(NodeId(1), away.dir, away.store, options())
        .await
        .unwrap();
    assert_eq!(held(&node, id), [] as [u32; 0]);
    let again = node.broker.topic(&topic("t")).unwrap();
    assert_eq!(again.partitions.len(), 2);
}

#[tokio::test]
async fn partitions_of_a_node_that_is_gone_begin_anew_on_another() {
    let (hub, nodes) = Hub::of(2).await;
    let made = nodes[0]
        .broker
        .create_topic(new_topic("t", 4))
        .await
        .unwrap();
    let theirs = made.partitions.iter().find(|p| p.leader == Some(NodeId(1)));
    let theirs = theirs.unwrap().index;
    let publish = || say(&nodes[0].broker, "t", theirs, "x");
    assert_eq!(publish().await.unwrap()[0].leader_epoch.0, 0);
    hub.cut(NodeId(1), true);
    hub.agree(&Command::RemoveNode {
        id: NodeId(1),
        lose_partitions: true,
    })
    .unwrap();
    let described = || nodes[0].broker.topic(&topic("t")).unwrap().partitions;
    let is_here = || described().iter().all(|partition| partition.held.is_some());
    eventually("they are made here", is_here).await;
    let receipt = publish().await.unwrap()[0];
    assert_eq!(receipt.offset.get(), 0);
    assert!(receipt.leader_epoch.0 > 0, "under another reign");
    assert_eq!(texts(&read_all(&nodes[0].broker, "t").await), ["x"]);
}

#[tokio::test]
async fn a_part_that_is_lost_stops_the_start() {
    let (hub, mut nodes) = Hub::of(2).await;
    nodes[0]
        .broker
        .create_topic(new_topic("t", 4))
        .await
        .unwrap();
    knows(&nodes[1], &topic("t")).await;
    let node = nodes.pop().unwrap();
    node.broker.close().await;
    hub.forget(NodeId(1));
    let opened = hub
        .start_on(NodeId(1), node.dir, MemoryStore::new(), options())
        .await;
    let Err(OpenError::Corrupt(why)) = opened.map(|_| ()) else {
        panic!("it was opened");
    };
    assert!(why.contains("topic 't'"), "{why}");
}

#[tokio::test]
async fn a_disk_is_given_up_as_of_its_last_start() {
    let (hub, nodes) = Hub::of(2).await;
    let incarnation = hub.catalog().node(NodeId(1)).unwrap().incarnation;
    let fence = Command::Fence {
        id: NodeId(1),
        incarnation,
        fenced: true,
    };
    let forget = NodeChange::ForgetDisk {
        lose_partitions: true,
    };
    let broker = &nodes[0].broker;
    let running = broker.change_node(NodeId(1), forget).await.unwrap_err();
    assert_eq!(running.code(), "node_in_use");
    // Whoever asks has not heard of the fence yet.
    hub.make_late(NodeId(0), true);
    hub.agree(&fence).unwrap();
    broker.change_node(NodeId(1), forget).await.unwrap();
    assert!(hub.catalog().node(NodeId(1)).unwrap().awaits_disk);
    let unknown = broker.change_node(NodeId(7), forget).await.unwrap_err();
    assert_eq!(unknown.code(), "unknown_node");
}
