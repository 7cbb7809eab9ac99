//! Polls that wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Poll, Start};

use crate::node::{Engine, Node, at, eventually, on_both, poll, texts};

on_both!(
    a_wait_ends_with_a_record,
    a_wait_ends_with_its_time,
    thousands_wait_for_one_record,
    nothing_is_skipped_between_two_waits,
);

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

/// Ten thousand of these wait at once; what they hold must be small.
#[tokio::test]
async fn a_waiting_poll_is_small() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    let waiting = node.broker.poll(poll(&name, Start::Latest));
    let size = size_of_val(&waiting);
    assert!(size < 2048, "{size} bytes");
}
