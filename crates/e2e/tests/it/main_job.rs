//! The main job on real input: a text of over 50,000 lines goes through `hark pub` into 8
//! partitions while a group of two follows by long poll and one subscriber by server-sent events.
//! Again and again the node is killed while it takes lines, and started again while more come. In
//! the end every line is there exactly once, in order per key, for each of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use e2e::{Line, Node, Seen, by_group, by_sse, command, dependency_sources};
use serde_json::Value;

use crate::until;

const TOPIC: &str = "sources";
const PARTITIONS: &str = "8";
const DEADLINE: Duration = Duration::from_secs(120);
/// How often the node is killed.
const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_text_survives_a_kill() {
    main_job(&["--store", "log"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_text_survives_a_kill_in_sqlite() {
    main_job(&["--store", "sqlite"]).await;
}

async fn main_job(options: &[&str]) {
    let lines = dependency_sources(50_000).unwrap();
    let mut node = Node::start(options).await.unwrap();
    create_topic(&node);

    let (group, events) = (Seen::default(), Seen::default());
    let subscribers = [
        tokio::spawn(by_group(
            node.url(),
            TOPIC,
            "readers",
            "first",
            group.clone(),
        )),
        tokio::spawn(by_group(
            node.url(),
            TOPIC,
            "readers",
            "second",
            group.clone(),
        )),
        tokio::spawn(by_sse(node.url(), TOPIC, events.clone())),
    ];
    let (publisher, allow) = publish(&node.url(), TOPIC, lines.clone());
    for kill in 1..=KILLS {
        let before = published(&node).await;
        // What is left of the input shows that the publisher is not done, whatever its speed.
        allow.send(lines.len() * kill / (KILLS + 1)).unwrap();
        until("more is published", DEADLINE, async || {
            published(&node).await > before
        })
        .await;
        node.kill().unwrap();
        allow.send(lines.len() * kill / (KILLS + 1) + 1000).unwrap();
        node.restart().await.unwrap();
    }
    allow.send(lines.len()).unwrap();
    drop(allow);

    let ended = tokio::task::spawn_blocking(|| publisher.wait_with_output());
    let ended = ended.await.unwrap().unwrap();
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{complaints}");
    assert!(complaints.contains("trying again"), "no kill was noticed");

    assert_eq!(published(&node).await, lines.len() as u64);
    for (name, seen) in [("the group", &group), ("the events", &events)] {
        until(name, DEADLINE, async || seen.len() >= lines.len()).await;
    }
    for subscriber in subscribers {
        assert!(!subscriber.is_finished(), "{:?}", subscriber.await);
        subscriber.abort();
    }
    assert_eq!(per_key(&group), expected(&lines), "what the group has seen");
    assert_eq!(per_key(&events), expected(&lines), "what the events said");
}

fn create_topic(node: &Node) {
    let create = ["topic", "create", TOPIC, "--partitions", PARTITIONS];
    let made = command()
        .args(["--server", &node.url()])
        .args(create)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// `hark pub` with the text on its standard input, as far as the sender allows.
pub(crate) fn publish(servers: &str, topic: &str, lines: Vec<Line>) -> (Child, Sender<usize>) {
    let mut publisher = command()
        .args(["--server", servers, "pub", topic, "--key-separator", "\t"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = publisher.stdin.take().unwrap();
    let (allow, allowed) = channel();
    std::thread::spawn(move || write_as_allowed(input, &lines, &allowed));
    (publisher, allow)
}

fn write_as_allowed(mut input: impl Write, lines: &[Line], allowed: &Receiver<usize>) {
    let mut written = 0;
    while let Ok(end) = allowed.recv() {
        let allowed = lines.get(written..end).unwrap().iter();
        let text: String = allowed
            .map(|line| format!("{}\t{}\n", line.key, line.text))
            .collect();
        input.write_all(text.as_bytes()).unwrap();
        written = end;
    }
}

/// How many lines the topic holds.
async fn published(node: &Node) -> u64 {
    let url = format!("{}/admin/topics/{TOPIC}", node.url());
    let topic: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let partitions = topic.get("partitions").and_then(Value::as_array);
    let ends = partitions.into_iter().flatten().map(|p| p.get("end"));
    ends.map(|end| end.and_then(Value::as_u64).unwrap()).sum()
}

/// A checksum of every key's lines in order.
pub(crate) fn expected(lines: &[Line]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in lines {
        add(&mut sums, &line.key, &line.text);
    }
    sums
}

/// The same checksum of what was seen, in order of position: a line twice, missing or out of order
/// gives another one.
pub(crate) fn per_key(seen: &Seen) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (key, message) in seen.positions().into_values() {
        add(&mut sums, &key, &message);
    }
    sums
}

/// FNV-1a over the line and its end.
fn add(sums: &mut BTreeMap<String, u64>, key: &str, text: &str) {
    let sum = sums.entry(key.to_owned()).or_insert(0xcbf2_9ce4_8422_2325);
    for byte in text.bytes().chain([b'\n']) {
        *sum = (*sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}
