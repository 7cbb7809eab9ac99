//! Publishing: where records go, what receipts say, and what is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::{BrokerOptions, Publish, PublishError, Start, TopicSettings};
use bytes::Bytes;
use model::limits::{APPEND_BYTES_IN_FLIGHT_MAX, BATCH_BYTES_MAX};
use model::{Offset, PartitionIndex, Record};
use seglog::AppendError;
use wire::{Batch, BatchBuilder};

use crate::memory::MemoryStore;
use crate::node::{Engine, Node, eventually, on_both, options, record, texts, time, topic};

on_both!(
    receipts_come_in_the_order_of_records,
    keys_choose_partitions,
    keyless_records_stick_and_move_on,
    a_large_publish_is_cut_into_batches,
    what_is_refused,
    concurrent_publishers_keep_their_order,
    one_topic_is_made_by_many,
);

async fn receipts_come_in_the_order_of_records(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 4).await;
    node.clock.set(5_000);
    let keys = ["a", "b", "c", "d", "e", "a", "b"];
    let records = keys.iter().enumerate().map(|(number, key)| Record {
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        timestamp: (number % 2 == 0).then(|| time(number as u64)),
        ..record(&format!("{number}"))
    });
    let records: Vec<_> = records.collect();
    let publish = Publish {
        topic: name.clone(),
        partition: None,
        records,
    };
    let receipts = node.broker.publish(publish).await.unwrap();

    let read = node.read_all(&name).await;
    assert_eq!(read.len(), keys.len());
    for (number, receipt) in receipts.iter().enumerate() {
        let there =
            |d: &&broker::Delivered| (d.partition, d.offset) == (receipt.partition, receipt.offset);
        let found = read.iter().find(there).unwrap();
        assert_eq!(found.record.value, Some(Bytes::from(number.to_string())));
        let expected = if number % 2 == 0 {
            number as u64
        } else {
            5_000
        };
        assert_eq!(receipt.timestamp, time(expected));
        assert_eq!(found.record.timestamp, Some(time(expected)));
        assert_eq!((receipt.copies, receipt.duplicate), (1, false));
    }
    assert_eq!(node.broker.counters().records_published, 7);
}

async fn keys_choose_partitions(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 8).await;
    for key in ["", "21", "foobar", "a-little-bit-long-string"] {
        let keyed = Record {
            key: Some(Bytes::from(key)),
            ..record("x")
        };
        let publish = Publish {
            topic: name.clone(),
            partition: None,
            records: vec![keyed],
        };
        let receipts = node.broker.publish(publish).await.unwrap();
        let expected = wire::partition_for_key(key.as_bytes(), 8);
        assert_eq!(receipts[0].partition, expected, "key {key:?}");
    }
}

async fn keyless_records_stick_and_move_on(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 3).await;
    let mut partitions = Vec::new();
    for _ in 0..12 {
        let publish = Publish {
            topic: name.clone(),
            partition: None,
            records: vec![record(&"x".repeat(20_000))],
        };
        partitions.push(node.broker.publish(publish).await.unwrap()[0].partition.0);
    }
    assert_eq!(partitions, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
}

async fn a_large_publish_is_cut_into_batches(engine: Engine) {
    let node = Node::new(engine).await;
    let settings = TopicSettings {
        max_message_bytes: Some(1_000),
        ..TopicSettings::default()
    };
    let name = node.topic_with("t", 1, settings).await;
    let text = "x".repeat(100);
    let all: Vec<&str> = vec![&text; 100];
    let receipts = node.say(&name, &all).await;
    let offsets: Vec<u64> = receipts.iter().map(|r| r.offset.get()).collect();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    let fetch = broker::Fetch {
        topic: name.clone(),
        positions: vec![(PartitionIndex(0), Offset::ZERO)],
        min_bytes: 0,
        max_bytes: 1 << 20,
        wait: Duration::ZERO,
    };
    let fetched = node.broker.fetch(fetch).await.unwrap();
    let batches = fetched[0].batches.as_ref().unwrap();
    assert!(batches.len() > 10);
    assert!(batches.iter().all(|batch| batch.bytes().len() <= 1_000));

    // The last of these is too large, so nothing of them is written.
    let large = "x".repeat(2_000);
    let refused = node
        .say_in(&name, 0, &[&text, &text, &large])
        .await
        .unwrap_err();
    assert!(
        matches!(refused, PublishError::TooLarge { max: 1_000, .. }),
        "{refused}"
    );
    assert_eq!(
        node.broker.topic(&name).unwrap().partitions[0]
            .held
            .unwrap()
            .end
            .get(),
        100
    );
}

