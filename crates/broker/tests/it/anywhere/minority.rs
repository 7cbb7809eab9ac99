//! What is not known where no majority answers, and what does not exist.

use std::time::Duration;

use broker::{Commit, Start};
use model::limits::GROUP_NAME_BYTES_MAX;
use model::{NodeId, TopicId};
use tokio::time::Instant;
use wire::cursor::Cursor;

use super::groups::group_poll;
use super::{peek, say, spread};
use crate::cluster::Hub;
use crate::node::{texts, topic};

/// Code and message of an error.
macro_rules! told {
    ($answer:expr) => {{
        let error = $answer.unwrap_err();
        (error.code(), error.to_string())
    }};
}

/// To look at groups makes nothing, and tells the same as where there are others.
#[tokio::test]
async fn to_look_for_a_group_makes_nothing() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    let id = nodes[0].broker.topic(&name).unwrap().id;
    for node in &nodes {
        let broker = &node.broker;
        let member = Commit {
            group: "g".to_owned(),
            consumer: Some("one".to_owned()),
            cursor: Cursor::new(id, []),
        };
        let refusals = [
            broker.group("g").await.unwrap_err(),
            broker.delete_group("g").await.unwrap_err(),
            broker
                .reset_group("g", &name, &Start::Latest)
                .await
                .unwrap_err(),
            broker.group_unsubscribe("g", "one").await.unwrap_err(),
            broker.commit(member).await.unwrap_err(),
            broker
                .group(&"x".repeat(GROUP_NAME_BYTES_MAX + 1))
                .await
                .unwrap_err(),
        ];
        let codes = refusals.map(|refusal| refusal.code());
        let unknown = ["unknown_group"; 3];
        assert_eq!(codes[..3], unknown);
        assert_eq!(
            codes[3..],
            ["not_a_member", "not_a_member", "invalid_group_name"]
        );
        assert!(broker.groups().await.is_empty());
    }
    assert!(hub.catalog().topic(&topic("__groups")).is_none());
}

#[tokio::test]
async fn what_needs_a_majority_says_so_in_time() {
    let (hub, nodes) = Hub::of(2).await;
    let name = spread(&nodes, "t", 2).await;
    say(&nodes[0].broker, &name, 0, "a").await;
    tokio::time::pause();
    hub.leave_to_minority(NodeId(0));
    let broker = &nodes[0].broker;
    let unknown = topic("unknown");
    let foreign = Cursor::new(TopicId::from_bytes([7; 16]), []);
    let begun = Instant::now();
    let refusals = [
        told!(broker.topic_detailed(&unknown).await),
        told!(broker.poll(peek(&unknown, Start::Earliest)).await),
        told!(broker.poll(peek(&name, Start::Cursor(foreign))).await),
        told!(broker.last(&unknown).await),
        told!(broker.group("g").await),
        told!(broker.group_poll(group_poll("g", &name, "one")).await),
    ];
    let each = begun.elapsed() / 6;
    assert!(each < Duration::from_millis(1500), "{each:?}");
    for (code, why) in refusals {
        assert_eq!(code, "cluster_unavailable", "{why}");
        assert!(why.contains("no majority"), "{why}");
    }
    // What is known is served at once.
    let begun = Instant::now();
    let read = broker.poll(peek(&name, Start::Earliest)).await.unwrap();
    assert_eq!(texts(&read.records), ["a"]);
    assert!(begun.elapsed() < Duration::from_secs(1));
}
