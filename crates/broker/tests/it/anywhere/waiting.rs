//! Waits for what other nodes hold.

use std::time::{Duration, Instant};

use broker::Start;
use model::{NodeId, TopicName};
use tokio::time::timeout;

use super::{LONG, led_by, say, spread, wait};
use crate::cluster::Hub;
use crate::node::{after, eventually, texts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_when_any_node_has_something() {
    let (hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    let mut start = Start::Earliest;
    for round in 0..12_usize {
        let (reader, writer, owner) = (round % 3, (round / 3) % 3, (round + 1) % 3);
        let waiting = {
            let (broker, poll) = (nodes[reader].broker.clone(), wait(&name, start));
            tokio::spawn(async move { broker.poll(poll).await })
        };
        let is_waiting = || {
            nodes
                .iter()
                .all(|node| node.broker.counters().polls_waiting > 0)
        };
        eventually("it waits, and others in its place", is_waiting).await;
        let calls = hub.calls();
        let partition = led_by(&nodes[0].broker, &name, NodeId(owner as u16))[0];
        let begun = Instant::now();
        say(&nodes[writer].broker, &name, partition, &round.to_string()).await;
        let polled = waiting.await.unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(texts(&polled.records), [round.to_string()]);
        // One for the record, and for each of the others one look and one wait.
        assert!(hub.calls() - calls <= 5, "nobody asks again and again");
        start = after(&polled);
    }
}

/// A wait at another node ends with the one that it is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_is_dropped_is_called_off_everywhere() {
    let (_hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    let waiting = {
        let (broker, poll) = (nodes[0].broker.clone(), wait(&name, Start::Latest));
        tokio::spawn(async move { broker.poll(poll).await })
    };
    let waiters = || {
        nodes
            .iter()
            .map(|node| node.broker.counters().polls_waiting)
            .sum::<u64>()
    };
    eventually("it waits everywhere", || waiters() == 3).await;
    waiting.abort();
    eventually("nobody waits", || waiters() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_readers_are_woken_by_one_record() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let readers = (0..1_000).map(|_| {
        let (broker, poll) = (nodes[0].broker.clone(), wait(&name, Start::Latest));
        tokio::spawn(async move { broker.poll(poll).await })
    });
    let readers: Vec<_> = readers.collect();
    let waiting = || nodes[1].broker.counters().polls_waiting == 1_000;
    eventually("all wait at the other node", waiting).await;
    let calls = hub.calls();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(hub.calls(), calls, "who waits asks nothing");
    let partition = led_by(&nodes[0].broker, &name, NodeId(1))[0];
    say(&nodes[0].broker, &name, partition, "news").await;
    for reader in readers {
        assert_eq!(texts(&reader.await.unwrap().unwrap().records), ["news"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_hears_that_the_topic_or_the_node_is_gone() {
    let (_hub, nodes) = Hub::of(3).await;
    let name = spread(&nodes, "t", 3).await;
    let begin = |name: &TopicName| {
        let (broker, poll) = (nodes[0].broker.clone(), wait(name, Start::Latest));
        tokio::spawn(async move { broker.poll(poll).await })
    };
    let waiting = begin(&name);
    let waiters = || {
        nodes
            .iter()
            .map(|node| node.broker.counters().polls_waiting)
            .sum::<u64>()
    };
    eventually("it waits", || waiters() == 3).await;
    nodes[1].broker.delete_topic(&name).await.unwrap();
    let gone = timeout(LONG, waiting).await.unwrap().unwrap();
    assert_eq!(gone.unwrap_err().code(), "unknown_topic");
    let name = spread(&nodes, "u", 3).await;
    let waiting = begin(&name);
    eventually("it waits", || waiters() == 3).await;
    // Another node stops: the wait goes on without it.
    nodes[2].broker.close().await;
    say(
        &nodes[1].broker,
        &name,
        led_by(&nodes[0].broker, &name, NodeId(1))[0],
        "a",
    )
    .await;
    assert_eq!(texts(&waiting.await.unwrap().unwrap().records), ["a"]);
    let waiting = begin(&name);
    eventually("it waits", || nodes[1].broker.counters().polls_waiting == 1).await;
    nodes[0].broker.close().await;
    let polled = timeout(LONG, waiting).await.unwrap().unwrap().unwrap();
    assert!(polled.records.is_empty());
}
