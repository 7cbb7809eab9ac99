//! Groups: sharing, taking over, committing, and refusing those who come too late.

mod people;
mod trouble;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Broker, Commit, GroupError, GroupPoll, GroupPolled, GroupSubscribe, Start};
use model::TopicName;
use tokio::task::JoinHandle;
use wire::cursor::Cursor;

use crate::node::{Engine, Node, eventually, on_both, texts};

on_both!(
    one_member_reads_and_commits,
    records_that_were_not_committed_come_again,
    two_members_share,
    a_member_takes_over_from_one_that_left,
    a_member_takes_over_from_one_that_is_silent,
    commits_and_members_outlive_a_restart,
    latest_means_the_latest_of_the_first_poll,
);

pub(crate) fn group_poll(topic: &TopicName, consumer: &str) -> GroupPoll {
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

pub(crate) async fn commit(
    node: &Node,
    consumer: Option<&str>,
    cursor: Cursor,
) -> Result<(), GroupError> {
    let consumer = consumer.map(str::to_owned);
    let commit = Commit {
        group: "g".to_owned(),
        consumer,
        cursor,
    };
    node.broker.commit(commit).await
}

/// Polls until the member holds so many partitions.
pub(crate) async fn poll_until(
    broker: &Broker,
    polling: GroupPoll,
    partitions: usize,
) -> GroupPolled {
    let started = Instant::now();
    loop {
        let polled = broker.group_poll(polling.clone()).await.unwrap();
        if mine(&polled).len() == partitions {
            return polled;
        }
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(20), "{:?}", polled.assignment);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Brings two consumers into the group, each with one of two partitions.
async fn share(node: &Node, name: &TopicName) {
    tokio::join!(
        poll_until(&node.broker, group_poll(name, "one"), 1),
        poll_until(&node.broker, group_poll(name, "two"), 1),
    );
}

/// A poll of the first member that waits for records.
async fn one_waits(node: &Arc<Node>, name: &TopicName) -> JoinHandle<GroupPolled> {
    let polling = GroupPoll {
        wait: Duration::from_secs(30),
        ..group_poll(name, "one")
    };
    let waiting = {
        let node = Arc::clone(node);
        tokio::spawn(async move { poll(&node, polling).await })
    };
    eventually("it waits", || node.broker.counters().polls_waiting == 1).await;
    waiting
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
    let waiting = one_waits(&node, &name).await;
    let two = poll_until(&node.broker, group_poll(&name, "two"), 2).await;
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
    let two = poll_until(&node.broker, group_poll(&name, "two"), 2).await;
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
        poll_until(&node.broker, hasty("one"), 1),
        poll_until(&node.broker, hasty("two"), 1),
    );
    let zombie = one.polled.cursor.clone();
    // One falls silent; two gets everything.
    let two = poll_until(&node.broker, hasty("two"), 2).await;
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
    let waiting = one_waits(&node, &name).await;
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
