//! Groups whose members, coordinator and partitions are on different nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Commit, GroupDescription, GroupError, GroupPoll, GroupPolled, GroupSubscribe, Start};
use model::{NodeId, PartitionIndex, TopicName};
use tokio::time::timeout;
use wire::cursor::Cursor;

use super::{LONG, led_by, say, spread};
use crate::cluster::{ClusterNode, Hub};
use crate::groups::mine;
use crate::node::{Engine, Node, eventually, offset, open_store, options, texts, topic};

pub(super) fn group_poll(group: &str, topic: &TopicName, consumer: &str) -> GroupPoll {
    GroupPoll {
        group: group.to_owned(),
        ..crate::groups::group_poll(topic, consumer)
    }
}

pub(super) async fn poll_until(
    node: &ClusterNode,
    polling: &GroupPoll,
    partitions: usize,
) -> GroupPolled {
    crate::groups::poll_until(&node.broker, polling.clone(), partitions).await
}

/// Says who coordinates which group, without making one: a commit of nothing may make a group.
pub(super) async fn choose_coordinators(node: &ClusterNode, name: &TopicName) {
    let nothing = Commit {
        group: "g".to_owned(),
        consumer: None,
        cursor: Cursor::new(node.broker.topic(name).unwrap().id, []),
    };
    node.broker.commit(nothing).await.unwrap();
}

/// Who coordinates a group, by what the catalog and its name say.
pub(super) fn coordinator(hub: &Hub, group: &str) -> NodeId {
    let catalog = hub.catalog();
    let topic = catalog.topic(&topic("__groups")).unwrap();
    let index = wire::partition_for_key(group.as_bytes(), 32);
    topic.partition(index).unwrap().leader.unwrap()
}

/// A group for each node, which coordinates it.
pub(super) fn one_of_each(hub: &Hub, nodes: &[ClusterNode]) -> Vec<String> {
    let of = |node: &ClusterNode| {
        let names = (0..).map(|number| format!("g{number}"));
        names
            .into_iter()
            .find(|name| coordinator(hub, name) == node.id)
    };
    nodes.iter().filter_map(of).collect()
}

