//! Publishing through a node that does not lead the partition.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use broker::{Broker, NewTopic, Publish, PublishError, Receipt, Start, TopicSettings};
use catalog::Command;
use futures_util::future::join_all;
use model::limits::{APPEND_BYTES_IN_FLIGHT_MAX, PEER_APPEND_BYTES_PER_NODE_MAX};
use model::{LeaderEpoch, Mode, NodeId, PartitionIndex, Record, TopicName};
use tokio::time::{Instant, sleep, timeout};
use wire::BatchBuilder;

use crate::cluster::{ClusterNode, Hub};
use crate::idempotence::batch;
use crate::node::{eventually, poll, record, texts, time, topic};

/// Two nodes and a topic, with a partition that the second leads.
struct Pair {
    hub: std::sync::Arc<Hub>,
    nodes: Vec<ClusterNode>,
    name: TopicName,
    theirs: PartitionIndex,
}

impl Pair {
    async fn new() -> Self {
        let (hub, nodes) = Hub::of(2).await;
        let name = topic("t");
        let new = NewTopic {
            name: name.clone(),
            partitions: Some(4),
            replication_factor: None,
            mode: Mode::Leader,
            settings: TopicSettings::default(),
        };
        let made = nodes[0].broker.create_topic(new).await.unwrap();
        let mut partitions = made.partitions.iter();
        let theirs = partitions.find(|p| p.leader == Some(NodeId(1))).unwrap();
        let theirs = theirs.index;
        Self {
            hub,
            nodes,
            name,
            theirs,
        }
    }

    /// The node that publishes.
    fn here(&self) -> &Broker {
        &self.nodes[0].broker
    }

    /// The node that leads.
    fn there(&self) -> &ClusterNode {
        &self.nodes[1]
    }

    async fn say(&self, texts: &[&str]) -> Result<Vec<Receipt>, PublishError> {
        let publish = Publish {
            topic: self.name.clone(),
            partition: Some(self.theirs),
            records: texts.iter().map(|text| record(text)).collect(),
        };
        self.here().publish(publish).await
    }

    /// What stands in the partition, as its leader says.
    async fn written(&self) -> Vec<String> {
        let poll = broker::Poll {
            partitions: Some(vec![self.theirs]),
            wait: Duration::ZERO,
            ..poll(&self.name, Start::Earliest)
        };
        texts(&self.there().broker.poll(poll).await.unwrap().records)
    }
}

#[tokio::test]
async fn receipts_say_where_the_records_are() {
    let pair = Pair::new().await;
    pair.say(&["a"]).await.unwrap();
    let receipts = pair.say(&["b", "c"]).await.unwrap();
    let expected = |offset| Receipt {
        mode: Mode::Leader,
        partition: pair.theirs,
        offset: crate::node::offset(offset),
        leader_epoch: LeaderEpoch(0),
        copies: 1,
        timestamp: receipts[0].timestamp,
        duplicate: false,
    };
    assert_eq!(receipts, [expected(1), expected(2)]);
    assert_eq!(pair.written().await, ["a", "b", "c"]);
    let too_large = "x".repeat(2 << 20);
    let refused = pair.say(&[&too_large]).await.unwrap_err();
    assert_eq!(refused.code(), "message_too_large");
}

#[tokio::test]
async fn batches_keep_the_order_in_which_they_were_given() {
    let pair = Pair::new().await;
    pair.there().store.hold();
    let calls = pair.hub.calls();
    let mut appends = Vec::new();
    for number in 0..200 {
        let mut builder = BatchBuilder::new(time(1));
        builder.push(&record(&number.to_string())).unwrap();
        let built = builder.build().unwrap();
        let mut append = Box::pin(pair.here().append(&pair.name, pair.theirs, built));
        let first = poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx).is_pending()));
        assert!(first.await, "held");
        tokio::task::yield_now().await;
        appends.push(append);
    }
    let counters = pair.here().counters();
    assert!(counters.bytes_in_flight > 0, "they count here");
    pair.there().store.release();
    for (number, append) in appends.into_iter().enumerate() {
        assert_eq!(append.await.unwrap().offset.get(), number as u64);
    }
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(pair.written().await, expected);
    assert!(pair.hub.calls() - calls < 10, "few calls carry many");
    let in_flight =
        || pair.here().counters().bytes_in_flight + pair.there().broker.counters().bytes_in_flight;
    eventually("room is given back", || in_flight() == 0).await;
}

