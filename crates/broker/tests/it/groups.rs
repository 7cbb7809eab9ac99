//! Groups: sharing, taking over, committing, and refusing those who come too late.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Commit, GroupError, GroupPoll, GroupPolled, GroupSubscribe, Start};
use model::{PartitionIndex, TopicName};
use seglog::{AppendError, Store};
use wire::cursor::Cursor;

use crate::memory::MemoryStore;
use crate::node::{Engine, Node, at, offset, on_both, texts};

on_both!(
    one_member_reads_and_commits,
    records_that_were_not_committed_come_again,
    two_members_share,
    a_member_takes_over_from_one_that_left,
    a_member_takes_over_from_one_that_is_silent,
    commits_and_members_outlive_a_restart,
    latest_means_the_latest_of_the_first_poll,
    people_look_and_change,
);

fn group_poll(topic: &TopicName, consumer: &str) -> GroupPoll {
    GroupPoll {
        group: "g".to_owned(),
        consumer: consumer.to_owned(),
        topic: topic.clone(),
        done: None,
        start: Start::Earliest,
        auto_commit: false,
        max_records: 100,
        wait: Duration::ZERO,
        session_timeout: Duration::from_secs(10),
    }
}

async fn poll(node: &Node, poll: GroupPoll) -> GroupPolled {
    node.broker.group_poll(poll).await.unwrap()
}

pub(crate) fn mine(polled: &GroupPolled) -> Vec<u32> {
    let partitions = polled
        .assignment
        .partitions
        .iter()
        .flat_map(|(_, indexes)| indexes);
    partitions.map(|index| index.0).collect()
}

async fn commit(node: &Node, consumer: Option<&str>, cursor: Cursor) -> Result<(), GroupError> {
    let consumer = consumer.map(str::to_owned);
    let commit = Commit {
        group: "g".to_owned(),
        consumer,
        cursor,
    };
    node.broker.commit(commit).await
}

/// Polls until the member holds so many partitions.
async fn poll_until(node: &Node, polling: GroupPoll, partitions: usize) -> GroupPolled {
    let started = Instant::now();
    loop {
        let polled = poll(node, polling.clone()).await;
        if mine(&polled).len() == partitions {
            return polled;
        }
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            polled.assignment
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn one_member_reads_and_commits(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 2).await;
    node.say(&name, &["a", "b"]).await;
    node.say_in(&name, 1, &["c"]).await.unwrap();
    let polled = poll(&node, group_poll(&name, "one")).await;
    assert_eq!(mine(&polled), [0, 1]);
    let mut read = texts(&polled.polled.records);
    read.sort();
    assert_eq!(read, ["a", "b", "c"]);

    node.say(&name, &["d"]).await;
    let done = Some(polled.polled.cursor.clone());
    let next = poll(
        &node,
        GroupPoll {
            done,
            ..group_poll(&name, "one")
        },
    )
    .await;
    assert_eq!(texts(&next.polled.records), ["d"]);
    commit(&node, Some("one"), next.polled.cursor)
        .await
        .unwrap();
    let rest = poll(&node, group_poll(&name, "one")).await;
    assert_eq!(texts(&rest.polled.records), [] as [&str; 0]);
    let group = node.broker.group("g").await.unwrap();
    assert_eq!((group.state, group.members.len()), ("stable", 1));
    let lags: Vec<_> = group
        .commits
        .iter()
        .map(|c| (c.partition.0, c.offset.get(), c.lag))
        .collect();
    assert_eq!(lags, [(0, 3, Some(0)), (1, 1, Some(0))]);
    assert_eq!(node.broker.counters().commits, 2);
}

async fn records_that_were_not_committed_come_again(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a", "b", "c"]).await;
    for _ in 0..2 {
        let polled = poll(&node, group_poll(&name, "one")).await;
        assert_eq!(texts(&polled.polled.records), ["a", "b", "c"]);
    }
    let at_most_once = GroupPoll {
        auto_commit: true,
        max_records: 2,
        ..group_poll(&name, "one")
    };
    let first = poll(&node, at_most_once.clone()).await;
    let second = poll(&node, at_most_once.clone()).await;
    let third = poll(&node, at_most_once).await;
    assert_eq!(texts(&first.polled.records), ["a", "b"]);
    assert_eq!(texts(&second.polled.records), ["c"]);
    assert!(third.polled.records.is_empty());
}

async fn two_members_share(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 4).await;
    let alone = poll(&node, group_poll(&name, "one")).await;
    assert_eq!(mine(&alone).len(), 4);
    // One waits for records; it hears of two, and answers at once with what it still holds.
    let started = Instant::now();
    let waiting = {
        let (node, name) = (Arc::clone(&node), name.clone());
        let wait = Duration::from_secs(30);
        tokio::spawn(async move {
            poll(
                &node,
                GroupPoll {
                    wait,
                    ..group_poll(&name, "one")
                },
            )
            .await
        })
    };
    crate::node::eventually("one waits", || node.broker.counters().polls_waiting == 1).await;
    let two = poll_until(&node, group_poll(&name, "two"), 2).await;
    let one = waiting.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(one.assignment.generation > alone.assignment.generation);
    let held = |polled| mine(polled).into_iter().collect::<BTreeSet<_>>();
    assert_eq!((held(&one).len(), held(&two).len()), (2, 2));
    assert_eq!(held(&one).union(&held(&two)).count(), 4);

    for partition in 0..4 {
        node.say_in(&name, partition, &[&partition.to_string()])
            .await
            .unwrap();
    }
    let mut all = Vec::new();
    for consumer in ["one", "two"] {
        let polled = poll(&node, group_poll(&name, consumer)).await;
        assert_eq!(polled.polled.records.len(), 2);
        all.extend(texts(&polled.polled.records));
    }
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3"]);
}

