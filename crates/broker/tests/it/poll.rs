//! Polling: where it begins, how it goes on, how it waits, and what it says of lost records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{FetchError, Gap, GapReason, Poll, Start};
use bytes::Bytes;
use model::{PartitionId, PartitionIndex, Record};
use wire::{Batch, BatchBuilder, Compression};

use crate::memory::MemoryStore;
use crate::node::{
    Engine, Node, after, at, eventually, offset, on_both, poll, record, texts, time,
};

on_both!(
    a_cursor_goes_on_where_the_last_answer_ended,
    starts,
    a_wait_ends_with_a_record,
    a_wait_ends_with_its_time,
    deleted_records_are_told_once,
    a_cursor_of_a_deleted_topic_is_foreign,
    every_partition_has_its_turn,
    thousands_wait_for_one_record,
    nothing_is_skipped_between_two_waits,
    the_last_record,
);

async fn a_cursor_goes_on_where_the_last_answer_ended(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 2).await;
    node.say(&name, &["a", "b", "c", "d"]).await;
    node.say_in(&name, 1, &["A"]).await.unwrap();
    let mut poll = Poll {
        max_records: 2,
        ..poll(&name, Start::Earliest)
    };
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let polled = node.broker.poll(poll.clone()).await.unwrap();
        assert!((1..=2).contains(&polled.records.len()));
        seen.extend(texts(&polled.records));
        poll.start = after(&polled);
    }
    let lower: Vec<&String> = seen.iter().filter(|text| *text != "A").collect();
    assert_eq!(lower, ["a", "b", "c", "d"]);
    let idle = Poll {
        wait: Duration::ZERO,
        ..poll
    };
    assert!(node.broker.poll(idle).await.unwrap().records.is_empty());

    // One partition alone: the cursor keeps the place in the other.
    node.say_in(&name, 1, &["B"]).await.unwrap();
    let both = node.poll(&name, Start::Earliest).await.unwrap();
    let one = Poll {
        partitions: Some(vec![PartitionIndex(1), PartitionIndex(1)]),
        ..crate::node::poll(&name, Start::Earliest)
    };
    let alone = node.broker.poll(one.clone()).await.unwrap();
    assert_eq!(texts(&alone.records), ["A", "B"]);
    assert_eq!(
        (at(&alone.cursor, 0), at(&alone.cursor, 1)),
        (None, Some(2))
    );
    let kept = Poll {
        start: after(&both),
        wait: Duration::ZERO,
        ..one
    };
    let kept = node.broker.poll(kept).await.unwrap();
    assert_eq!(
        (at(&kept.cursor, 0), at(&kept.cursor, 1)),
        (Some(4), Some(2))
    );
    // What a cursor does not name begins at the earliest.
    let rest = node.peek(&name, after(&alone)).await.unwrap();
    assert_eq!(texts(&rest.records), ["a", "b", "c", "d"]);
}

async fn starts(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    let records = [100, 200, 150, 300].map(|at| Record {
        timestamp: Some(time(at)),
        ..record(&at.to_string())
    });
    // The first three share a batch.
    for part in [&records[..3], &records[3..]] {
        let (topic, records) = (name.clone(), part.to_vec());
        let publish = broker::Publish {
            topic,
            partition: None,
            records,
        };
        node.broker.publish(publish).await.unwrap();
    }
    let rows: &[(Start, &[&str])] = &[
        (Start::Earliest, &["100", "200", "150", "300"]),
        (Start::Latest, &[]),
        (Start::Offset(offset(2)), &["150", "300"]),
        (Start::Offset(offset(4)), &[]),
        (Start::Time(time(0)), &["100", "200", "150", "300"]),
        (Start::Time(time(101)), &["200", "150", "300"]),
        (Start::Time(time(201)), &["300"]),
        (Start::Time(time(301)), &[]),
    ];
    for (start, expected) in rows {
        let polled = node.peek(&name, start.clone()).await.unwrap();
        assert_eq!(texts(&polled.records), *expected, "{start:?}");
        let resolved = node.broker.resolve(&name, start).await.unwrap();
        assert_eq!(
            at(&resolved, 0),
            Some(4 - expected.len() as u64),
            "{start:?}"
        );
    }
    let beyond = node
        .peek(&name, Start::Offset(offset(5)))
        .await
        .unwrap_err();
    let expected = FetchError::OutOfRange {
        partition: PartitionIndex(0),
        wanted: offset(5),
        start: offset(0),
        end: offset(4),
    };
    assert_eq!(beyond, expected);
    let unknown = crate::node::topic("u");
    assert_eq!(
        node.peek(&unknown, Start::Latest).await.unwrap_err().code(),
        "unknown_topic"
    );
    let internal = crate::node::topic("__groups");
    assert_eq!(
        node.peek(&internal, Start::Latest)
            .await
            .unwrap_err()
            .code(),
        "unknown_topic"
    );
    let partition = Poll {
        partitions: Some(vec![PartitionIndex(1)]),
        ..poll(&name, Start::Latest)
    };
    assert_eq!(
        node.broker.poll(partition).await.unwrap_err().code(),
        "unknown_partition"
    );
}