#[tokio::test]
async fn a_leader_that_is_gone_is_an_error_that_can_be_tried_again() {
    let pair = Pair::new().await;
    pair.hub.cut(NodeId(1), true);
    let refused = pair.say(&["a"]).await.unwrap_err();
    assert_eq!(refused.code(), "leader_unavailable");
    assert_eq!(refused.fault(), broker::Fault::Busy);
    assert_eq!(pair.here().counters().publishes_failed, 1);
    pair.hub.cut(NodeId(1), false);
    pair.say(&["b"]).await.unwrap();
    assert_eq!(pair.written().await, ["b"]);
}

/// Whoever waits behind others for a leader that takes everything and says nothing waits no longer than
/// alone, and hears whether its batch ever left.
#[tokio::test]
async fn a_mute_leader_is_told_in_time() {
    let pair = Pair::new().await;
    tokio::time::pause();
    pair.hub.mute(NodeId(1));
    let say = async |after_ms, text| {
        sleep(Duration::from_millis(after_ms)).await;
        let begun = Instant::now();
        let told = timeout(Duration::from_secs(60), pair.say(&[text])).await;
        (told.unwrap().unwrap_err().code(), begun.elapsed())
    };
    let large = "x".repeat(900_000);
    let told = tokio::join!(
        say(0, "first"),
        // Ten seconds are nearly over when the first is given up.
        say(500, "second"),
        say(6_000, "third"),
        // Too much for the room, all together.
        join_all((0..30).map(|_| say(7_000, &large))),
    );
    let (first, second, third, many) = told;
    assert_eq!(first.0, "outcome_unknown");
    assert_eq!(second.0, "leader_unavailable", "it was not sent");
    assert_eq!(third.0, "outcome_unknown");
    for (code, time) in many.into_iter().chain([first, second, third]) {
        assert!(["outcome_unknown", "leader_unavailable"].contains(&code));
        assert!(time < Duration::from_millis(10_100), "{time:?}");
    }
    let in_flight = || pair.here().counters().bytes_in_flight;
    eventually("room is given back", || in_flight() == 0).await;
}

#[tokio::test]
async fn a_leader_that_is_known_to_be_down_is_not_asked() {
    let pair = Pair::new().await;
    let incarnation = pair.hub.catalog().node(NodeId(1)).unwrap().incarnation;
    let fence = |fenced| Command::Fence {
        id: NodeId(1),
        incarnation,
        fenced,
    };
    pair.hub.agree(&fence(true)).unwrap();
    let calls = pair.hub.calls();
    let refused = pair.say(&["a"]).await.unwrap_err();
    assert_eq!(refused.code(), "leader_unavailable");
    assert!(refused.to_string().contains("node 1 is down"), "{refused}");
    assert_eq!(pair.hub.calls(), calls);
    pair.hub.agree(&fence(false)).unwrap();
    pair.say(&["b"]).await.unwrap();
    assert_eq!(pair.written().await, ["b"]);
}

#[tokio::test]
async fn a_lost_answer_is_not_taken_for_a_refusal() {
    let pair = Pair::new().await;
    pair.hub.lose_answers(NodeId(1), 1);
    let unknown = pair.say(&["a"]).await.unwrap_err();
    assert_eq!(unknown.code(), "outcome_unknown");
    assert_eq!(pair.written().await, ["a"], "it was not tried again");
}

#[tokio::test]
async fn an_idempotent_batch_is_sent_again_and_written_once() {
    let pair = Pair::new().await;
    let grant = pair.here().new_producer().await.unwrap();
    let append = async |base, text| {
        let batch = batch(grant, 0, base, &[text]);
        pair.here().append(&pair.name, pair.theirs, batch).await
    };
    pair.hub.lose_answers(NodeId(1), 1);
    let receipt = append(0, "a").await.unwrap();
    assert_eq!(receipt.offset.get(), 0);
    append(1, "b").await.unwrap();
    pair.hub.lose_answers(NodeId(1), 2);
    let unknown = append(2, "c").await.unwrap_err();
    assert_eq!(unknown.code(), "outcome_unknown");
    let receipt = append(2, "c").await.unwrap();
    assert!(receipt.duplicate, "the caller's own retry");
    assert_eq!(pair.written().await, ["a", "b", "c"]);
    let gap = append(9, "x").await.unwrap_err();
    assert_eq!(gap.code(), "out_of_order_sequence");
}

