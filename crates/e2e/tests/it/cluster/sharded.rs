//! A topic spread over three nodes, served whole by each of them.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{Cluster, Member, Seen, by_group, by_sse};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::{DEADLINE, hark_done, hark_on, leaders};
use crate::until;

const TOPIC: &str = "orders";
const MESSAGES: u64 = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_answers_for_every_partition() {
    let mut cluster = Cluster::form(3).await.unwrap();
    let servers = cluster.servers();
    let two = hark_on(&servers, &["topic", "create", TOPIC, "--rf", "2"]);
    let why = String::from_utf8_lossy(&two.stderr).into_owned();
    assert_eq!(two.status.code(), Some(5), "{why}");
    assert!(why.contains("replication factor 2"), "{why}");
    hark_done(&servers, &["topic", "create", TOPIC, "--partitions", "12"]);
    let leaders = leaders(cluster.node(1), TOPIC).await;
    assert_eq!(leaders.len(), 12);
    for id in 0..3 {
        let led = leaders.iter().filter(|leader| **leader == id).count();
        assert!((2..=6).contains(&led), "{leaders:?}");
    }

    for n in 0..MESSAGES {
        let member = cluster.node(usize::try_from(n % 3).unwrap());
        let message = json!({ "topic": TOPIC, "message": n.to_string(), "key": n.to_string() });
        let receipt = member.post("/publish", Some(message)).await.unwrap();
        assert_eq!(receipt["copies"], 1, "{receipt}");
    }
    for member in &cluster.members {
        assert_eq!(polled(member).await, all(), "by poll");
        assert_eq!(from_socket(member).await, all(), "by WebSocket");
        assert_eq!(from_events(member).await, all(), "by server-sent events");
        let topic = member.get(&format!("/admin/topics/{TOPIC}")).await.unwrap();
        let ends = topic["partitions"].as_array().unwrap().iter();
        let ends: u64 = ends
            .map(|partition| partition["end"].as_u64().unwrap())
            .sum();
        assert_eq!(ends, MESSAGES, "{topic}");
    }
    one_group_through_all(&mut cluster).await;
}

/// Members of one group that talk to different nodes share the work, and nobody's is done twice.
async fn one_group_through_all(cluster: &mut Cluster) {
    let (seen, names) = (Seen::default(), ["first", "second", "third"]);
    let members = cluster.members.iter().zip(names);
    let members: Vec<_> = members
        .map(|(member, name)| {
            let (url, seen) = (member.url(), seen.clone());
            tokio::spawn(by_group(url, TOPIC, "billing", name, seen))
        })
        .collect();
    until("the group has everything", DEADLINE, async || {
        let messages = seen.positions().into_values().map(|(_, message)| message);
        messages.collect::<BTreeSet<String>>() == all()
    })
    .await;
    for id in 0..3 {
        let member = cluster.node(id);
        until(
            "the group's progress is seen everywhere",
            DEADLINE,
            async || {
                let group = member.get("/admin/groups/billing").await;
                group.is_ok_and(|group| lag(&group) == Some(0))
            },
        )
        .await;
        let groups = member.get("/admin/groups").await.unwrap();
        assert!(groups.to_string().contains("billing"), "{groups}");
    }
    for member in members {
        assert!(!member.is_finished(), "{:?}", member.await);
        member.abort();
    }
}

/// What a group has not committed yet.
fn lag(group: &Value) -> Option<u64> {
    let commits = group["commits"].as_array()?.iter();
    commits.map(|commit| commit["lag"].as_u64()).sum()
}

fn all() -> BTreeSet<String> {
    (0..MESSAGES).map(|n| n.to_string()).collect()
}

async fn polled(member: &Member) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut position = "from=earliest".to_owned();
    while found.len() < all().len() {
        let target = format!("/poll?topic={TOPIC}&{position}&timeout_ms=1000");
        let answer = member.get(&target).await.unwrap();
        for record in answer["records"].as_array().unwrap() {
            let is_new = found.insert(record["message"].as_str().unwrap().to_owned());
            assert!(is_new, "twice: {record}");
        }
        position = format!("cursor={}", answer["cursor"].as_str().unwrap());
    }
    found
}

async fn from_socket(member: &Member) -> BTreeSet<String> {
    let stream = TcpStream::connect(member.address()).await.unwrap();
    let url = format!("ws://{}/topics/{TOPIC}/ws?from=earliest", member.address());
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    let mut found = BTreeSet::new();
    while found.len() < all().len() {
        let message = tokio::time::timeout(DEADLINE, socket.next()).await;
        let Message::Text(text) = message.unwrap().unwrap().unwrap() else {
            continue;
        };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if let Some(message) = frame["record"]["message"].as_str() {
            assert!(found.insert(message.to_owned()), "twice: {frame}");
        }
    }
    found
}

async fn from_events(member: &Member) -> BTreeSet<String> {
    let seen = Seen::default();
    let events = tokio::spawn(by_sse(member.url(), TOPIC, seen.clone()));
    until("all events", DEADLINE, async || seen.len() >= all().len()).await;
    events.abort();
    let positions: BTreeMap<_, _> = seen.positions();
    positions
        .into_values()
        .map(|(_, message)| message)
        .collect()
}
