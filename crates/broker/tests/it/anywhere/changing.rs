//! Deleting records and fetching batches, wherever they lie.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Commit, Fetch, FetchError, FetchedPartition, GapReason, Start};
use catalog::Command;
use model::{NodeId, Offset, PartitionIndex, TopicName};
use tokio::time::timeout;
use wire::cursor::Cursor;

use super::{LONG, led_by, peek, polled, say, spread};
use crate::cluster::{ClusterNode, Hub};
use crate::node::{after, at, eventually, offset, texts};

/// Three partitions on three nodes, with five records each of which the first two are deleted, each
/// through another node than the one that leads it.
async fn trimmed() -> (Arc<Hub>, Vec<ClusterNode>, TopicName) {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    for partition in 0..3 {
        for number in 0..5 {
            let text = format!("{partition} {number}");
            say(&nodes[0].broker, &name, partition, &text).await;
        }
        let leader = nodes[0].broker.topic(&name).unwrap().partitions[partition as usize].leader;
        let other = nodes.iter().find(|node| Some(node.id) != leader).unwrap();
        let index = PartitionIndex(partition);
        let left = other.broker.delete_records(&name, index, offset(2)).await;
        let left = left.unwrap().held.unwrap();
        assert_eq!((left.start.get(), left.end.get()), (2, 5));
    }
    (hub, nodes, name)
}

fn fetch(name: &TopicName, positions: &[(u32, u64)], min_bytes: usize, wait: Duration) -> Fetch {
    let positions = positions.iter();
    Fetch {
        topic: name.clone(),
        positions: positions
            .map(|(index, at)| (PartitionIndex(*index), offset(*at)))
            .collect(),
        min_bytes,
        max_bytes: 1 << 20,
        wait,
    }
}

/// Partition, how many batches, or why there are none.
fn batches(part: &FetchedPartition) -> (u32, Result<usize, &'static str>) {
    let batches = part.batches.as_ref();
    (
        part.index.0,
        batches.map(Vec::len).map_err(FetchError::code),
    )
}

