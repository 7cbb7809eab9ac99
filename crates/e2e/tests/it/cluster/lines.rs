//! The main job on three nodes: 20,000 lines go through `hark pub` into 12 partitions while one node
//! after the other is killed and comes back, and subscribers follow through different nodes. In the end
//! every line is there exactly once, in order per key, for each of them.

use e2e::{Cluster, Seen, by_group, by_sse, dependency_sources};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{DEADLINE, hark_done, leaders};
use crate::main_job::{expected, per_key, publish};
use crate::until;

const TOPIC: &str = "sources";
const LINES: usize = 20_000;
/// Who is killed: first one that the publisher does not talk to, then the one that it does.
const VICTIMS: [usize; 2] = [2, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_text_survives_the_death_of_nodes() {
    let mut lines = dependency_sources(LINES).unwrap();
    lines.truncate(LINES);
    let mut cluster = Cluster::form(3).await.unwrap();
    let servers = cluster.servers();
    hark_done(&servers, &["topic", "create", TOPIC, "--partitions", "12"]);
    let leaders = leaders(cluster.node(0), TOPIC).await;
    assert!(
        VICTIMS.iter().all(|victim| leaders.contains(victim)),
        "{leaders:?}"
    );

    let (group, events) = (Seen::default(), Seen::default());
    let subscribers = subscribe(&cluster, &group, &events);
    let (publisher, allow) = publish(&servers, TOPIC, lines.clone());
    for (turn, victim) in VICTIMS.into_iter().enumerate() {
        let part = LINES * (turn + 1) / (VICTIMS.len() + 1);
        let before = events.len();
        allow.send(part).unwrap();
        until("more is published", DEADLINE, async || {
            events.len() > before
        })
        .await;
        cluster.node(victim).kill().unwrap();
        allow.send(part + 1000).unwrap();
        cluster.node(victim).start().unwrap();
        cluster.node(victim).ready().await.unwrap();
        cluster.agreed(DEADLINE).await.unwrap();
    }
    allow.send(LINES).unwrap();
    drop(allow);

    let ended = tokio::task::spawn_blocking(|| publisher.wait_with_output());
    let ended = ended.await.unwrap().unwrap();
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{complaints}");
    assert!(complaints.contains("trying again"), "no death was noticed");
    for member in &cluster.members {
        let topic = member.get(&format!("/admin/topics/{TOPIC}")).await.unwrap();
        assert_eq!(published(&topic), LINES as u64, "{topic}");
    }
    for (name, seen) in [("the group", &group), ("the events", &events)] {
        until(name, DEADLINE, async || seen.len() >= LINES).await;
    }
    for subscriber in subscribers {
        assert!(!subscriber.is_finished(), "{:?}", subscriber.await);
        subscriber.abort();
    }
    assert_eq!(per_key(&group), expected(&lines), "what the group has seen");
    assert_eq!(per_key(&events), expected(&lines), "what the events said");
}

/// A group of two, and events: through different nodes.
fn subscribe(
    cluster: &Cluster,
    group: &Seen,
    events: &Seen,
) -> Vec<JoinHandle<anyhow::Result<()>>> {
    let urls: Vec<String> = cluster.members.iter().map(e2e::Member::url).collect();
    let first = by_group(urls[0].clone(), TOPIC, "readers", "first", group.clone());
    let second = by_group(urls[2].clone(), TOPIC, "readers", "second", group.clone());
    let third = by_sse(urls[1].clone(), TOPIC, events.clone());
    vec![
        tokio::spawn(first),
        tokio::spawn(second),
        tokio::spawn(third),
    ]
}

/// How many lines the topic holds.
fn published(topic: &Value) -> u64 {
    let partitions = topic["partitions"].as_array().unwrap().iter();
    partitions
        .map(|partition| partition["end"].as_u64().unwrap())
        .sum()
}
