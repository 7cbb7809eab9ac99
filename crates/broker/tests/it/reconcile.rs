//! Nodes become what the catalog says.

use std::time::{Duration, Instant};

use broker::{Broker, NewTopic, Start, TopicChanges, TopicError, TopicSettings};
use model::{Mode, NodeId, PartitionId, PartitionIndex, TopicId, TopicName};
use seglog::Store;

use crate::cluster::{ClusterNode, Hub};
use crate::node::{eventually, record, texts, topic};

pub(crate) fn new_topic(name: &str, partitions: u32) -> NewTopic {
    NewTopic {
        name: topic(name),
        partitions: Some(partitions),
        replication_factor: None,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
    }
}

/// What a node's store has of a topic.
pub(crate) fn held(node: &ClusterNode, id: TopicId) -> Vec<u32> {
    let held = node.store.partitions().into_iter();
    let held = held.filter(|partition| partition.topic == id);
    let mut held: Vec<u32> = held.map(|partition| partition.index.0).collect();
    held.sort_unstable();
    held
}

pub(crate) async fn knows(node: &ClusterNode, name: &TopicName) {
    eventually("the node follows", || node.broker.topic(name).is_ok()).await;
}

#[tokio::test]
async fn each_node_makes_its_part_of_a_topic() {
    let (_hub, nodes) = Hub::of(3).await;
    let name = topic("t");
    let made = nodes[0].broker.create_topic(new_topic("t", 6)).await;
    let id = made.unwrap().id;
    let mut all = Vec::new();
    for node in &nodes {
        knows(node, &name).await;
        let described = node.broker.topic(&name).unwrap();
        assert_eq!(described.partitions.len(), 6);
        let mine = described.partitions.iter().filter(|p| p.held.is_some());
        let mine: Vec<u32> = mine.map(|p| p.index.0).collect();
        for partition in &described.partitions {
            assert_eq!(partition.held.is_some(), partition.leader == Some(node.id));
            assert_eq!(partition.replicas, Vec::from_iter(partition.leader));
            assert_eq!(partition.isr, partition.replicas);
        }
        assert_eq!(held(node, id), mine);
        assert_eq!(node.broker.status().partitions_led, mine.len());
        assert_eq!(
            (node.broker.status().topics, node.broker.status().partitions),
            (1, 6)
        );
        all.extend(mine);
    }
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4, 5], "each is somewhere, and once");
    assert!(
        nodes.iter().all(|node| !held(node, id).is_empty()),
        "spread"
    );
}

#[tokio::test]
async fn changes_reach_every_node() {
    let (_hub, nodes) = Hub::of(2).await;
    let name = topic("t");
    let made = nodes[0].broker.create_topic(new_topic("t", 4)).await;
    let id = made.unwrap().id;
    knows(&nodes[1], &name).await;
    let changes = TopicChanges {
        max_message_bytes: Some(Some(200)),
        ..TopicChanges::default()
    };
    nodes[1]
        .broker
        .configure_topic(&name, changes)
        .await
        .unwrap();
    let limit = || {
        nodes[0]
            .broker
            .topic(&name)
            .unwrap()
            .effective
            .max_message_bytes
    };
    eventually("the setting holds everywhere", || limit() == 200).await;
    nodes[1].broker.delete_topic(&name).await.unwrap();
    for node in &nodes {
        eventually("the topic is gone", || node.broker.topic(&name).is_err()).await;
        eventually("its records are gone", || held(node, id).is_empty()).await;
    }
}

#[tokio::test]
async fn a_topic_made_elsewhere_is_found_at_once() {
    let (hub, nodes) = Hub::of(2).await;
    let name = topic("t");
    hub.make_late(NodeId(1), true);
    nodes[0]
        .broker
        .create_topic(new_topic("t", 2))
        .await
        .unwrap();
    let local = nodes[1].broker.topic(&name).unwrap_err();
    assert_eq!(local.code(), "unknown_topic", "it has not heard of it");
    let found = nodes[1].broker.topic_detailed(&name).await.unwrap();
    assert!(
        found
            .partitions
            .iter()
            .all(|partition| partition.held.is_some())
    );
    let unknown = nodes[1].broker.topic_detailed(&topic("u")).await;
    assert_eq!(unknown.unwrap_err().code(), "unknown_topic");
}