async fn describe(node: &ClusterNode, group: &str) -> GroupDescription {
    node.broker.group(group).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_on_all_nodes_share_one_group() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 6).await;
    for partition in 0..6 {
        say(&nodes[0].broker, &name, partition, &partition.to_string()).await;
    }
    choose_coordinators(&nodes[1], &name).await;
    for group in one_of_each(&hub, &nodes) {
        let polls = ["a", "b", "c"].map(|consumer| group_poll(&group, &name, consumer));
        let polled = futures_util::future::join_all(
            nodes
                .iter()
                .zip(&polls)
                .map(|(node, poll)| poll_until(node, poll, 2)),
        )
        .await;
        let mut all = Vec::new();
        for (polled, (node, consumer)) in polled.iter().zip(nodes.iter().zip(["a", "b", "c"])) {
            let expected: Vec<String> = mine(polled).iter().map(u32::to_string).collect();
            let mut read = texts(&polled.polled.records);
            read.sort_unstable();
            assert_eq!(read, expected);
            all.extend(read);
            let commit = Commit {
                group: group.clone(),
                consumer: Some(consumer.to_owned()),
                cursor: polled.polled.cursor.clone(),
            };
            node.broker.commit(commit).await.unwrap();
        }
        all.sort_unstable();
        assert_eq!(all, ["0", "1", "2", "3", "4", "5"]);
        let descriptions = [0, 1, 2].map(|node| describe(&nodes[node], &group));
        let [one, two, three] = descriptions;
        let one = one.await;
        assert_eq!((&one, &one), (&two.await, &three.await));
        assert_eq!((one.state, one.members.len()), ("stable", 3));
        let commits: Vec<_> = one
            .commits
            .iter()
            .map(|c| (c.partition.0, c.offset.get(), c.lag))
            .collect();
        assert_eq!(commits, [0, 1, 2, 3, 4, 5].map(|p| (p, 1, Some(0))));
    }
    for node in &nodes {
        let all = node.broker.groups().await;
        let names: Vec<_> = all.iter().map(|group| group.name.clone()).collect();
        let mut expected = one_of_each(&hub, &nodes);
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(node.broker.status().groups, 1, "each coordinates one");
        let topics: Vec<_> = node.broker.topics().into_iter().map(|t| t.name).collect();
        assert_eq!(
            topics,
            std::slice::from_ref(&name),
            "the internal one is nobody's business"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_member_is_woken_from_any_node() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    choose_coordinators(&nodes[0], &name).await;
    for (reader, group) in one_of_each(&hub, &nodes).into_iter().enumerate() {
        for owner in 0..3 {
            // Through another node than the one that coordinates, in most cases.
            let node = &nodes[(reader + 1) % 3];
            let poll = GroupPoll {
                wait: LONG,
                auto_commit: true,
                start: Start::Latest,
                ..group_poll(&group, &name, "one")
            };
            poll_until(
                node,
                &GroupPoll {
                    wait: Duration::ZERO,
                    ..poll.clone()
                },
                3,
            )
            .await;
            let waiting = {
                let broker = node.broker.clone();
                tokio::spawn(async move { broker.group_poll(poll).await })
            };
            let waiters = || {
                nodes
                    .iter()
                    .map(|n| n.broker.counters().polls_waiting)
                    .sum::<u64>()
            };
            eventually("it waits everywhere", || waiters() >= 3).await;
            let partition = led_by(&nodes[0].broker, &name, NodeId(owner))[0];
            let text = format!("{group} {owner}");
            say(&nodes[reader].broker, &name, partition, &text).await;
            let polled = timeout(LONG, waiting).await.unwrap().unwrap().unwrap();
            assert_eq!(texts(&polled.polled.records), [text]);
            eventually("nobody waits any more", || waiters() == 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_coordinator_is_named_and_others_go_on() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    choose_coordinators(&nodes[0], &name).await;
    let groups = one_of_each(&hub, &nodes);
    for group in &groups {
        let poll = group_poll(group, &name, "one");
        let polled = poll_until(&nodes[0], &poll, 3).await;
        let done = GroupPoll {
            done: Some(polled.polled.cursor),
            ..poll
        };
        nodes[0].broker.group_poll(done).await.unwrap();
    }
    hub.cut(NodeId(2), true);
    let gone = &groups[2];
    let refused = nodes[0]
        .broker
        .group_poll(group_poll(gone, &name, "one"))
        .await;
    assert_eq!(refused.unwrap_err().code(), "coordinator_unavailable");
    let refused = nodes[0].broker.group(gone).await;
    assert_eq!(refused.unwrap_err().code(), "coordinator_unavailable");
    let refused = nodes[0]
        .broker
        .reset_group(gone, &name, &Start::Latest)
        .await;
    assert_eq!(refused.unwrap_err().code(), "coordinator_unavailable");
    let listed = nodes[0].broker.groups().await;
    let listed: Vec<_> = listed.into_iter().map(|group| group.name).collect();
    assert_eq!(listed, groups[..2]);
    // Of the groups that go on, what the dead node leads is not read, and its lag is not known.
    let partition = led_by(&nodes[0].broker, &name, NodeId(0))[0];
    say(&nodes[0].broker, &name, partition, "a").await;
    for group in &groups[..2] {
        let polled = poll_until(&nodes[0], &group_poll(group, &name, "one"), 3).await;
        assert_eq!(texts(&polled.polled.records), ["a"]);
        let described = describe(&nodes[1], group).await;
        let lost = led_by(&nodes[0].broker, &name, NodeId(2))[0];
        let lags: BTreeMap<_, _> = described
            .commits
            .iter()
            .map(|c| (c.partition.0, c.lag))
            .collect();
        assert_eq!((lags[&partition], lags[&lost]), (Some(1), None));
    }
    hub.cut(NodeId(2), false);
    let polled = poll_until(&nodes[0], &group_poll(gone, &name, "one"), 3).await;
    assert_eq!(texts(&polled.polled.records), ["a"]);
}

/// What asking this node for impossible things of a group with a member comes to: codes and messages.
async fn refusals(
    node: &ClusterNode,
    group: &str,
    name: &TopicName,
) -> Vec<(&'static str, String)> {
    let broker = &node.broker;
    let unknown = group_poll(group, &topic("unknown"), "one");
    let hasty = GroupPoll {
        session_timeout: Duration::ZERO,
        ..group_poll(group, name, "one")
    };
    let refusals = [
        broker.delete_group(group).await.err(),
        broker.reset_group(group, name, &Start::Latest).await.err(),
        broker.group_unsubscribe(group, "nobody").await.err(),
        broker.group_poll(unknown).await.err(),
        broker.group_poll(hasty).await.err(),
        broker.group(&"x".repeat(100_000)).await.err(),
    ];
    let told = |refusal: GroupError| (refusal.code(), refusal.to_string());
    refusals.into_iter().flatten().map(told).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_changed_and_refused_through_any_node() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    for partition in 0..3 {
        say(&nodes[0].broker, &name, partition, "a").await;
    }
    choose_coordinators(&nodes[0], &name).await;
    for group in one_of_each(&hub, &nodes) {
        let subscribe = GroupSubscribe {
            group: group.clone(),
            consumer: "one".to_owned(),
            topics: vec![name.clone()],
            session_timeout: Duration::from_secs(10),
        };
        let given = nodes[0].broker.group_subscribe(subscribe).await.unwrap();
        let all = (0..3).map(PartitionIndex).collect();
        assert_eq!(given.partitions, [(name.clone(), all)]);
        let expected = refusals(&nodes[0], &group, &name).await;
        let codes: Vec<_> = expected.iter().map(|(code, _)| *code).collect();
        let of_old = [
            "group_not_empty",
            "group_not_empty",
            "not_a_member",
            "unknown_topic",
        ];
        assert_eq!(codes[..4], of_old);
        assert_eq!(
            codes[4..],
            ["invalid_session_timeout", "invalid_group_name"]
        );
        for node in &nodes[1..] {
            assert_eq!(refusals(node, &group, &name).await, expected);
        }

        let [first, second, third] = [0, 1, 2].map(|node: usize| nodes[node].broker.clone());
        second.group_unsubscribe(&group, "one").await.unwrap();
        let to_one = Start::Offset(offset(1));
        let reset = third.reset_group(&group, &name, &to_one).await.unwrap();
        assert!(reset.commits.iter().all(|commit| commit.offset.get() == 1));
        let to_nine = Start::Offset(offset(9));
        let beyond = third.reset_group(&group, &name, &to_nine).await;
        assert_eq!(beyond.unwrap_err().code(), "offset_out_of_range");
        first.delete_group(&group).await.unwrap();
        let gone = second.group(&group).await.unwrap_err();
        assert_eq!(gone, GroupError::Unknown(group));
    }
}

/// Latest stays what it was at the first poll, also when a leader could not be asked then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_begins_where_it_can() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    choose_coordinators(&nodes[0], &name).await;
    let group = &one_of_each(&hub, &nodes)[0];
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    say(&nodes[0].broker, &name, partition, "old").await;
    hub.cut(NodeId(1), true);
    let latest = GroupPoll {
        start: Start::Latest,
        ..group_poll(group, &name, "one")
    };
    let polled = poll_until(&nodes[0], &latest, 2).await;
    assert!(polled.polled.records.is_empty());
    hub.cut(NodeId(1), false);
    let polled = poll_until(&nodes[1], &latest, 2).await;
    assert!(polled.polled.records.is_empty());
    say(&nodes[0].broker, &name, partition, "new").await;
    let polled = poll_until(&nodes[1], &latest, 2).await;
    assert_eq!(texts(&polled.polled.records), ["new"]);
}

/// The commits of a node that stood alone are found through every node that has joined it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_made_alone_stay_where_they_are() {
    let alone = Node::new(Engine::Log).await;
    let name = alone.topic("t", 1).await;
    alone.say(&name, &["a"]).await;
    for group in 0..8 {
        let group = format!("g{group}");
        let poll = GroupPoll {
            auto_commit: true,
            ..group_poll(&group, &name, "one")
        };
        let polled = alone.broker.group_poll(poll).await.unwrap();
        assert_eq!(texts(&polled.polled.records), ["a"]);
        alone.broker.group_unsubscribe(&group, "one").await.unwrap();
    }
    let dir = alone.close().await;
    let hub = Hub::new(2);
    (0..2).for_each(|id| hub.register(NodeId(id)));
    let store = open_store(Engine::Log, &dir);
    let first = hub.open(NodeId(0), &dir, store, options()).await.unwrap();
    let second = hub.start(NodeId(1), options()).await;
    assert_eq!(second.broker.groups().await.len(), 8);
    for group in 0..8 {
        let described = describe(&second, &format!("g{group}")).await;
        assert_eq!(described.commits[0].offset.get(), 1);
    }
    assert_eq!(first.status().groups, 8);
}
