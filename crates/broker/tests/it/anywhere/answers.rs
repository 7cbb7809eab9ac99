//! How much goes from node to node, and how much waits to go.

use broker::{Delivered, GroupPoll, Poll, Publish, Start};
use model::limits::{PEER_ANSWER_BYTES_PER_NODE_MAX, POLL_RECORDS_MAX};
use model::{NodeId, PartitionIndex, TopicName};

use super::groups::{choose_coordinators, coordinator, group_poll, poll_until};
use super::{LONG, led_by, peek, polled, say, spread, wait};
use crate::cluster::{ClusterNode, Hub};
use crate::node::{after, eventually, record, texts};

/// Publishes so many records of this size in one batch.
async fn say_much(node: &ClusterNode, name: &TopicName, partition: u32, count: usize, size: usize) {
    let text = |number: usize| format!("{number:04}{}", "x".repeat(size));
    let publish = Publish {
        topic: name.clone(),
        partition: Some(PartitionIndex(partition)),
        records: (0..count).map(|number| record(&text(number))).collect(),
    };
    node.broker.publish(publish).await.unwrap();
}

/// Answers that another node is slow to take hold up those behind them, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_taken_keep_only_so_much_memory() {
    const POLLS: usize = 10;
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    for _ in 0..9 {
        say_much(&nodes[1], &name, partition, 1, 900_000).await;
    }
    hub.congest(NodeId(1));
    let polls: Vec<_> = (0..POLLS)
        .map(|_| {
            let poll = Poll {
                partitions: Some(vec![PartitionIndex(partition)]),
                max_records: POLL_RECORDS_MAX,
                ..wait(&name, Start::Earliest)
            };
            let broker = nodes[0].broker.clone();
            tokio::spawn(async move { broker.poll(poll).await })
        })
        .collect();
    let is_full = || hub.standing_bytes_max() > PEER_ANSWER_BYTES_PER_NODE_MAX * 3 / 4;
    eventually("some answers stand in line", is_full).await;
    // Small answers do not wait behind them.
    say(&nodes[0].broker, &name, partition, "small").await;
    let mut moved = 0;
    let is_over = || {
        moved += hub.let_go();
        polls.iter().all(tokio::task::JoinHandle::is_finished)
    };
    eventually("all are answered", is_over).await;
    for poll in polls {
        let polled = poll.await.unwrap().unwrap();
        assert!(polled.records.len() >= 8, "{}", polled.records.len());
    }
    assert!(hub.standing_bytes_max() <= PEER_ANSWER_BYTES_PER_NODE_MAX);
    assert!(moved > PEER_ANSWER_BYTES_PER_NODE_MAX, "{moved}");
}

/// What members on another node read stays unread until there is room for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_elsewhere_take_room_before_their_records_are_read() {
    const POLLS: usize = 10;
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    choose_coordinators(&nodes[0], &name).await;
    let groups = (0..).map(|number| format!("g{number}"));
    let groups = groups.filter(|group| coordinator(&hub, group) == NodeId(1));
    let groups: Vec<String> = groups.take(POLLS).collect();
    for group in &groups {
        poll_until(&nodes[0], &group_poll(group, &name, "one"), 2).await;
    }
    for _ in 0..9 {
        say_much(&nodes[1], &name, partition, 1, 900_000).await;
    }
    hub.congest(NodeId(1));
    let polls = groups.iter().map(|group| {
        let poll = GroupPoll {
            wait: LONG,
            max_records: POLL_RECORDS_MAX,
            ..group_poll(group, &name, "one")
        };
        let broker = nodes[0].broker.clone();
        tokio::spawn(async move { broker.group_poll(poll).await })
    });
    let polls: Vec<_> = polls.collect();
    let is_full = || hub.standing_bytes_max() > PEER_ANSWER_BYTES_PER_NODE_MAX * 3 / 4;
    eventually("some answers stand in line", is_full).await;
    // The others would have been read by then.
    for number in 0..POLLS {
        say(&nodes[0].broker, &name, partition, &number.to_string()).await;
    }
    let read = nodes[1].broker.counters().bytes_delivered;
    assert!(read <= PEER_ANSWER_BYTES_PER_NODE_MAX as u64, "{read}");
    let is_over = || {
        hub.let_go();
        polls.iter().all(tokio::task::JoinHandle::is_finished)
    };
    eventually("all are answered", is_over).await;
    for poll in polls {
        let polled = poll.await.unwrap().unwrap().polled;
        assert!(polled.records.len() >= 8, "{}", polled.records.len());
    }
}

/// Reads small pieces of large batches through a node, to the end.
async fn read_in_pieces(node: &ClusterNode, name: &TopicName) -> Vec<Delivered> {
    let (mut all, mut start) = (Vec::new(), Start::Earliest);
    loop {
        let poll = Poll {
            max_records: 25,
            ..peek(name, start)
        };
        let polled = polled(node, poll).await;
        if polled.records.is_empty() {
            return all;
        }
        assert!(polled.records.len() <= 25 && polled.gaps.is_empty());
        start = after(&polled);
        all.extend(polled.records);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_poll_of_a_large_batch_moves_little() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    for _ in 0..2 {
        say_much(&nodes[1], &name, partition, 500, 1000).await;
    }
    say(&nodes[1].broker, &name, partition, "last").await;
    let direct = read_in_pieces(&nodes[1], &name).await;
    let before = hub.answer_bytes();
    let through = read_in_pieces(&nodes[0], &name).await;
    assert_eq!(through, direct);
    assert_eq!(texts(&through).len(), 1001);
    let moved = hub.answer_bytes() - before;
    // The end of each batch is not worth cutting.
    assert!(moved < 2_500_000, "{moved} bytes for about 1,000,000");
}