#[tokio::test]
async fn records_deleted_through_one_node_are_gone_for_all() {
    let (_hub, nodes, name) = trimmed().await;
    for node in &nodes {
        let latest = node.broker.resolve(&name, &Start::Latest).await.unwrap();
        let ends = (0..3).map(|partition| at(&latest, partition));
        assert_eq!(ends.collect::<Vec<_>>(), [Some(5); 3]);
        let early = node.broker.resolve(&name, &Start::Offset(offset(1))).await;
        assert_eq!(early.unwrap_err().code(), "offset_out_of_range");

        let zeros = (0..3).map(|partition| (PartitionIndex(partition), Offset::ZERO));
        let from_zero = Start::Cursor(Cursor::new(latest.topic(), zeros));
        let read = polled(node, peek(&name, from_zero)).await;
        assert_eq!(read.records.len(), 9);
        let gaps = read.gaps.iter();
        let gaps: BTreeSet<_> = gaps
            .map(|g| (g.partition.0, g.from.get(), g.to.get()))
            .collect();
        assert_eq!(gaps, BTreeSet::from([(0, 0, 2), (1, 0, 2), (2, 0, 2)]));
        assert!(read.gaps.iter().all(|gap| gap.reason == GapReason::Deleted));

        let index = PartitionIndex(0);
        let beyond = node.broker.delete_records(&name, index, offset(6)).await;
        let expected = FetchError::OutOfRange {
            partition: index,
            wanted: offset(6),
            start: offset(2),
            end: offset(5),
        };
        assert_eq!(beyond.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn batches_are_fetched_through_any_node() {
    let (hub, nodes, name) = trimmed().await;
    let some = [(2, 2), (0, 4), (1, 0), (7, 0)];
    for node in &nodes {
        let parts = node
            .broker
            .fetch(fetch(&name, &some, 1, Duration::ZERO))
            .await;
        let parts = parts.unwrap();
        let bounds = parts.iter().map(|part| (part.start.get(), part.end.get()));
        assert_eq!(bounds.collect::<Vec<_>>(), [(2, 5), (2, 5), (2, 5), (0, 0)]);
        let expected = [
            (2, Ok(3)),
            (0, Ok(1)),
            (1, Err("offset_out_of_range")),
            (7, Err("unknown_partition")),
        ];
        assert_eq!(parts.iter().map(batches).collect::<Vec<_>>(), expected);
    }
    hub.cut(NodeId(1), true);
    let lost = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    let fetch = fetch(&name, &[(0, 2), (1, 2), (2, 2)], 1 << 20, LONG);
    let parts = timeout(LONG, nodes[0].broker.fetch(fetch)).await.unwrap();
    let expected = (0..3).map(|partition| match partition == lost {
        true => (partition, Err("leader_unavailable")),
        false => (partition, Ok(3)),
    });
    let parts = parts.unwrap();
    assert_eq!(
        parts.iter().map(batches).collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
    let index = PartitionIndex(lost);
    let refused = nodes[0]
        .broker
        .delete_records(&name, index, offset(3))
        .await;
    assert_eq!(refused.unwrap_err().code(), "leader_unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_waits_for_enough_from_all_nodes() {
    let (_hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    let waiting = {
        let broker = nodes[0].broker.clone();
        let fetch = fetch(&name, &[(0, 0), (1, 0), (2, 0)], 1_500, LONG);
        tokio::spawn(async move { broker.fetch(fetch).await })
    };
    let long = "x".repeat(600);
    for partition in 0..3 {
        eventually("it waits", || nodes[0].broker.counters().polls_waiting > 0).await;
        say(&nodes[1].broker, &name, partition, &long).await;
    }
    let parts = waiting.await.unwrap().unwrap();
    let batches = parts
        .iter()
        .map(|part| part.batches.as_ref().unwrap().len());
    assert_eq!(batches.sum::<usize>(), 3);
}

/// A partition begins anew on another node while it is read through the one that had it and through a
/// third: both hear of it at once, and nobody takes it for an empty one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_that_wait_follow_a_partition_to_its_new_leader() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    say(&nodes[0].broker, &name, partition, "lost").await;
    let waiting = [0, 1, 2].map(|node| {
        let broker = nodes[node].broker.clone();
        let fetch = fetch(&name, &[(partition, 1)], 1, LONG);
        tokio::spawn(async move { broker.fetch(fetch).await })
    });
    let waits = |node: usize| nodes[node].broker.counters().polls_waiting;
    eventually("all wait", || waits(0) + waits(1) + waits(2) >= 5).await;
    hub.agree(&Command::RemoveNode {
        id: NodeId(1),
        lose_partitions: true,
    })
    .unwrap();
    for waiting in waiting {
        let fetched = timeout(LONG / 2, waiting).await.unwrap().unwrap().unwrap();
        let error = fetched[0].batches.as_ref().unwrap_err();
        // The new leader says that there was never so much, or has not begun yet.
        let codes = ["offset_out_of_range", "leader_unavailable"];
        assert!(codes.contains(&error.code()), "{error}");
    }
}

/// A cursor and a commit of a topic that was made again through another node are understood by one that
/// knows the topic before it only.
#[tokio::test]
async fn a_cursor_of_a_topic_made_again_elsewhere_is_understood() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let commit = |group: usize, cursor: &Cursor| Commit {
        group: format!("g{group}"),
        consumer: None,
        cursor: cursor.clone(),
    };
    let old = nodes[1]
        .broker
        .resolve(&name, &Start::Latest)
        .await
        .unwrap();
    nodes[0].broker.commit(commit(0, &old)).await.unwrap();
    for again in 0..2 {
        hub.make_late(NodeId(0), true);
        nodes[1].broker.delete_topic(&name).await.unwrap();
        let partitions = spread(&nodes[1..], "t", 2).await;
        say(
            &nodes[1].broker,
            &partitions,
            led_by(&nodes[1].broker, &name, NodeId(1))[0],
            "new",
        )
        .await;
        let read = polled(&nodes[1], peek(&name, Start::Earliest)).await;
        assert_eq!(texts(&read.records), ["new"]);
        if again == 0 {
            let polled = polled(&nodes[0], peek(&name, after(&read))).await;
            assert!(polled.records.is_empty());
        } else {
            // Some of these groups are coordinated by the late one.
            for group in 0..8 {
                nodes[0]
                    .broker
                    .commit(commit(group, &read.cursor))
                    .await
                    .unwrap();
            }
        }
        let foreign = nodes[0]
            .broker
            .poll(peek(&name, Start::Cursor(old.clone())))
            .await;
        assert_eq!(foreign.unwrap_err().code(), "foreign_cursor");
    }
}

/// A node that takes questions and never answers does not keep back what the others have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_owner_does_not_hold_up_a_fetch() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    let [first, second, mute] =
        [0, 1, 2].map(|node| led_by(&nodes[0].broker, &name, NodeId(node))[0]);
    say(&nodes[0].broker, &name, first, "a").await;
    say(&nodes[0].broker, &name, second, "b").await;
    hub.mute(NodeId(2));
    let begun = Instant::now();
    let all = [(first, 0), (second, 0), (mute, 0)];
    let fetched = nodes[0].broker.fetch(fetch(&name, &all, 1, LONG)).await;
    let fetched = fetched.unwrap();
    let told: Vec<_> = fetched.iter().map(batches).collect();
    let expected = [
        (first, Ok(1)),
        (second, Ok(1)),
        (mute, Err("leader_unavailable")),
    ];
    assert_eq!(told, expected);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

/// A caller that asks again and again does not do so all the time while a leader is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_waits_for_a_leader_that_is_gone() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let [here, gone] = [0, 1].map(|node| led_by(&nodes[0].broker, &name, NodeId(node))[0]);
    say(&nodes[1].broker, &name, gone, "a").await;
    hub.cut(NodeId(1), true);
    let both = [(here, 0), (gone, 0)];
    let told = [(here, Ok(0)), (gone, Err("leader_unavailable"))];
    for (wait, at_least) in [(Duration::from_millis(60), 60), (LONG, 1_000)] {
        let begun = Instant::now();
        let fetched = nodes[0].broker.fetch(fetch(&name, &both, 1, wait)).await;
        let waited = begun.elapsed();
        let fetched: Vec<_> = fetched.unwrap().iter().map(batches).collect();
        assert_eq!(fetched, told);
        assert!(waited >= Duration::from_millis(at_least), "{waited:?}");
        assert!(waited < LONG / 2, "{waited:?}");
    }
    let waiting = {
        let (broker, fetch) = (nodes[0].broker.clone(), fetch(&name, &both, 1, LONG));
        tokio::spawn(async move { broker.fetch(fetch).await })
    };
    eventually("it waits", || nodes[0].broker.counters().polls_waiting == 1).await;
    hub.cut(NodeId(1), false);
    let fetched = waiting.await.unwrap().unwrap();
    let fetched: Vec<_> = fetched.iter().map(batches).collect();
    assert_eq!(fetched, [(here, Ok(0)), (gone, Ok(1))]);
}

/// A partition that is asked for twice is read from both places, here and elsewhere.
#[tokio::test]
async fn a_partition_may_be_asked_for_twice() {
    let (_hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    for (node, other) in [(0, 1), (1, 0)] {
        let partition = led_by(&nodes[0].broker, &name, NodeId(node))[0];
        for text in ["a", "b"] {
            say(&nodes[0].broker, &name, partition, text).await;
        }
        for broker in [&nodes[usize::from(node)].broker, &nodes[other].broker] {
            let twice = fetch(&name, &[(partition, 1), (partition, 0)], 1, LONG);
            let fetched = broker.fetch(twice).await.unwrap();
            let told: Vec<_> = fetched.iter().map(batches).collect();
            assert_eq!(told, [(partition, Ok(1)), (partition, Ok(2))]);
        }
    }
}
