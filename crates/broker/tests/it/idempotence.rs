//! Idempotent producers: a retry is appended once, also across failures and restarts.

use std::sync::Arc;

use broker::{PublishError, Receipt};
use model::{PartitionIndex, ProducerEpoch, Sequence, TopicName};
use seglog::AppendError;
use wire::batch::Producer;
use wire::{Batch, BatchBuilder};

use broker::ProducerGrant;

use crate::memory::MemoryStore;
use crate::node::{Engine, Node, eventually, on_both, record, texts, time};

on_both!(
    a_retry_has_the_offset_of_the_original,
    a_retry_is_recognised_after_a_restart,
    grants_are_never_repeated,
    a_batch_for_one_topic_never_goes_into_another,
);

pub(crate) fn batch(grant: ProducerGrant, epoch: u16, base: i32, texts: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(time(7)).producer(Producer {
        id: grant.id,
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence::from_wire(base).unwrap(),
    });
    for text in texts {
        builder.push(&record(text)).unwrap();
    }
    builder.build().unwrap()
}

async fn append(node: &Node, name: &TopicName, batch: Batch) -> Result<Receipt, PublishError> {
    node.broker.append(name, PartitionIndex(0), batch).await
}

async fn a_retry_has_the_offset_of_the_original(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    let grant = node.broker.new_producer().await.unwrap();
    let first = append(&node, &name, batch(grant, 0, 0, &["a", "b"]))
        .await
        .unwrap();
    append(&node, &name, batch(grant, 0, 2, &["c"]))
        .await
        .unwrap();
    let again = append(&node, &name, batch(grant, 0, 0, &["a", "b"]))
        .await
        .unwrap();
    assert_eq!(
        again,
        Receipt {
            duplicate: true,
            ..first
        }
    );
    let gap = append(&node, &name, batch(grant, 0, 9, &["x"]))
        .await
        .unwrap_err();
    assert_eq!(
        gap,
        PublishError::OutOfOrder {
            expected: 3,
            given: 9
        }
    );
    append(&node, &name, batch(grant, 1, 0, &["d"]))
        .await
        .unwrap();
    let old = append(&node, &name, batch(grant, 0, 3, &["x"]))
        .await
        .unwrap_err();
    assert_eq!(old, PublishError::Fenced);
    assert_eq!(texts(&node.read_all(&name).await), ["a", "b", "c", "d"]);
    // Each partition counts for itself.
    let other = node.topic("u", 1).await;
    append(&node, &other, batch(grant, 0, 0, &["a"]))
        .await
        .unwrap();
}

async fn a_retry_is_recognised_after_a_restart(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    let plain = node.topic("plain", 1).await;
    node.say(&plain, &["x"]).await;
    let grant = node.broker.new_producer().await.unwrap();
    for base in 0..3 {
        append(&node, &name, batch(grant, 0, base, &["a"]))
            .await
            .unwrap();
    }
    let node = node.reopen(engine).await;
    let again = append(&node, &name, batch(grant, 0, 1, &["a"]))
        .await
        .unwrap();
    assert_eq!((again.offset.get(), again.duplicate), (1, true));
    let next = append(&node, &name, batch(grant, 0, 3, &["a"]))
        .await
        .unwrap();
    assert_eq!((next.offset.get(), next.duplicate), (3, false));
    assert_eq!(
        append(&node, &name, batch(grant, 0, 9, &["a"]))
            .await
            .unwrap_err()
            .code(),
        "out_of_order_sequence"
    );
}

/// Without a clean end there is only what was written before the first batch, and the log.
#[tokio::test]
async fn a_retry_is_recognised_after_a_crash() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["plain"]).await;
    let grant = node.broker.new_producer().await.unwrap();
    for base in 0..8 {
        append(&node, &name, batch(grant, 0, base, &["a"]))
            .await
            .unwrap();
    }
    // The old broker is never closed.
    let store: Arc<dyn seglog::Store> = store;
    let node = node.reopen_on(store).await.unwrap();
    let again = append(&node, &name, batch(grant, 0, 5, &["a"]))
        .await
        .unwrap();
    assert_eq!((again.offset.get(), again.duplicate), (6, true));
    let next = append(&node, &name, batch(grant, 0, 8, &["a"]))
        .await
        .unwrap();
    assert_eq!((next.offset.get(), next.duplicate), (9, false));
}

async fn a_batch_for_one_topic_never_goes_into_another(engine: Engine) {
    let node = Node::new(engine).await;
    let name: TopicName = "t".parse().unwrap();
    let made = node.broker.topic_to_publish(&name).await.unwrap();
    assert_eq!(node.broker.topic(&name).unwrap(), made);
    let grant = node.broker.new_producer().await.unwrap();
    let append = async || {
        let batch = batch(grant, 0, 0, &["a"]);
        let append = node
            .broker
            .append_to(&name, made.id, PartitionIndex(0), batch);
        append.await.map_err(|error| error.code())
    };
    assert!(!append().await.unwrap().duplicate);
    assert!(append().await.unwrap().duplicate);
    node.broker.delete_topic(&name).await.unwrap();
    assert_eq!(append().await, Err("unknown_topic"));
    node.broker.topic_to_publish(&name).await.unwrap();
    assert_eq!(append().await, Err("topic_replaced"));
    assert!(node.read_all(&name).await.is_empty());
}

async fn grants_are_never_repeated(engine: Engine) {
    let mut node = Node::new(engine).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        for _ in 0..600 {
            assert!(seen.insert(node.broker.new_producer().await.unwrap().id));
        }
        node = node.reopen(engine).await;
    }
}

#[tokio::test]
async fn a_retry_of_a_batch_in_flight_shares_its_fate() {
    for fails in [false, true] {
        let store = MemoryStore::new();
        let node = Arc::new(Node::on_memory(&store).await);
        let name = node.topic("t", 1).await;
        let grant = node.broker.new_producer().await.unwrap();
        store.hold();
        let spawn = || {
            let (node, name) = (Arc::clone(&node), name.clone());
            let batch = batch(grant, 0, 0, &["a"]);
            tokio::spawn(async move { append(&node, &name, batch).await })
        };
        let original = spawn();
        eventually("the original is queued", || store.queued() == 1).await;
        let retry = spawn();
        // The retry must be waiting, not queued: let its task run.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(!retry.is_finished());
        assert_eq!(store.queued(), 1);
        if fails {
            store.fail_with(Some(AppendError::Full));
        }
        store.release();
        let (original, retry) = (original.await.unwrap(), retry.await.unwrap());
        if fails {
            assert_eq!(
                (original, retry),
                (Err(PublishError::Full), Err(PublishError::Full))
            );
            store.fail_with(None);
            let later = append(&node, &name, batch(grant, 0, 0, &["a"]))
                .await
                .unwrap();
            assert!(!later.duplicate, "what was lost is appended");
        } else {
            assert!(!original.unwrap().duplicate);
            assert!(retry.unwrap().duplicate);
        }
        assert_eq!(texts(&node.read_all(&name).await), ["a"]);
    }
}