async fn a_wait_ends_with_a_record(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 3).await;
    let waiting = {
        let (node, name) = (Arc::clone(&node), name.clone());
        tokio::spawn(async move { node.poll(&name, Start::Latest).await.unwrap() })
    };
    eventually("it waits", || node.broker.counters().polls_waiting == 1).await;
    node.say_in(&name, 2, &["x"]).await.unwrap();
    assert_eq!(texts(&waiting.await.unwrap().records), ["x"]);
    assert_eq!(node.broker.counters().polls_waiting, 0);
    assert_eq!(node.broker.counters().records_delivered, 1);
}

async fn a_wait_ends_with_its_time(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    let started = Instant::now();
    let short = Poll {
        wait: Duration::from_millis(60),
        ..poll(&name, Start::Latest)
    };
    let polled = node.broker.poll(short).await.unwrap();
    assert!(polled.records.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(60));
    assert_eq!(
        at(&polled.cursor, 0),
        Some(0),
        "the cursor is there all the same"
    );
}

async fn deleted_records_are_told_once(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a", "b", "c"]).await;
    let first = node
        .broker
        .poll(Poll {
            max_records: 1,
            ..poll(&name, Start::Earliest)
        })
        .await;
    let first = first.unwrap();
    node.say(&name, &["d"]).await;
    let index = PartitionIndex(0);
    let now = node
        .broker
        .delete_records(&name, index, offset(2))
        .await
        .unwrap();
    assert_eq!(
        (now.held.unwrap().start, now.held.unwrap().end),
        (offset(2), offset(4))
    );

    let second = node.poll(&name, after(&first)).await.unwrap();
    let gap = Gap {
        partition: index,
        from: offset(1),
        to: offset(2),
        reason: GapReason::Deleted,
    };
    assert_eq!(second.gaps, [gap]);
    assert_eq!(texts(&second.records), ["c", "d"]);
    node.say(&name, &["e"]).await;
    let third = node.poll(&name, after(&second)).await.unwrap();
    assert_eq!(
        (third.gaps.len(), texts(&third.records)),
        (0, vec!["e".to_owned()])
    );

    let earliest = node.peek(&name, Start::Earliest).await.unwrap();
    assert_eq!((earliest.gaps.len(), earliest.records.len()), (0, 3));
    let below = node
        .peek(&name, Start::Offset(offset(1)))
        .await
        .unwrap_err();
    assert_eq!(below.code(), "offset_out_of_range");
    let past = node
        .broker
        .delete_records(&name, index, offset(6))
        .await
        .unwrap_err();
    assert_eq!(past.code(), "offset_out_of_range");

    // Everything deleted: the gap alone ends a wait.
    node.broker
        .delete_records(&name, index, offset(5))
        .await
        .unwrap();
    let all = node.poll(&name, after(&second)).await.unwrap();
    assert_eq!((all.records.len(), all.gaps.len()), (0, 1));
    assert_eq!(at(&all.cursor, 0), Some(5));
}

async fn a_cursor_of_a_deleted_topic_is_foreign(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 1).await;
    node.say(&name, &["a"]).await;
    let polled = node.poll(&name, Start::Earliest).await.unwrap();
    let waiting = {
        let (node, name, start) = (Arc::clone(&node), name.clone(), after(&polled));
        tokio::spawn(async move { node.poll(&name, start).await })
    };
    eventually("it waits", || node.broker.counters().polls_waiting == 1).await;
    node.broker.delete_topic(&name).await.unwrap();
    let told = waiting.await.unwrap().unwrap_err();
    assert_eq!(told, FetchError::UnknownTopic("t".to_owned()));

    node.topic("t", 1).await;
    node.say(&name, &["b"]).await;
    let foreign = node.poll(&name, after(&polled)).await.unwrap_err();
    assert_eq!(foreign, FetchError::ForeignCursor);
    assert_eq!(texts(&node.read_all(&name).await), ["b"]);
}

