//! A node whose cluster has not registered its start yet.

use std::time::Duration;

use broker::{
    Broker, BrokerOptions, Commit, GroupSubscribe, NodeChange, Publish, Start, TopicChanges,
};
use catalog::NodeState;
use model::{NodeId, PartitionIndex, TopicName};
use wire::cursor::Cursor;

use super::groups::{choose_coordinators, group_poll, one_of_each};
use super::{led_by, peek, polled, say, spread};
use crate::cluster::Hub;
use crate::node::{eventually, offset, options, record, texts, topic};
use crate::reconcile::new_topic;

fn publish(name: &TopicName, partition: u32) -> Publish {
    Publish {
        topic: name.clone(),
        partition: Some(PartitionIndex(partition)),
        records: vec![record("b")],
    }
}

/// The codes of everything that would be acknowledged, asked of this node or through it.
async fn refusals(
    broker: &Broker,
    name: &TopicName,
    partition: u32,
    group: &str,
) -> Vec<&'static str> {
    let group_name = || group.to_owned();
    let commit = Commit {
        group: group_name(),
        consumer: None,
        cursor: Cursor::new(broker.topic(name).unwrap().id, []),
    };
    let subscribe = GroupSubscribe {
        group: group_name(),
        consumer: "one".to_owned(),
        topics: vec![name.clone()],
        session_timeout: Duration::from_secs(10),
    };
    let index = PartitionIndex(partition);
    vec![
        broker
            .publish(publish(name, partition))
            .await
            .unwrap_err()
            .code(),
        broker
            .delete_records(name, index, offset(1))
            .await
            .unwrap_err()
            .code(),
        broker.commit(commit).await.unwrap_err().code(),
        broker.group_subscribe(subscribe).await.unwrap_err().code(),
        broker
            .group_poll(group_poll(group, name, "one"))
            .await
            .unwrap_err()
            .code(),
        broker
            .reset_group(group, name, &Start::Latest)
            .await
            .unwrap_err()
            .code(),
        broker.delete_group(group).await.unwrap_err().code(),
    ]
}

/// What only this node itself could do.
async fn refusals_here(broker: &Broker, name: &TopicName) -> Vec<&'static str> {
    let changes = TopicChanges::default();
    let drain = NodeChange::State(NodeState::Draining);
    vec![
        broker
            .create_topic(new_topic("new", 1))
            .await
            .unwrap_err()
            .code(),
        broker
            .publish(publish(&topic("unknown"), 0))
            .await
            .unwrap_err()
            .code(),
        broker
            .configure_topic(name, changes)
            .await
            .unwrap_err()
            .code(),
        broker.delete_topic(name).await.unwrap_err().code(),
        broker.new_producer().await.unwrap_err().code(),
        broker
            .change_node(NodeId(0), drain)
            .await
            .unwrap_err()
            .code(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_not_registered_is_read_and_takes_nothing() {
    let (hub, mut nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    say(&nodes[0].broker, &name, partition, "a").await;
    choose_coordinators(&nodes[0], &name).await;
    let group = one_of_each(&hub, &nodes).pop().unwrap();
    let before = nodes.pop().unwrap();
    hub.forget(NodeId(1));
    drop(before.broker);
    hub.wait_for_majority(NodeId(1), true);
    let often = BrokerOptions {
        retention_interval: Duration::from_millis(1),
        ..options()
    };
    let again = hub.start_on(NodeId(1), before.dir, before.store, often);
    nodes.push(again.await.unwrap());
    let retained = nodes[1].store.retained();

    let waits_for = nodes[1].broker.status().waits_for.unwrap();
    for node in &nodes {
        let read = polled(node, peek(&name, Start::Earliest)).await;
        assert_eq!(texts(&read.records), ["a"]);
        let refused = refusals(&node.broker, &name, partition, &group).await;
        assert_eq!(refused, ["not_registered"; 7]);
        let why = node.broker.publish(publish(&name, partition)).await;
        let why = why.unwrap_err().to_string();
        assert!(why.contains(&waits_for), "{why}");
    }
    let refused = refusals_here(&nodes[1].broker, &name).await;
    assert_eq!(refused, ["not_registered"; 6]);

    assert_eq!(nodes[1].store.retained(), retained, "nothing is dropped");

    hub.wait_for_majority(NodeId(1), false);
    assert_eq!(nodes[1].broker.status().waits_for, None);
    let receipt = say(&nodes[1].broker, &name, partition, "c").await;
    assert_eq!(receipt.offset.get(), 1, "nothing was taken before");
    let drops = || nodes[1].store.retained() > retained;
    eventually("what is old is dropped", drops).await;
}
