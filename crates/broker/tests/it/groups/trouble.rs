//! Groups that are asked for the impossible, by callers that go away, on a disk that is full.

use std::sync::Arc;
use std::time::Duration;

use broker::{GroupError, GroupPoll};
use seglog::AppendError;
use wire::cursor::Cursor;

use super::{commit, group_poll, poll};
use crate::memory::MemoryStore;
use crate::node::{Engine, Node, at, texts};

#[tokio::test]
async fn names_and_timeouts_out_of_bounds() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    let long = "x".repeat(250);
    for bad in ["", &long, "a\nb", "a\0"] {
        for (group, consumer) in [(bad, "one"), ("g", bad)] {
            let (group, consumer) = (group.to_owned(), consumer.to_owned());
            let poll = GroupPoll {
                group,
                consumer,
                ..group_poll(&name, "")
            };
            assert_eq!(
                node.broker.group_poll(poll).await.unwrap_err(),
                GroupError::InvalidName
            );
        }
    }
    for seconds in [0, 1801] {
        let session_timeout = Duration::from_secs(seconds);
        let poll = GroupPoll {
            session_timeout,
            ..group_poll(&name, "one")
        };
        assert_eq!(
            node.broker.group_poll(poll).await.unwrap_err(),
            GroupError::SessionTimeout
        );
    }
    let unknown = group_poll(&crate::node::topic("u"), "one");
    assert_eq!(
        node.broker.group_poll(unknown).await.unwrap_err().code(),
        "unknown_topic"
    );
    let foreign = Cursor::new(model::TopicId::from_bytes([1; 16]), []);
    assert_eq!(
        commit(&node, None, foreign).await.unwrap_err().code(),
        "foreign_cursor"
    );
    assert_eq!(node.broker.groups().await, []);
}

/// A caller that goes away while it joins leaves a member that the next call finds.
#[tokio::test]
async fn a_poll_that_is_dropped_leaves_a_whole_member() {
    let node = Arc::new(Node::new(Engine::Log).await);
    let name = node.topic("t", 1).await;
    node.say(&name, &["a"]).await;
    for turns in 0..12 {
        let (polling, poll_of) = (Arc::clone(&node), group_poll(&name, "one"));
        let poll =
            tokio::spawn(async move { polling.broker.group_poll(poll_of).await.map(|_| ()) });
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        poll.abort();
        let _ = poll.await;
    }
    let polled = poll(&node, group_poll(&name, "one")).await;
    assert_eq!(texts(&polled.polled.records), ["a"]);
    assert_eq!(at(&polled.polled.cursor, 0), Some(1));
    assert_eq!(node.broker.group("g").await.unwrap().members.len(), 1);
}

/// What a group wants stored may be refused: nobody is told that it was, and nothing is half done.
#[tokio::test]
async fn a_full_disk_refuses_commits_and_recovers() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a", "b"]).await;
    let polled = poll(&node, group_poll(&name, "one")).await;
    store.fail_with(Some(AppendError::Full));
    let refused = commit(&node, Some("one"), polled.polled.cursor.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "commit_failed");
    let again = poll(&node, group_poll(&name, "one")).await;
    assert_eq!(
        again.polled.records, polled.polled.records,
        "reading goes on"
    );
    store.fail_with(None);
    commit(&node, Some("one"), polled.polled.cursor)
        .await
        .unwrap();
    assert_eq!(
        poll(&node, group_poll(&name, "one")).await.polled.records,
        []
    );
}

#[tokio::test]
async fn after_the_close_nobody_waits_for_a_group() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    let polled = poll(&node, group_poll(&name, "one")).await;
    node.broker.close().await;
    let late = commit(&node, Some("one"), polled.polled.cursor)
        .await
        .unwrap_err();
    assert!(
        matches!(late, GroupError::NotDurable(_) | GroupError::NotMember(_)),
        "{late}"
    );
    assert!(
        node.broker
            .group_poll(group_poll(&name, "one"))
            .await
            .is_err()
    );
    assert!(
        node.broker
            .group_poll(group_poll(&name, "two"))
            .await
            .is_err()
    );
}
