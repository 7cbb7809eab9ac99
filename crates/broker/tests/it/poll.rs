//! Polling: where it begins, how it goes on, how it waits, and what it says of lost records.

mod gaps;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use broker::{FetchError, Poll, Start};
use bytes::Bytes;
use model::{PartitionIndex, Record};
use wire::{BatchBuilder, Compression};

use crate::memory::MemoryStore;
use crate::node::{
    Engine, Node, after, at, eventually, offset, on_both, poll, record, texts, time,
};

on_both!(
    a_cursor_goes_on_where_the_last_answer_ended,
    starts,
    a_cursor_of_a_deleted_topic_is_foreign,
    every_partition_has_its_turn,
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

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
