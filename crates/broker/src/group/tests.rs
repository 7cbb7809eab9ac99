//! What is kept between calls, and that nobody who waits is forgotten.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ::groups::{Assigns, Join};
use model::{Mode, TopicId, TopicName};
use seglog::{LogOptions, LogStore, RealDisk};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::time::timeout;
use wire::cursor::Cursor;

use super::slot::Membership;
use super::*;
use crate::alone::Alone;
use crate::api::{
    BrokerOptions, GroupPoll, GroupPolled, GroupSubscribe, NewTopic, Start, TopicSettings,
};
use crate::budget::AnswerRoom;
use crate::error::GroupError;
use crate::inner::{Inner, Seams};
use crate::open::open;
use crate::seams::{OsEntropy, SystemClock};
use crate::tasks::Tasks;

/// A broker with one topic, `t`.
async fn broker(initial_rebalance_delay: Duration) -> (Arc<Inner>, Tasks, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::open(dir.path()).unwrap());
    let options = LogOptions {
        reserve_bytes: 0,
        ..LogOptions::default()
    };
    let store = Arc::new(LogStore::open(disk, options, None).unwrap());
    let long = Duration::from_secs(3600);
    let options = BrokerOptions {
        auto_create_topics: false,
        default_partitions: 1,
        commit_retention: long,
        retention_interval: long,
        initial_rebalance_delay,
        topic_defaults: TopicSettings::default(),
    };
    let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(OsEntropy));
    let alone = Alone::open(dir.path(), clock.clone(), entropy.clone()).await;
    let seams = Seams {
        store,
        cluster: alone.unwrap(),
        clock,
        entropy,
    };
    let (inner, tasks) = open(dir.path(), seams, options).await.unwrap();
    let topic = NewTopic {
        name: topic("t"),
        partitions: Some(2),
        replication_factor: None,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
    };
    inner.create_topic(topic).await.unwrap();
    (inner, tasks, dir)
}

fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

fn poll(name: &str, group: &str) -> GroupPoll {
    GroupPoll {
        group: group.to_owned(),
        consumer: "one".to_owned(),
        topic: topic(name),
        done: None,
        start: Start::Earliest,
        auto_commit: false,
        max_records: 10,
        wait: Duration::ZERO,
        session_timeout: Duration::from_secs(30),
    }
}

async fn poll_here(inner: &Arc<Inner>, poll: GroupPoll) -> Result<GroupPolled, GroupError> {
    inner.group_poll(poll, &mut AnswerRoom::default()).await
}

#[tokio::test]
async fn who_cannot_join_is_not_remembered() {
    let (inner, _tasks, _dir) = broker(Duration::ZERO).await;
    let unknown = poll_here(&inner, poll("unknown", "g")).await;
    assert_eq!(unknown.unwrap_err().code(), "unknown_topic");
    let foreign = GroupPoll {
        done: Some(Cursor::new(TopicId::from_bytes([1; 16]), [])),
        ..poll("t", "g")
    };
    let foreign = poll_here(&inner, foreign).await;
    assert_eq!(foreign.unwrap_err().code(), "foreign_cursor");
    let hasty = GroupSubscribe {
        group: "g".to_owned(),
        consumer: "one".to_owned(),
        topics: vec![topic("t")],
        session_timeout: Duration::ZERO,
    };
    let hasty = inner.group_subscribe(hasty).await;
    assert_eq!(hasty.unwrap_err().code(), "invalid_session_timeout");
    assert_eq!(inner.groups.slots.count(), 0);
    poll_here(&inner, poll("t", "g")).await.unwrap();
    assert_eq!(inner.groups.slots.count(), 1);
    inner.group_unsubscribe("g", "one").await.unwrap();
    assert_eq!(inner.groups.slots.count(), 0);
}

/// A consumer that asks again and again while its group is not complete costs one join, not many.
#[tokio::test]
async fn polls_that_went_away_leave_one_join_behind() {
    let (inner, _tasks, _dir) = broker(Duration::from_secs(20)).await;
    let before = Handle::current().metrics().num_alive_tasks();
    for _ in 0..20 {
        let poll = poll_here(&inner, poll("t", "g"));
        assert!(timeout(Duration::from_millis(2), poll).await.is_err());
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before + 1);
}

/// A late refusal of an old membership says nothing of the one that another call has learned since.
#[tokio::test]
async fn only_what_was_refused_is_forgotten() {
    let (inner, _tasks, _dir) = broker(Duration::ZERO).await;
    poll_here(&inner, poll("t", "g")).await.unwrap();
    let slot = inner.groups.known_slot("g", "one").unwrap();
    let old = slot.membership().unwrap();
    let new = slot.remember(Membership {
        generation: old.generation + 1,
        ..Membership::clone(&old)
    });
    slot.forget(&old);
    assert_eq!(slot.membership(), Some(Arc::clone(&new)));
    slot.forget(&new);
    assert_eq!(slot.membership(), None);
}

/// Whoever waits hears of a rebalance at once, and not only at its next sign of life, also when
/// records of others come at the same moment.
#[tokio::test]
async fn news_of_a_rebalance_is_not_lost_beside_records() {
    let (inner, _tasks, _dir) = broker(Duration::ZERO).await;
    let read = inner.topic(&topic("t")).unwrap();
    for round in 0..8 {
        let group = format!("g{round}");
        let wait = Duration::from_secs(20);
        let waiting = {
            let (inner, poll) = (Arc::clone(&inner), poll("t", &group));
            tokio::spawn(async move { poll_here(&inner, GroupPoll { wait, ..poll }).await })
        };
        let begun = Instant::now();
        while inner.counters().polls_waiting == 0 {
            assert!(begun.elapsed() < wait, "the poll never waits");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // It has looked around and sleeps now; nothing below lets it run.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let started = Instant::now();
        let slot = inner.groups.known_slot(&group, "one").unwrap();
        let _joining = inner.groups.request(join(&group, "two"));
        slot.bell.notify_waiters();
        read.wake.ring();
        let polled = waiting.await.unwrap().unwrap();
        let held: usize = polled
            .assignment
            .partitions
            .iter()
            .map(|(_, p)| p.len())
            .sum();
        assert_eq!(held, 1, "the other one has joined");
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(1), "round {round}: {waited:?}");
    }
}

fn join(group: &str, consumer: &str) -> Request {
    let session_timeout = Duration::from_secs(30);
    Request::Join(Join {
        group: group.parse().unwrap(),
        member: None,
        instance: Some(consumer.parse().unwrap()),
        client: consumer.into(),
        host: "".into(),
        session_timeout,
        rebalance_timeout: session_timeout,
        assigns: Assigns::ByServer {
            topics: BTreeSet::from([topic("t")]),
        },
        member_id_required: false,
    })
}