async fn what_is_refused(engine: Engine) {
    let off = BrokerOptions {
        auto_create_topics: false,
        ..options()
    };
    let node = Node::with(engine, off).await;
    let name = node.topic("t", 2).await;
    let code = |topic: &str, partition: u32, records: Vec<Record>| {
        let publish = Publish {
            topic: topic.parse().unwrap(),
            partition: Some(PartitionIndex(partition)),
            records,
        };
        let broker = node.broker.clone();
        async move { broker.publish(publish).await.unwrap_err().code() }
    };
    assert_eq!(code("t", 0, vec![]).await, "empty_publish");
    assert_eq!(code("t", 2, vec![record("x")]).await, "unknown_partition");
    assert_eq!(code("u", 0, vec![record("x")]).await, "unknown_topic");
    assert_eq!(
        code("__groups", 0, vec![record("x")]).await,
        "reserved_name"
    );
    // More than any topic may allow.
    let huge = record(&"x".repeat(BATCH_BYTES_MAX + 1));
    assert_eq!(code("t", 0, vec![huge]).await, "message_too_large");
    assert_eq!(node.read_all(&name).await, []);

    // Bits that only a broker may write: transactional, control.
    for bit in [4, 5] {
        let mut bytes = batch(&["x"]).bytes().to_vec();
        bytes[22] |= 1 << bit;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let batch = Batch::parse(bytes.into()).unwrap();
        let refused = node.broker.append(&name, PartitionIndex(0), batch).await;
        assert_eq!(refused.unwrap_err().code(), "invalid_batch");
    }
}

/// What is acknowledged is what is read, in the order of each publisher.
async fn concurrent_publishers_keep_their_order(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 3).await;
    let publishers = (0..8).map(|who| {
        let (node, name) = (Arc::clone(&node), name.clone());
        tokio::spawn(async move {
            let mut receipts = Vec::new();
            for number in 0..40 {
                let text = format!("{who}:{number}");
                let partition = who % 3;
                let got = node.say_in(&name, partition, &[&text]).await.unwrap();
                receipts.push((got[0].partition, got[0].offset, text));
            }
            receipts
        })
    });
    let mut acknowledged = BTreeMap::new();
    for publisher in publishers.collect::<Vec<_>>() {
        for (partition, offset, text) in publisher.await.unwrap() {
            assert_eq!(acknowledged.insert((partition, offset), text), None);
        }
    }
    let read = node.read_all(&name).await;
    let found = read
        .iter()
        .map(|d| (d.partition, d.offset))
        .zip(texts(&read));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), acknowledged);
    for who in 0..8 {
        let mine = texts(&read)
            .into_iter()
            .filter(|text| text.starts_with(&format!("{who}:")));
        let expected = (0..40).map(|number| format!("{who}:{number}"));
        assert!(mine.eq(expected), "publisher {who}");
    }
}

