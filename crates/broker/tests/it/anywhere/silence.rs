//! Nodes that do not answer, or not yet, or not with everything.

use std::time::{Duration, Instant};

use broker::{GapReason, NewTopic, Poll, Start, TopicSettings};
use model::{Mode, NodeId, PartitionId, PartitionIndex};
use tokio::time::timeout;

use super::{LONG, led_by, peek, polled, say, sorted, spread, wait};
use crate::cluster::Hub;
use crate::node::{after, at, eventually, offset, texts, time, topic};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_owner_holds_up_nobody_but_its_own_partitions() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    let partition_of = |node: u16| led_by(&nodes[0].broker, &name, NodeId(node))[0];
    for owner in 0..3 {
        let text = format!("first of {owner}");
        say(&nodes[0].broker, &name, partition_of(owner), &text).await;
    }
    hub.cut(NodeId(2), true);
    let read = polled(&nodes[0], wait(&name, Start::Earliest)).await;
    assert_eq!(sorted(&read.records), ["first of 0", "first of 1"]);
    assert!(read.gaps.is_empty());
    assert_eq!(
        at(&read.cursor, partition_of(2)),
        None,
        "to be read from its begin"
    );

    // Waits go on, and end with what others have.
    let latest = polled(&nodes[0], peek(&name, Start::Latest)).await;
    let waiting = {
        let (broker, poll) = (nodes[0].broker.clone(), wait(&name, after(&latest)));
        tokio::spawn(async move { broker.poll(poll).await })
    };
    say(&nodes[1].broker, &name, partition_of(1), "second of 1").await;
    let woken = waiting.await.unwrap().unwrap();
    assert_eq!(texts(&woken.records), ["second of 1"]);

    // Who reads nothing else hears that it is silent; so does who needs all of them.
    let only = Poll {
        partitions: Some(vec![PartitionIndex(partition_of(2))]),
        ..wait(&name, Start::Latest)
    };
    let begun = Instant::now();
    for start in [Start::Earliest, Start::Latest, Start::Offset(offset(0))] {
        let poll = Poll {
            start,
            ..only.clone()
        };
        let silent = timeout(LONG, nodes[0].broker.poll(poll)).await.unwrap();
        assert_eq!(silent.unwrap_err().code(), "leader_unavailable");
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    let refused = nodes[0].broker.last(&name).await.unwrap_err();
    assert_eq!(refused.code(), "leader_unavailable");
    let refused = nodes[0]
        .broker
        .poll(peek(&name, Start::Time(time(0))))
        .await;
    assert_eq!(refused.unwrap_err().code(), "leader_unavailable");

    // Back again, it is read on from where that was possible.
    hub.cut(NodeId(2), false);
    let read = polled(&nodes[1], wait(&name, after(&read))).await;
    assert_eq!(sorted(&read.records), ["first of 2", "second of 1"]);
    // Who began at the end begins at the end as it is when the leader is first heard of.
    let read = polled(&nodes[1], peek(&name, after(&woken))).await;
    assert!(read.records.is_empty());
    say(&nodes[0].broker, &name, partition_of(2), "second of 2").await;
    let read = polled(&nodes[1], wait(&name, after(&read))).await;
    assert_eq!(texts(&read.records), ["second of 2"]);
}

/// A node that takes questions and never answers costs its readers a moment, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_owner_costs_a_moment() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    let partition_of = |node: u16| led_by(&nodes[0].broker, &name, NodeId(node))[0];
    hub.mute(NodeId(2));
    let mut start = Start::Earliest;
    for owner in [0, 1, 0, 1] {
        say(&nodes[0].broker, &name, partition_of(owner), "there").await;
        let begun = Instant::now();
        let read = polled(&nodes[0], wait(&name, start)).await;
        assert_eq!(texts(&read.records), ["there"]);
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
        start = after(&read);
    }
    // Who waits already hears at once, whatever the mute one is still asked.
    let waiting = {
        let (broker, poll) = (nodes[0].broker.clone(), wait(&name, start));
        tokio::spawn(async move { broker.poll(poll).await })
    };
    eventually("it waits", || nodes[1].broker.counters().polls_waiting == 1).await;
    let begun = Instant::now();
    say(&nodes[0].broker, &name, partition_of(1), "news").await;
    let read = waiting.await.unwrap().unwrap();
    assert_eq!(texts(&read.records), ["news"]);
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    let read = polled(&nodes[0], peek(&name, after(&read))).await;
    assert!(read.records.is_empty());
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

/// A reader that waits only for a node that is away reads on when that comes back in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_of_silence_is_waited_out() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    say(&nodes[1].broker, &name, partition, "a").await;
    let poll = Poll {
        partitions: Some(vec![PartitionIndex(partition)]),
        start: Start::Offset(offset(0)),
        ..wait(&name, Start::Earliest)
    };
    hub.cut(NodeId(1), true);
    let waiting = {
        let broker = nodes[0].broker.clone();
        tokio::spawn(async move { broker.poll(poll).await })
    };
    eventually("it waits", || nodes[0].broker.counters().polls_waiting == 1).await;
    hub.cut(NodeId(1), false);
    let read = waiting.await.unwrap().unwrap();
    assert_eq!(texts(&read.records), ["a"]);
}

#[tokio::test]
async fn a_topic_made_a_moment_ago_elsewhere_is_served() {
    let (hub, nodes) = Hub::of(3).await;
    for node in &nodes[1..] {
        hub.make_late(node.id, true);
    }
    let name = topic("t");
    let new = NewTopic {
        name: name.clone(),
        partitions: Some(6),
        replication_factor: None,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
    };
    nodes[0].broker.create_topic(new).await.unwrap();
    let elsewhere = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    // The leader has not heard of it: it says so in time instead of that there is nothing.
    let early = nodes[0].broker.last(&name).await.unwrap_err();
    assert_eq!(early.code(), "leader_unavailable");
    // It learns of it while it is asked.
    let (said, ()) = tokio::join!(say(&nodes[0].broker, &name, elsewhere, "a"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        hub.make_late(NodeId(1), false);
    });
    assert_eq!(said.offset.get(), 0);
    // A third one, which is asked for the topic by its name, asks the cluster.
    let read = polled(&nodes[2], wait(&name, Start::Earliest)).await;
    assert_eq!(texts(&read.records), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_on_another_node_is_told_once_and_passed() {
    let (_hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    for number in 0..3 {
        say(&nodes[0].broker, &name, partition, &number.to_string()).await;
    }
    let id = PartitionId {
        topic: nodes[1].broker.topic(&name).unwrap().id,
        index: PartitionIndex(partition),
    };
    nodes[1].store.damage(id, 1);
    let (mut start, mut read, mut gaps) = (Start::Earliest, Vec::new(), Vec::new());
    for _ in 0..4 {
        let polled = polled(&nodes[0], peek(&name, start)).await;
        read.extend(texts(&polled.records));
        gaps.extend(polled.gaps.clone());
        start = after(&polled);
    }
    assert_eq!(read, ["0", "2"]);
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].reason, GapReason::Damaged);
    assert_eq!((gaps[0].from.get(), gaps[0].to.get()), (1, 2));
}