/// More than the leader remembers of a producer may be on its way at once.
#[tokio::test]
async fn many_batches_whose_answer_is_lost_are_never_said_to_be_refused() {
    let pair = Pair::new().await;
    let grant = pair.here().new_producer().await.unwrap();
    let numbered = |number: i32| batch(grant, 0, number, &[&number.to_string()]);
    // From now on a batch of this producer is in the queue as soon as its future was polled.
    let first = pair.here().append(&pair.name, pair.theirs, numbered(0));
    first.await.unwrap();
    pair.hub.lose_answers(NodeId(1), 1);
    let calls = pair.hub.calls();
    let mut appends = Vec::new();
    for number in 1..10 {
        let mut append = Box::pin(
            pair.here()
                .append(&pair.name, pair.theirs, numbered(number)),
        );
        let first = poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx).is_pending()));
        assert!(first.await, "it waits for its call");
        appends.push((number, append));
    }
    let mut unknown = 0;
    for (number, append) in appends {
        match append.await {
            Ok(receipt) => assert_eq!(receipt.offset.get(), u64::from(number.unsigned_abs())),
            Err(error) => {
                assert_eq!(error.code(), "outcome_unknown", "{number}: {error}");
                unknown += 1;
            }
        }
    }
    assert_eq!(pair.hub.calls() - calls, 2, "all of them, twice");
    // The last five are known again; those before them only if the leader has not forgotten them yet.
    assert!(unknown <= 4, "{unknown}");
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(pair.written().await, expected);
}

/// Batches that wait for a node which does not answer must not keep others from the disk of this one.
#[tokio::test]
async fn a_mute_leader_leaves_room_for_what_this_node_leads() {
    let pair = Pair::new().await;
    pair.hub.mute(NodeId(1));
    let large = record(&"x".repeat(1_000_000));
    let mut waiting = Vec::new();
    // More than there is room for.
    for _ in 0..(APPEND_BYTES_IN_FLIGHT_MAX / 1_000_000 + 2) {
        let publish = Publish {
            topic: pair.name.clone(),
            partition: Some(pair.theirs),
            records: vec![large.clone()],
        };
        let broker = pair.here().clone();
        let mut publish = Box::pin(async move { broker.publish(publish).await });
        let first = poll_fn(|cx| Poll::Ready(publish.as_mut().poll(cx).is_pending()));
        assert!(first.await);
        waiting.push(publish);
    }
    let in_flight = pair.here().counters().bytes_in_flight;
    assert!(in_flight > 0 && in_flight <= PEER_APPEND_BYTES_PER_NODE_MAX as u64);
    let mine = pair.here().topic(&pair.name).unwrap();
    let mine = mine.partitions.iter().find(|p| p.leader == Some(NodeId(0)));
    let publish = Publish {
        topic: pair.name.clone(),
        partition: Some(mine.unwrap().index),
        records: vec![record("mine")],
    };
    let published = timeout(Duration::from_secs(5), pair.here().publish(publish)).await;
    published.unwrap().unwrap();
}

#[tokio::test]
async fn a_publish_that_is_partly_written_says_how_much() {
    let pair = Pair::new().await;
    // Keys spread the records over the partitions of both nodes.
    let keyed = (0..64).map(|number: u32| Record {
        key: Some(bytes::Bytes::copy_from_slice(&number.to_be_bytes())),
        ..record("x")
    });
    let publish = Publish {
        topic: pair.name.clone(),
        partition: None,
        records: keyed.collect(),
    };
    let receipts = pair.here().publish(publish.clone()).await.unwrap();
    let mine = pair.here().topic(&pair.name).unwrap();
    let is_mine = |p: PartitionIndex| mine.partitions[p.0 as usize].leader == Some(NodeId(0));
    let here = receipts.iter().filter(|r| is_mine(r.partition)).count();
    assert!(here > 0 && here < 64, "{here}");
    pair.hub.cut(NodeId(1), true);
    match pair.here().publish(publish).await.unwrap_err() {
        PublishError::Partial {
            acknowledged, of, ..
        } => assert_eq!((acknowledged, of), (here, 64)),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_topic_that_was_deleted_elsewhere_takes_nothing() {
    let pair = Pair::new().await;
    pair.hub.make_late(NodeId(0), true);
    pair.there().broker.delete_topic(&pair.name).await.unwrap();
    let refused = pair.say(&["a"]).await.unwrap_err();
    assert_eq!(refused.code(), "unknown_topic");
}