#[tokio::test]
async fn a_node_that_is_cut_off_does_not_say_that_a_topic_does_not_exist() {
    let (hub, nodes) = Hub::of(2).await;
    nodes[0]
        .broker
        .create_topic(new_topic("t", 2))
        .await
        .unwrap();
    knows(&nodes[1], &topic("t")).await;
    hub.cut(NodeId(1), true);
    let broker = &nodes[1].broker;
    let unsure = broker.topic_detailed(&topic("u")).await.unwrap_err();
    assert_eq!(unsure.code(), "cluster_unavailable");
    let unsure = broker.resolve(&topic("u"), &Start::Earliest).await;
    assert_eq!(unsure.unwrap_err().code(), "cluster_unavailable");
    let refused = broker.create_topic(new_topic("u", 1)).await.unwrap_err();
    assert_eq!(refused.code(), "cluster_unavailable");
    let described = broker.topic_detailed(&topic("t")).await.unwrap();
    for partition in described.partitions {
        let is_mine = partition.leader == Some(NodeId(1));
        assert_eq!(
            partition.held.is_some(),
            is_mine,
            "what is unknown is not made up"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_that_meet_make_one_topic() {
    let (hub, nodes) = Hub::of(3).await;
    for round in 0..10 {
        let name = topic(&format!("t{round}"));
        let publishing = nodes.iter().map(|node| {
            let (broker, topic) = (node.broker.clone(), name.clone());
            tokio::spawn(async move { broker.topic_to_publish(&topic).await })
        });
        let mut ids = Vec::new();
        for found in publishing.collect::<Vec<_>>() {
            ids.push(found.await.unwrap().unwrap().id);
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
    }
    assert_eq!(hub.catalog().topics().count(), 10);
}

#[tokio::test]
async fn producer_ids_are_given_out_once_in_the_cluster() {
    let (_hub, nodes) = Hub::of(2).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        for node in &nodes {
            ids.push(node.broker.new_producer().await.unwrap().id);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn a_topic_that_has_no_room_here_is_not_made() {
    let (hub, nodes) = Hub::of(1).await;
    nodes[0].store.fill(true);
    let refused = nodes[0].broker.create_topic(new_topic("t", 1)).await;
    assert_eq!(refused.unwrap_err(), TopicError::Full);
    assert_eq!(hub.catalog().topics().count(), 0);
    nodes[0].store.fill(false);
    nodes[0]
        .broker
        .create_topic(new_topic("t", 1))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_without_room_makes_its_part_once_it_has_some() {
    let (_hub, nodes) = Hub::of(2).await;
    nodes[1].store.fill(true);
    let made = nodes[0]
        .broker
        .create_topic(new_topic("t", 4))
        .await
        .unwrap();
    knows(&nodes[1], &topic("t")).await;
    let theirs = made.partitions.iter().find(|p| p.leader == Some(NodeId(1)));
    let theirs = theirs.unwrap().index;
    let publish = || say(&nodes[1].broker, "t", theirs, "x");
    assert_eq!(publish().await.unwrap_err().code(), "disk_full");
    // Whoever asks it through another node hears at once what is wrong with it.
    let begun = Instant::now();
    let refused = say(&nodes[0].broker, "t", theirs, "x").await.unwrap_err();
    assert_eq!(refused.code(), "leader_unavailable");
    assert!(refused.to_string().contains("disk is full"), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    nodes[1].store.fill(false);
    eventually("it is made", || !held(&nodes[1], made.id).is_empty()).await;
    while publish().await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// What a node leads already it answers for, however long it takes to make what it is to lead next.
#[tokio::test]
async fn a_topic_that_takes_long_to_make_holds_up_no_other() {
    let (_hub, nodes) = Hub::of(2).await;
    let [old, new] = ["old", "new"].map(|name| new_topic(name, 4));
    let made = nodes[0].broker.create_topic(old).await.unwrap();
    knows(&nodes[1], &topic("old")).await;
    let theirs = made.partitions.iter().find(|p| p.leader == Some(NodeId(1)));
    let theirs = theirs.unwrap().index;
    nodes[1].store.hold_making(true);
    nodes[0].broker.create_topic(new).await.unwrap();
    let begun = Instant::now();
    say(&nodes[0].broker, "old", theirs, "x").await.unwrap();
    assert_eq!(texts(&read_all(&nodes[0].broker, "old").await), ["x"]);
    assert!(begun.elapsed() < Duration::from_secs(1));
    nodes[1].store.hold_making(false);
    knows(&nodes[1], &topic("new")).await;
}

pub(crate) async fn say(
    broker: &Broker,
    name: &str,
    partition: PartitionIndex,
    text: &str,
) -> Result<Vec<broker::Receipt>, broker::PublishError> {
    let publish = broker::Publish {
        topic: topic(name),
        partition: Some(partition),
        records: vec![record(text)],
    };
    broker.publish(publish).await
}

/// Whatever is made, changed and deleted at once, through whatever node: in the end every node is what the
/// catalog says, and holds what is its own and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_change_at_once_end_alike() {
    let (hub, nodes) = Hub::of(3).await;
    let working = (0..6_usize).map(|worker| {
        let broker = nodes[worker % 3].broker.clone();
        tokio::spawn(async move {
            for step in 0..30 {
                let name = format!("t{}", (worker * 7 + step * 5) % 4);
                // Most of these are refused, for others were faster.
                match (worker + step) % 4 {
                    0 => drop(broker.delete_topic(&topic(&name)).await),
                    1 => drop(broker.topic_to_publish(&topic(&name)).await),
                    2 => drop(broker.create_topic(new_topic(&name, 5)).await),
                    _ => drop(say(&broker, &name, PartitionIndex(0), "x").await),
                }
            }
        })
    });
    for worker in working.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let catalog = hub.catalog();
    for node in &nodes {
        let mut expected = Vec::new();
        for topic in catalog.topics() {
            let states = (0..).map(PartitionIndex).zip(&topic.partitions);
            let mine = states.filter(|(_, state)| state.leader == Some(node.id));
            let topic = topic.id;
            expected.extend(mine.map(|(index, _)| PartitionId { topic, index }));
        }
        expected.sort_unstable();
        let names: Vec<_> = catalog.topics().map(|topic| topic.name.clone()).collect();
        let found = || {
            let mut held = node.store.partitions();
            held.retain(|id| held_by_topics(*id));
            held.sort_unstable();
            held
        };
        eventually("the store holds its part", || found() == expected).await;
        let known = || Vec::from_iter(node.broker.topics().into_iter().map(|t| t.name));
        eventually("the topics are known", || known() == names).await;
        assert_eq!(node.broker.status().partitions_led, expected.len());
    }
}

/// Not the node's own log of groups.
fn held_by_topics(id: PartitionId) -> bool {
    id.topic != TopicId::from_bytes(*b"hark-__groups-v1")
}

pub(crate) async fn read_all(broker: &Broker, name: &str) -> Vec<broker::Delivered> {
    let poll = broker::Poll {
        wait: Duration::ZERO,
        ..crate::node::poll(&topic(name), Start::Earliest)
    };
    broker.poll(poll).await.unwrap().records
}
