//! The log of groups: it does not grow with what has been overwritten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Commit, GroupCommit};
use model::limits::COMMIT_POSITIONS_IN_FLIGHT_MAX;
use model::{PartitionId, PartitionIndex, TopicId, TopicName};
use seglog::Store;
use tokio::time::timeout;
use wire::cursor::Cursor;

use crate::groups::commit;
use crate::memory::MemoryStore;
use crate::node::{Engine, Node, eventually, offset, topic};

/// Enough for a commit of all of them to take most of a megabyte.
const PARTITIONS: u32 = 10_000;
/// So many of those are more than the log may hold.
const ROUNDS: usize = 40;

/// Commits everywhere, again and again, for a group without members; nothing needs to be published
/// for that.
async fn commit_much(node: &Node, name: &TopicName) {
    for round in 0..ROUNDS {
        commit_all(node, name, round as u64).await;
    }
}

async fn commit_all(node: &Node, name: &TopicName, at: u64) {
    let id = node.broker.topic(name).unwrap().id;
    let positions = (0..PARTITIONS).map(|n| (PartitionIndex(n), offset(at)));
    let commit = Commit {
        group: "g".to_owned(),
        consumer: None,
        cursor: Cursor::new(id, positions),
    };
    node.broker.commit(commit).await.unwrap();
}

async fn assert_last_round(node: &Node) {
    let commits = node.broker.group("g").await.unwrap().commits;
    assert_eq!(commits.len(), PARTITIONS as usize);
    let last = offset(ROUNDS as u64 - 1);
    let is_last = |commit: &GroupCommit| commit.offset == last;
    assert!(commits.iter().all(is_last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_overwritten_is_deleted() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let name = node.topic("t", PARTITIONS).await;
    commit_much(&node, &name).await;
    let log = PartitionId {
        topic: TopicId::from_bytes(*b"hark-__groups-v1"),
        index: PartitionIndex(0),
    };
    let bounds = || store.bounds(log).unwrap();
    eventually("the log is written anew", || bounds().start.get() > 0).await;
    // It holds what lives, and what was committed since.
    assert!(bounds().end.since(bounds().start) < u64::from(PARTITIONS) * ROUNDS as u64 / 4 * 3);
    assert_last_round(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_written_anew_is_read_back() {
    let node = Node::new(Engine::Log).await;
    node.topic("t", PARTITIONS).await;
    commit_much(&node, &topic("t")).await;
    let node = node.reopen(Engine::Log).await;
    assert_last_round(&node).await;
}

/// Whoever commits and goes away without waiting must not fill the memory of a node whose disk hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_on_their_way_are_bounded() {
    let store = MemoryStore::new();
    let node = Arc::new(Node::on_memory(&store).await);
    let name = node.topic("t", PARTITIONS).await;
    store.hold();
    let commits = (0..30).map(|_| {
        let (node, name) = (Arc::clone(&node), name.clone());
        tokio::spawn(async move { commit_all(&node, &name, 1).await })
    });
    let commits: Vec<_> = commits.collect();
    let most = COMMIT_POSITIONS_IN_FLIGHT_MAX / PARTITIONS as usize;
    eventually("as many as may are queued", || store.queued() == most).await;
    // They go away, and what they asked for is still on its way.
    for commit in commits {
        commit.abort();
        let _ = commit.await;
    }
    let next = commit_all(&node, &name, 2);
    assert!(timeout(Duration::from_millis(50), next).await.is_err());
    assert_eq!(store.queued(), most);
    store.release();
    commit_all(&node, &name, 3).await;
    let commits = node.broker.group("g").await.unwrap().commits;
    assert!(commits.iter().all(|commit| commit.offset == offset(3)));
}

/// Many commits of many partitions: the log of groups is written anew, and a restart knows the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_groups_does_not_grow_for_ever() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let partitions = 5_000;
    let name = node.topic("t", partitions).await;
    let id = node.broker.topic(&name).unwrap().id;
    let log = *store.partitions().iter().find(|p| p.topic != id).unwrap();
    let started = Instant::now();
    let mut round = 0;
    while store.bounds(log).unwrap().start.get() == 0 {
        round += 1;
        let cursor = |at| {
            let positions = (0..partitions).map(|index| (PartitionIndex(index), offset(at)));
            Cursor::new(id, positions)
        };
        // The second is under way while the first may cause the log to be written anew.
        let (one, two) = tokio::join!(
            commit(&node, None, cursor(2 * round)),
            commit(&node, None, cursor(2 * round + 1)),
        );
        one.and(two).unwrap();
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "it grows for ever"
        );
    }
    let store: Arc<dyn Store> = store;
    let node = node.reopen_on(store).await.unwrap();
    let commits = node.broker.group("g").await.unwrap().commits;
    assert_eq!(commits.len(), partitions as usize);
    assert!(
        commits
            .iter()
            .all(|commit| commit.offset == offset(2 * round + 1))
    );
}