async fn one_topic_is_made_by_many(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = topic("auto");
    let publishers = (0..30).map(|number| {
        let (node, name) = (Arc::clone(&node), name.clone());
        tokio::spawn(async move { node.say_in(&name, 0, &[&number.to_string()]).await })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap().unwrap();
    }
    assert_eq!(node.broker.topics().len(), 1);
    let mut read = texts(&node.read_all(&name).await);
    read.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert!(
        read.into_iter()
            .eq((0..30).map(|number| number.to_string()))
    );
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a"]).await;
    store.fail_with(Some(AppendError::Full));
    for _ in 0..3 {
        let refused = node.say_in(&name, 0, &["b"]).await.unwrap_err();
        assert_eq!(refused, PublishError::Full);
    }
    store.fail_with(None);
    let receipts = node.say(&name, &["c"]).await;
    assert_eq!(
        receipts[0].offset.get(),
        1,
        "no offset was lost to what was refused"
    );
    assert_eq!(texts(&node.read_all(&name).await), ["a", "c"]);
    assert_eq!(node.broker.counters().publishes_failed, 3);
    assert_eq!(node.broker.counters().bytes_in_flight, 0);
}

#[tokio::test]
async fn many_in_flight_fail_and_their_offsets_are_used_again() {
    let store = MemoryStore::new();
    let node = Arc::new(Node::on_memory(&store).await);
    let name = node.topic("t", 2).await;
    for round in 0..10 {
        store.hold();
        let publishes = (0..20).map(|number| {
            let (node, name) = (Arc::clone(&node), name.clone());
            tokio::spawn(async move {
                node.say_in(&name, number % 2, &[&format!("{round}.{number}")])
                    .await
            })
        });
        let publishes: Vec<_> = publishes.collect();
        eventually("all are queued", || store.queued() == 20).await;
        store.fail_with(Some(AppendError::Full));
        for publish in publishes {
            assert_eq!(publish.await.unwrap().unwrap_err(), PublishError::Full);
        }
        store.fail_with(None);
        store.release();
        let receipts = node.say(&name, &["kept"]).await;
        assert_eq!(receipts[0].offset.get(), round);
    }
    assert_eq!(texts(&node.read_all(&name).await), ["kept"; 10]);
}

#[tokio::test]
async fn a_part_of_a_publish_may_be_on_disk() {
    let store = MemoryStore::new();
    let node = Arc::new(Node::on_memory(&store).await);
    let settings = TopicSettings {
        max_message_bytes: Some(200),
        ..TopicSettings::default()
    };
    let name = node.topic_with("t", 1, settings).await;
    store.hold();
    let text = "x".repeat(100);
    let publish = {
        let (node, name, text) = (Arc::clone(&node), name.clone(), text.clone());
        tokio::spawn(async move { node.say_in(&name, 0, &[&text, &text, &text]).await })
    };
    eventually("three batches are queued", || store.queued() == 3).await;
    store.let_through(1);
    store.fail_with(Some(AppendError::Full));
    let refused = publish.await.unwrap().unwrap_err();
    let cause = PublishError::Full.to_string();
    assert_eq!(
        refused,
        PublishError::Partial {
            acknowledged: 1,
            of: 3,
            cause
        }
    );
    assert_eq!(node.read_all(&name).await.len(), 1);
}

#[tokio::test]
async fn bytes_in_flight_are_bounded_and_given_back() {
    let store = MemoryStore::new();
    let node = Arc::new(Node::on_memory(&store).await);
    let settings = TopicSettings {
        max_message_bytes: Some(16 << 20),
        ..TopicSettings::default()
    };
    let name = node.topic_with("t", 8, settings).await;
    store.hold();
    let publishes = (0..8).map(|number| {
        let (node, name) = (Arc::clone(&node), name.clone());
        let text = "x".repeat(12 << 20);
        tokio::spawn(async move { node.say_in(&name, number, &[&text]).await })
    });
    let publishes: Vec<_> = publishes.collect();
    eventually("as many as fit are queued", || store.queued() == 5).await;
    assert!(node.broker.counters().bytes_in_flight <= APPEND_BYTES_IN_FLIGHT_MAX as u64);
    // Whoever goes away gives back its place in line, and what was accepted goes on.
    publishes
        .iter()
        .take(7)
        .for_each(tokio::task::JoinHandle::abort);
    store.release();
    for (number, publish) in publishes.into_iter().enumerate() {
        let result = publish.await;
        assert!(number < 7 || result.unwrap().is_ok());
    }
    eventually("all is given back", || {
        node.broker.counters().bytes_in_flight == 0
    })
    .await;
    assert!(node.read_all(&name).await.len() >= 5);
}

#[tokio::test]
async fn appends_of_one_caller_keep_their_order_behind_a_full_budget() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let settings = TopicSettings {
        max_message_bytes: Some(16 << 20),
        ..TopicSettings::default()
    };
    let name = node.topic_with("t", 1, settings).await;
    store.hold();
    let large = "x".repeat(12 << 20);
    let texts: Vec<String> = (0..40)
        .map(|number| {
            if number < 6 {
                format!("{number} {large}")
            } else {
                number.to_string()
            }
        })
        .collect();
    let mut appends = tokio::task::JoinSet::new();
    for (number, text) in texts.iter().enumerate() {
        let (broker, name, batch) = (node.broker.clone(), name.clone(), batch(&[text]));
        // Polled once, in order, before the next is made.
        let mut append =
            Box::pin(async move { broker.append(&name, PartitionIndex(0), batch).await });
        let polled =
            std::future::poll_fn(|cx| std::task::Poll::Ready(append.as_mut().poll(cx).is_ready()));
        assert!(!polled.await);
        appends.spawn(async move { (number as u64, append.await.unwrap().offset.get()) });
    }
    store.release();
    while let Some(appended) = appends.join_next().await {
        let (number, offset) = appended.unwrap();
        assert_eq!(number, offset);
    }
}

#[tokio::test]
async fn after_the_close_nothing_is_taken() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    node.broker.close().await;
    let refused = node.say_in(&name, 0, &["x"]).await.unwrap_err();
    assert_eq!(refused.code(), "store_stopped");
    let polled = node.poll(&name, Start::Earliest).await.unwrap();
    assert!(polled.records.is_empty());
}

fn batch(texts: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(time(1));
    for text in texts {
        builder.push(&record(text)).unwrap();
    }
    builder.build().unwrap()
}