async fn every_partition_has_its_turn(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 4).await;
    for partition in 0..4 {
        node.say_in(&name, partition, &["x"; 100]).await.unwrap();
    }
    let few = Poll {
        max_records: 40,
        ..poll(&name, Start::Earliest)
    };
    let polled = node.broker.poll(few).await.unwrap();
    for partition in 0..4 {
        assert_eq!(at(&polled.cursor, partition), Some(10));
    }
    // With less room than partitions they take turns.
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let one = Poll {
            max_records: 1,
            ..poll(&name, Start::Earliest)
        };
        seen.insert(node.broker.poll(one).await.unwrap().records[0].partition);
    }
    assert_eq!(seen.len(), 4);
}

async fn thousands_wait_for_one_record(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 2).await;
    let readers: Vec<_> = (0..2_000)
        .map(|_| {
            let (broker, poll) = (node.broker.clone(), poll(&name, Start::Latest));
            tokio::spawn(async move { broker.poll(poll).await.unwrap() })
        })
        .collect();
    eventually("all wait", || node.broker.counters().polls_waiting == 2_000).await;
    node.say_in(&name, 1, &["x"]).await.unwrap();
    for reader in readers {
        assert_eq!(texts(&reader.await.unwrap().records), ["x"]);
    }
}

/// Batches are kept in memory only while somebody waits; what came in between must not be missed by
/// a reader that finds the ones around it there.
async fn nothing_is_skipped_between_two_waits(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 1).await;
    for texts in [["a", "b"], ["c", "d"]] {
        let waiting = {
            let (node, name) = (Arc::clone(&node), name.clone());
            tokio::spawn(async move { node.poll(&name, Start::Latest).await.unwrap() })
        };
        eventually("it waits", || node.broker.counters().polls_waiting == 1).await;
        node.say(&name, &texts[..1]).await;
        assert_eq!(waiting.await.unwrap().records.len(), 1);
        node.say(&name, &texts[1..]).await;
    }
    assert_eq!(texts(&node.read_all(&name).await), ["a", "b", "c", "d"]);
}

async fn the_last_record(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 3).await;
    assert_eq!(node.broker.last(&name).await.unwrap(), None);
    for (partition, at) in [(0, 50), (1, 90), (2, 70)] {
        let older = Record {
            timestamp: Some(time(1)),
            ..record("older")
        };
        let last = Record {
            timestamp: Some(time(at)),
            ..record(&at.to_string())
        };
        let publish = broker::Publish {
            topic: name.clone(),
            partition: Some(PartitionIndex(partition)),
            records: vec![older, last],
        };
        node.broker.publish(publish).await.unwrap();
    }
    let last = node.broker.last(&name).await.unwrap().unwrap();
    assert_eq!(
        (last.partition, last.offset),
        (PartitionIndex(1), offset(1))
    );
    assert_eq!(last.record.value, Some(Bytes::from("90")));
    node.broker
        .delete_records(&name, PartitionIndex(1), offset(2))
        .await
        .unwrap();
    let last = node.broker.last(&name).await.unwrap().unwrap();
    assert_eq!(last.partition, PartitionIndex(2));
}

#[tokio::test]
async fn damaged_records_are_told_once_and_passed_over() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let name = node.topic("t", 1).await;
    for texts in [["a", "b"], ["c", "d"], ["e", "f"]] {
        node.say(&name, &texts).await;
    }
    let index = PartitionIndex(0);
    let topic = node.broker.topic(&name).unwrap().id;
    store.damage(PartitionId { topic, index }, 2);
    let gap = Gap {
        partition: index,
        from: offset(2),
        to: offset(4),
        reason: GapReason::Damaged,
    };
    let polled = node.poll(&name, Start::Earliest).await.unwrap();
    assert_eq!(
        (texts(&polled.records), polled.gaps.clone()),
        (strings(&["a", "b", "e", "f"]), vec![gap])
    );
    let inside = node.poll(&name, Start::Offset(offset(3))).await.unwrap();
    assert_eq!(
        inside.gaps,
        [Gap {
            from: offset(3),
            ..gap
        }]
    );
    assert_eq!(texts(&inside.records), ["e", "f"]);
}

