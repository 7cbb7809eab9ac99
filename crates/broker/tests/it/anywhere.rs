//! Topics whose partitions lie on several nodes: whichever node is asked, it answers.

mod answers;
mod changing;
mod groups;
mod minority;
mod registration;
mod silence;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Delivered, NewTopic, Poll, Polled, Publish, Receipt, Start, TopicSettings};
use model::{Mode, NodeId, PartitionIndex, Record, TopicName};
use tokio::time::timeout;
use wire::BatchBuilder;

use crate::cluster::{ClusterNode, Hub};
use crate::node::{eventually, poll, record, texts, time, topic};

/// Longer than anything here takes, and than a call to a node that is gone is waited for.
const LONG: Duration = Duration::from_secs(20);

/// Makes a topic that every node of the cluster leads some of; known to all when this returns.
pub(crate) async fn spread(nodes: &[ClusterNode], name: &str, partitions: u32) -> TopicName {
    let name = topic(name);
    let new = NewTopic {
        name: name.clone(),
        partitions: Some(partitions),
        replication_factor: None,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
    };
    nodes[0].broker.create_topic(new).await.unwrap();
    for node in nodes {
        eventually("all know the topic", || node.broker.topic(&name).is_ok()).await;
        assert!(!led_by(&nodes[0].broker, &name, node.id).is_empty());
    }
    name
}

/// The partitions that a node leads.
pub(crate) fn led_by(broker: &Broker, name: &TopicName, node: NodeId) -> Vec<u32> {
    let described = broker.topic(name).unwrap();
    let led = described.partitions.iter();
    let led = led.filter(|partition| partition.leader == Some(node));
    led.map(|partition| partition.index.0).collect()
}

pub(crate) async fn say(broker: &Broker, name: &TopicName, partition: u32, text: &str) -> Receipt {
    let publish = Publish {
        topic: name.clone(),
        partition: Some(PartitionIndex(partition)),
        records: vec![record(text)],
    };
    broker.publish(publish).await.unwrap()[0]
}

fn peek(name: &TopicName, start: Start) -> Poll {
    Poll {
        wait: Duration::ZERO,
        ..poll(name, start)
    }
}

fn wait(name: &TopicName, start: Start) -> Poll {
    Poll {
        wait: LONG,
        ..poll(name, start)
    }
}

fn sorted(records: &[Delivered]) -> Vec<String> {
    let mut texts = texts(records);
    texts.sort_unstable();
    texts
}

/// Reads through these nodes in turn until one of them finds nothing.
async fn read_in_turn(nodes: &[ClusterNode], name: &TopicName, max: usize) -> Vec<Delivered> {
    let (mut all, mut start) = (Vec::new(), Start::Earliest);
    for turn in 0.. {
        let poll = Poll {
            max_records: max,
            ..peek(name, start)
        };
        let polled = nodes[turn % nodes.len()].broker.poll(poll).await.unwrap();
        if polled.records.is_empty() {
            break;
        }
        assert!(polled.records.len() <= max);
        all.extend(polled.records);
        start = Start::Cursor(polled.cursor);
    }
    all
}

#[tokio::test]
async fn what_goes_in_at_one_node_comes_out_at_every_other() {
    let (_hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 6).await;
    for number in 0..60_u32 {
        let (node, partition) = (&nodes[number as usize % 3], number % 6);
        let receipt = say(&node.broker, &name, partition, &number.to_string()).await;
        assert_eq!(receipt.partition, PartitionIndex(partition));
        assert_eq!(receipt.offset.get(), u64::from(number / 6));
        assert!(!receipt.duplicate);
    }
    for max in [7, 1_000] {
        let all = read_in_turn(&nodes, &name, max).await;
        assert_eq!(all.len(), 60, "at most {max} at once");
        for partition in 0..6 {
            let of_it = all.iter().filter(|d| d.partition.0 == partition).cloned();
            let expected: Vec<_> = (0..10).map(|n| (partition + n * 6).to_string()).collect();
            assert_eq!(texts(&of_it.collect::<Vec<_>>()), expected);
        }
    }
    for node in &nodes {
        let last = node.broker.last(&name).await.unwrap().unwrap();
        assert_eq!(last.offset.get(), 9);
        let counters = node.broker.counters();
        assert!(counters.records_published > 0, "{counters:?}");
    }
}

#[tokio::test]
async fn records_of_a_key_keep_their_order_through_all_nodes() {
    let (_hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 6).await;
    for number in 0..30 {
        let record = Record {
            key: Some(format!("key {}", number % 5).into()),
            ..record(&number.to_string())
        };
        let publish = Publish {
            topic: name.clone(),
            partition: None,
            records: vec![record],
        };
        nodes[number % 3].broker.publish(publish).await.unwrap();
    }
    let all = read_in_turn(&nodes, &name, 4).await;
    for key in 0..5 {
        let key = format!("key {key}");
        let of_it = all
            .iter()
            .filter(|d| d.record.key.as_deref() == Some(key.as_bytes()));
        let numbers: Vec<u32> = texts(&of_it.cloned().collect::<Vec<_>>())
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(numbers.len(), 6);
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
}

/// Appends that are under way at the same time reach a partition on another node in the order in which
/// they were begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_to_another_node_keep_their_order() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let partition = led_by(&nodes[1].broker, &name, NodeId(1))[0];
    let before = hub.calls();
    let appending = (0..200_u32).map(|number| {
        let mut builder = BatchBuilder::new(time(1));
        builder.push(&record(&number.to_string())).unwrap();
        let batch = builder.build().unwrap();
        nodes[0]
            .broker
            .append(&name, PartitionIndex(partition), batch)
    });
    let receipts = futures_util::future::join_all(appending).await;
    let offsets: Vec<u64> = receipts
        .into_iter()
        .map(|r| r.unwrap().offset.get())
        .collect();
    assert_eq!(offsets, (0..200).collect::<Vec<_>>());
    assert!(hub.calls() - before < 50, "those that wait go together");
}

async fn polled(node: &ClusterNode, poll: Poll) -> Polled {
    timeout(LONG, node.broker.poll(poll))
        .await
        .unwrap()
        .unwrap()
}

/// What is no message is answered, and hurts nobody.
#[tokio::test]
async fn bytes_that_are_no_request_are_refused() {
    let (_hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let broker = Arc::new(nodes[0].broker.clone());
    for bytes in [
        &b""[..],
        b"\x01",
        b"\x02\0\0\0\0\0\0\0\0\x08\0",
        &[1; 300],
        &[0xff; 64],
    ] {
        let answer = broker
            .serve_peer(NodeId(1), bytes::Bytes::copy_from_slice(bytes))
            .await;
        assert_eq!(answer[..2], [1, 0], "refused: {bytes:?}");
    }
    say(&nodes[1].broker, &name, 0, "a").await;
}
