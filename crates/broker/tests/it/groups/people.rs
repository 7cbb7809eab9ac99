//! Groups as people see and change them.

use std::time::Duration;

use broker::{GroupError, GroupSubscribe, Start};
use model::PartitionIndex;

use super::{commit, group_poll, poll};
use crate::node::{Engine, Node, on_both};

on_both!(people_look_and_change);

async fn people_look_and_change(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 2).await;
    node.say(&name, &["a", "b", "c"]).await;
    assert_eq!(node.broker.groups().await, []);
    assert_eq!(
        node.broker.group("g").await.unwrap_err(),
        GroupError::Unknown("g".to_owned())
    );
    let subscribe = GroupSubscribe {
        group: "g".to_owned(),
        consumer: "one".to_owned(),
        topics: vec![name.clone(), crate::node::topic("later")],
        session_timeout: Duration::from_secs(10),
    };
    let assignment = node.broker.group_subscribe(subscribe).await.unwrap();
    assert_eq!(
        assignment.partitions,
        [(name.clone(), vec![PartitionIndex(0), PartitionIndex(1)])]
    );
    let polled = poll(&node, group_poll(&name, "one")).await;
    let cursor = polled.polled.cursor;
    let outside = commit(&node, None, cursor.clone()).await.unwrap_err();
    assert_eq!(outside, GroupError::NotEmpty);
    assert_eq!(
        node.broker.delete_group("g").await.unwrap_err(),
        GroupError::NotEmpty
    );
    let reset = node
        .broker
        .reset_group("g", &name, &Start::Earliest)
        .await
        .unwrap_err();
    assert_eq!(reset, GroupError::NotEmpty);

    node.broker.group_unsubscribe("g", "one").await.unwrap();
    commit(&node, None, cursor).await.unwrap();
    let group = node.broker.group("g").await.unwrap();
    assert_eq!((group.state, group.commits.len()), ("empty", 2));
    let earliest = node
        .broker
        .reset_group("g", &name, &Start::Earliest)
        .await
        .unwrap();
    assert_eq!(earliest.commits[0].lag, Some(3));
    // A deleted topic takes its commits along.
    node.broker.delete_topic(&name).await.unwrap();
    let none = node
        .broker
        .group("g")
        .await
        .map(|group| group.commits.len())
        .unwrap_or(0);
    assert_eq!(none, 0);
    let _ = node.broker.delete_group("g").await;
    assert_eq!(node.broker.groups().await, []);
}