/// A publisher's rubbish must not stop every reader of the partition for ever.
#[tokio::test]
async fn records_that_cannot_be_decoded_are_passed_over() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a"]).await;
    let index = PartitionIndex(0);
    node.broker.append(&name, index, rubbish()).await.unwrap();
    assert_eq!(
        node.broker.last(&name).await.unwrap_err().code(),
        "undecodable"
    );
    node.say(&name, &["b"]).await;
    let polled = node.poll(&name, Start::Earliest).await.unwrap();
    assert_eq!(texts(&polled.records), ["a", "b"]);
    let gap = Gap {
        partition: index,
        from: offset(1),
        to: offset(3),
        reason: GapReason::Damaged,
    };
    assert_eq!(polled.gaps, [gap]);
}

#[tokio::test]
async fn compressed_batches_are_read_like_others() {
    let node = Arc::new(Node::new(Engine::Log).await);
    let name = node.topic("t", 1).await;
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let (node, name) = (Arc::clone(&node), name.clone());
            tokio::spawn(async move { node.poll(&name, Start::Latest).await.unwrap() })
        })
        .collect();
    eventually("all wait", || node.broker.counters().polls_waiting == 10).await;
    let mut builder = BatchBuilder::new(time(1));
    let long = "y".repeat(1_000);
    for text in ["x", &long] {
        builder.push(&record(text)).unwrap();
    }
    let batch = compress::build(builder, Compression::Zstd).unwrap();
    assert_eq!(batch.header().compression, Compression::Zstd);
    node.broker
        .append(&name, PartitionIndex(0), batch)
        .await
        .unwrap();
    for reader in readers {
        assert_eq!(texts(&reader.await.unwrap().records), ["x", &long]);
    }
    let late = node.poll(&name, Start::Offset(offset(1))).await.unwrap();
    assert_eq!(texts(&late.records), [long]);
}

#[tokio::test]
async fn a_close_sends_readers_home() {
    let node = Arc::new(Node::new(Engine::Log).await);
    let name = node.topic("t", 1).await;
    let waiting = {
        let (node, name) = (Arc::clone(&node), name.clone());
        tokio::spawn(async move { node.poll(&name, Start::Latest).await.unwrap() })
    };
    eventually("it waits", || node.broker.counters().polls_waiting == 1).await;
    let started = Instant::now();
    node.broker.close().await;
    assert!(waiting.await.unwrap().records.is_empty());
    assert!(started.elapsed() < Duration::from_secs(1));
}

/// An answer must not keep in memory what it does not hold.
#[tokio::test]
async fn a_few_records_of_much_come_without_the_rest() {
    // It shares its own batches with whoever reads them.
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let large = "x".repeat(1_000);
    for (topic, compression) in [("plain", Compression::None), ("zstd", Compression::Zstd)] {
        let name = node.topic(topic, 1).await;
        let mut builder = BatchBuilder::new(time(1));
        (0..100).for_each(|_| builder.push(&record(&large)).unwrap());
        let batch = compress::build(builder, compression).unwrap();
        node.broker
            .append(&name, PartitionIndex(0), batch)
            .await
            .unwrap();
        for (max_records, is_apart) in [(2, true), (100, false)] {
            let few = Poll {
                max_records,
                ..poll(&name, Start::Earliest)
            };
            let polled = node.broker.poll(few).await.unwrap();
            assert_eq!(polled.records.len(), max_records);
            let value = polled.records[0].record.value.as_ref().unwrap();
            assert_eq!(value, large.as_bytes());
            assert_eq!(value.is_unique(), is_apart, "{max_records} of {topic}");
        }
    }
}

/// Ten thousand of these wait at once; what they hold must be small.
#[tokio::test]
async fn a_waiting_poll_is_small() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    let waiting = node.broker.poll(poll(&name, Start::Latest));
    let size = size_of_val(&waiting);
    assert!(size < 2048, "{size} bytes");
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A batch of two records whose payload is no zstd at all.
fn rubbish() -> Batch {
    let mut builder = BatchBuilder::new(time(1));
    let long = "z".repeat(100);
    for text in [&long, &long] {
        builder.push(&record(text)).unwrap();
    }
    builder
        .build_with(Compression::Zstd, |_| b"rubbish".to_vec())
        .unwrap()
}
