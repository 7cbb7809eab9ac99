//! Fetching whole batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Fetch, FetchError, FetchedPartition};
use model::{PartitionId, PartitionIndex, TopicName};

use crate::memory::MemoryStore;
use crate::node::{Engine, Node, eventually, offset, on_both};

on_both!(
    whole_batches,
    a_fetch_waits_for_enough_bytes,
    errors_are_told_at_once,
    the_first_batch_comes_whole,
);

fn fetch(topic: &TopicName, positions: &[(u32, u64)]) -> Fetch {
    let position = |(index, at): &(u32, u64)| (PartitionIndex(*index), offset(*at));
    Fetch {
        topic: topic.clone(),
        positions: positions.iter().map(position).collect(),
        min_bytes: 1,
        max_bytes: 1 << 20,
        wait: Duration::from_secs(2),
    }
}

/// Base offsets of the batches.
fn bases(row: &FetchedPartition) -> Vec<u64> {
    let batches = row.batches.as_ref().unwrap();
    batches
        .iter()
        .map(|batch| batch.header().base_offset.get())
        .collect()
}

async fn whole_batches(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 2).await;
    for texts in [["a", "b"], ["c", "d"]] {
        node.say(&name, &texts).await;
    }
    // An offset inside a batch gives all of it; the end gives nothing.
    let rows = node
        .broker
        .fetch(fetch(&name, &[(0, 1), (1, 0)]))
        .await
        .unwrap();
    assert_eq!(bases(&rows[0]), [0, 2]);
    assert_eq!((rows[0].start, rows[0].end), (offset(0), offset(4)));
    assert_eq!(bases(&rows[1]), [] as [u64; 0]);
    let rows = node.broker.fetch(fetch(&name, &[(0, 2)])).await.unwrap();
    assert_eq!(bases(&rows[0]), [2]);
    assert_eq!(node.broker.counters().records_delivered, 6);
}

async fn a_fetch_waits_for_enough_bytes(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 1).await;
    node.say(&name, &["first"]).await;
    let waiting = {
        let (node, name) = (Arc::clone(&node), name.clone());
        let fetch = Fetch {
            min_bytes: 250,
            ..fetch(&name, &[(0, 0)])
        };
        tokio::spawn(async move { node.broker.fetch(fetch).await.unwrap() })
    };
    eventually("it waits", || node.broker.counters().polls_waiting == 1).await;
    node.say(&name, &["second"]).await;
    node.say(&name, &["third"]).await;
    node.say(&name, &["fourth"]).await;
    let rows = waiting.await.unwrap();
    assert_eq!(bases(&rows[0])[..3], [0, 1, 2]);

    let started = Instant::now();
    let wait = Duration::from_millis(50);
    let idle = Fetch {
        wait,
        ..fetch(&name, &[(0, 4)])
    };
    assert_eq!(
        bases(&node.broker.fetch(idle).await.unwrap()[0]),
        [] as [u64; 0]
    );
    assert!(started.elapsed() >= wait);
}

async fn errors_are_told_at_once(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a"]).await;
    let started = Instant::now();
    let patient = Fetch {
        wait: Duration::from_secs(60),
        ..fetch(&name, &[(0, 1), (7, 0)])
    };
    let rows = node.broker.fetch(patient.clone()).await.unwrap();
    assert_eq!(
        rows[1].batches.as_ref().unwrap_err().code(),
        "unknown_partition"
    );
    let past = Fetch {
        positions: vec![(PartitionIndex(0), offset(2))],
        ..patient.clone()
    };
    let rows = node.broker.fetch(past).await.unwrap();
    assert_eq!(
        rows[0].batches.as_ref().unwrap_err().code(),
        "offset_out_of_range"
    );
    assert_eq!(rows[0].end, offset(1), "bounds are told with the error");
    let nothing = Fetch {
        positions: vec![],
        ..patient
    };
    assert!(node.broker.fetch(nothing).await.unwrap().is_empty());
    assert!(started.elapsed() < Duration::from_secs(5));
}

async fn the_first_batch_comes_whole(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 2).await;
    let large = "x".repeat(10_000);
    for partition in [0, 0, 1] {
        node.say_in(&name, partition, &[&large]).await.unwrap();
    }
    let small = Fetch {
        max_bytes: 100,
        ..fetch(&name, &[(0, 0), (1, 0)])
    };
    let rows = node.broker.fetch(small).await.unwrap();
    assert_eq!((bases(&rows[0]), bases(&rows[1])), (vec![0], vec![]));
    let more = Fetch {
        max_bytes: 25_000,
        ..fetch(&name, &[(0, 0), (1, 0)])
    };
    let rows = node.broker.fetch(more).await.unwrap();
    assert_eq!((bases(&rows[0]), bases(&rows[1])), (vec![0, 1], vec![]));
}

/// More is there than may be answered: that is enough, whatever was asked for.
#[tokio::test]
async fn a_full_answer_does_not_wait() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    let large = "x".repeat(10_000);
    node.say(&name, &[&large]).await;
    node.say(&name, &[&large]).await;
    let started = Instant::now();
    let fetch = Fetch {
        min_bytes: 15_000,
        max_bytes: 16_000,
        wait: Duration::from_secs(60),
        ..fetch(&name, &[(0, 0)])
    };
    let rows = node.broker.fetch(fetch).await.unwrap();
    assert_eq!(bases(&rows[0]), [0]);
    assert!(started.elapsed() < Duration::from_secs(30));
}

/// A partition with more than its room does not keep the next one out, and nobody waits for bytes
/// that are there.
#[tokio::test]
async fn a_full_partition_leaves_the_rest_to_the_next() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 2).await;
    let large = "x".repeat(10_000);
    for (partition, message) in [(0, &*large), (0, &*large), (1, &large[..1_000])] {
        node.say_in(&name, partition, &[message]).await.unwrap();
    }
    let started = Instant::now();
    let fetch = Fetch {
        min_bytes: 15_000,
        max_bytes: 16_000,
        wait: Duration::from_secs(60),
        ..fetch(&name, &[(0, 0), (1, 0)])
    };
    let rows = node.broker.fetch(fetch).await.unwrap();
    assert_eq!((bases(&rows[0]), bases(&rows[1])), (vec![0], vec![0]));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn damage_is_an_error_of_its_partition() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let name = node.topic("t", 2).await;
    for partition in [0, 1] {
        node.say_in(&name, partition, &["a"]).await.unwrap();
    }
    let (topic, index) = (node.broker.topic(&name).unwrap().id, PartitionIndex(0));
    store.damage(PartitionId { topic, index }, 0);
    let rows = node
        .broker
        .fetch(fetch(&name, &[(0, 0), (1, 0)]))
        .await
        .unwrap();
    let (at, resume_at) = (offset(0), offset(1));
    let damaged = FetchError::Damaged {
        partition: index,
        at,
        resume_at,
    };
    assert_eq!(rows[0].batches.as_ref().unwrap_err(), &damaged);
    assert_eq!(bases(&rows[1]), [0]);
}