async fn a_member_takes_over_from_one_that_left(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 2).await;
    node.say(&name, &["a"]).await;
    share(&node, &name).await;
    node.broker.group_unsubscribe("g", "one").await.unwrap();
    let two = poll_until(&node, group_poll(&name, "two"), 2).await;
    assert_eq!(texts(&two.polled.records), ["a"]);
    let again = node.broker.group_unsubscribe("g", "one").await.unwrap_err();
    assert_eq!(again, GroupError::NotMember("one".to_owned()));
}

async fn a_member_takes_over_from_one_that_is_silent(engine: Engine) {
    let node = Arc::new(Node::new(engine).await);
    let name = node.topic("t", 2).await;
    node.say(&name, &["a"]).await;
    node.say_in(&name, 1, &["b"]).await.unwrap();
    let session_timeout = Duration::from_secs(1);
    let hasty = |consumer| GroupPoll {
        session_timeout,
        ..group_poll(&name, consumer)
    };
    let (one, _) = tokio::join!(
        poll_until(&node, hasty("one"), 1),
        poll_until(&node, hasty("two"), 1),
    );
    let zombie = one.polled.cursor.clone();
    // One falls silent; two gets everything.
    let two = poll_until(&node, hasty("two"), 2).await;
    assert_eq!(two.polled.records.len(), 2);
    commit(&node, Some("two"), two.polled.cursor.clone())
        .await
        .unwrap();
    // What one says now comes too late, whichever way it says it.
    let late = commit(&node, Some("one"), zombie.clone())
        .await
        .unwrap_err();
    assert!(
        matches!(late, GroupError::Rebalanced | GroupError::NotMember(_)),
        "{late}"
    );
    let late = GroupPoll {
        done: Some(zombie),
        ..hasty("one")
    };
    let late = node
        .broker
        .group_poll(late)
        .await
        .map(|polled| polled.polled.records.len());
    assert!(
        matches!(late, Err(GroupError::Rebalanced | GroupError::NotMember(_))),
        "{late:?}"
    );
    let commits = node.broker.group("g").await.unwrap().commits;
    assert!(
        commits.iter().all(|commit| commit.lag == Some(0)),
        "{commits:?}"
    );
}

async fn commits_and_members_outlive_a_restart(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a", "b"]).await;
    let polled = poll(
        &node,
        GroupPoll {
            max_records: 1,
            ..group_poll(&name, "one")
        },
    )
    .await;
    let generation = polled.assignment.generation;
    commit(&node, Some("one"), polled.polled.cursor)
        .await
        .unwrap();
    let polled = poll(&node, group_poll(&name, "one")).await;

    let node = node.reopen(engine).await;
    assert_eq!(node.broker.status().groups, 1);
    // It finished the second record before the restart and says so now.
    commit(&node, Some("one"), polled.polled.cursor)
        .await
        .unwrap();
    let next = poll(&node, group_poll(&name, "one")).await;
    assert_eq!(next.polled.records, []);
    assert_eq!(
        next.assignment.generation, generation,
        "nobody had to rebalance"
    );
    let stranger = commit(&node, Some("two"), next.polled.cursor)
        .await
        .unwrap_err();
    assert_eq!(stranger, GroupError::NotMember("two".to_owned()));
}

