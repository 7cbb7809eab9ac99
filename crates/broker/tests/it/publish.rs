//! Publishing: where records go, what receipts say, and what is refused.

mod in_flight;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::{BrokerOptions, Publish, PublishError, TopicSettings};
use bytes::Bytes;
use model::limits::BATCH_BYTES_MAX;
use model::{Offset, PartitionIndex, Record};
use wire::{Batch, BatchBuilder};

use crate::node::{Engine, Node, on_both, options, record, texts, time, topic};

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

fn batch(texts: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(time(1));
    for text in texts {
        builder.push(&record(text)).unwrap();
    }
    builder.build().unwrap()
}
