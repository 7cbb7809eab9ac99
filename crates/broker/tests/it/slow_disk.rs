//! Reads from a disk that hardly answers: they wait, and nothing else does.

use std::time::Duration;

use broker::{Fault, Start};
use model::PartitionIndex;
use model::limits::DISK_READS_MAX;
use tokio::runtime::{Builder, Runtime};

use crate::idempotence::batch;
use crate::memory::MemoryStore;
use crate::node::{Node, eventually, poll, texts};

/// More than may read at once.
const READERS: usize = 3 * DISK_READS_MAX;

/// With few more threads for what blocks than reads may take.
fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(DISK_READS_MAX + 4)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn readers_of_a_slow_disk_do_not_hold_up_publishers() {
    runtime().block_on(async {
        let store = MemoryStore::new();
        let node = Node::on_memory(&store).await;
        let name = node.topic("t", 1).await;
        node.say(&name, &["a"]).await;
        store.hold_reads(true);
        let read = || {
            let (broker, poll) = (node.broker.clone(), poll(&name, Start::Earliest));
            tokio::spawn(async move { broker.poll(poll).await })
        };
        let readers: Vec<_> = (0..READERS).map(|_| read()).collect();
        let all_busy = || store.reads_waiting() == DISK_READS_MAX;
        eventually("as many read as may", all_busy).await;

        let publish = async {
            node.say(&name, &["b"]).await;
            // These need the control database.
            let other = node.topic("other", 1).await;
            let grant = node.broker.new_producer().await.unwrap();
            let first = batch(grant, 0, 0, &["c"]);
            let appended = node.broker.append(&other, PartitionIndex(0), first).await;
            appended.unwrap();
        };
        tokio::time::timeout(Duration::from_secs(10), publish)
            .await
            .unwrap();

        assert_eq!(store.reads_waiting(), DISK_READS_MAX);
        store.hold_reads(false);
        for reader in readers {
            let polled = reader.await.unwrap().unwrap();
            assert_eq!(texts(&polled.records)[0], "a");
        }
        node.broker.close().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_close_nothing_is_read() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a"]).await;
    node.broker.close().await;
    let refused = node.peek(&name, Start::Earliest).await.unwrap_err();
    assert_eq!(refused.fault(), Fault::Node);
    assert!(refused.to_string().contains("stopping"), "{refused}");
}