async fn latest_means_the_latest_of_the_first_poll(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["before"]).await;
    let latest = GroupPoll {
        start: Start::Latest,
        ..group_poll(&name, "one")
    };
    assert_eq!(poll(&node, latest.clone()).await.polled.records, []);
    node.say(&name, &["between"]).await;
    assert_eq!(
        texts(&poll(&node, latest).await.polled.records),
        ["between"]
    );
}

async fn people_look_and_change(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 2).await;
    node.say(&name, &["a", "b", "c"]).await;
    assert_eq!(node.broker.groups().await, []);
    assert_eq!(
        node.broker.group("g").await.unwrap_err(),
        GroupError::Unknown("g".to_owned())
    );
    let subscribe = GroupSubscribe {
        group: "g".to_owned(),
        consumer: "one".to_owned(),
        topics: vec![name.clone(), crate::node::topic("later")],
        session_timeout: Duration::from_secs(10),
    };
    let assignment = node.broker.group_subscribe(subscribe).await.unwrap();
    assert_eq!(
        assignment.partitions,
        [(name.clone(), vec![PartitionIndex(0), PartitionIndex(1)])]
    );
    let polled = poll(&node, group_poll(&name, "one")).await;
    let cursor = polled.polled.cursor;
    let outside = commit(&node, None, cursor.clone()).await.unwrap_err();
    assert_eq!(outside, GroupError::NotEmpty);
    assert_eq!(
        node.broker.delete_group("g").await.unwrap_err(),
        GroupError::NotEmpty
    );
    let reset = node
        .broker
        .reset_group("g", &name, &Start::Earliest)
        .await
        .unwrap_err();
    assert_eq!(reset, GroupError::NotEmpty);

    node.broker.group_unsubscribe("g", "one").await.unwrap();
    commit(&node, None, cursor).await.unwrap();
    let group = node.broker.group("g").await.unwrap();
    assert_eq!((group.state, group.commits.len()), ("empty", 2));
    let earliest = node
        .broker
        .reset_group("g", &name, &Start::Earliest)
        .await
        .unwrap();
    assert_eq!(earliest.commits[0].lag, Some(3));
    // A deleted topic takes its commits along.
    node.broker.delete_topic(&name).await.unwrap();
    let none = node
        .broker
        .group("g")
        .await
        .map(|group| group.commits.len())
        .unwrap_or(0);
    assert_eq!(none, 0);
    let _ = node.broker.delete_group("g").await;
    assert_eq!(node.broker.groups().await, []);
}

#[tokio::test]
async fn a_new_topic_reaches_members_that_wait() {
    let node = Arc::new(Node::new(Engine::Log).await);
    let name = node.topic("t", 1).await;
    let later = crate::node::topic("later");
    let subscribe = GroupSubscribe {
        group: "g".to_owned(),
        consumer: "one".to_owned(),
        topics: vec![name.clone(), later.clone()],
        session_timeout: Duration::from_secs(10),
    };
    node.broker.group_subscribe(subscribe).await.unwrap();
    let waiting = {
        let (node, name) = (Arc::clone(&node), name.clone());
        let wait = Duration::from_secs(30);
        tokio::spawn(async move {
            poll(
                &node,
                GroupPoll {
                    wait,
                    ..group_poll(&name, "one")
                },
            )
            .await
        })
    };
    crate::node::eventually("it waits", || node.broker.counters().polls_waiting == 1).await;
    node.topic("later", 2).await;
    let told = waiting.await.unwrap();
    let names: Vec<_> = told
        .assignment
        .partitions
        .iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, [&later, &name]);
}

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

/// Brings two consumers into the group, each with one of two partitions.
async fn share(node: &Node, name: &TopicName) {
    tokio::join!(
        poll_until(node, group_poll(name, "one"), 1),
        poll_until(node, group_poll(name, "two"), 1),
    );
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
