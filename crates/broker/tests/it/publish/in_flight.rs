//! Batches on their way to a disk that is slow, full, or gone.

use std::sync::Arc;

use broker::{PublishError, Start, TopicSettings};
use model::PartitionIndex;
use model::limits::APPEND_BYTES_IN_FLIGHT_MAX;
use seglog::AppendError;

use super::batch;
use crate::memory::MemoryStore;
use crate::node::{Engine, Node, eventually, texts};

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
