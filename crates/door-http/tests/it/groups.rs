use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Node, cursor, messages, node};

async fn poll(node: &Node, consumer: &str, more: &str) -> Value {
    let path = format!("/poll?topic=t&group=g&consumer={consumer}&timeout_ms=200{more}");
    node.ok(Method::GET, &path, json!(null)).await
}

async fn topic(node: &Node, messages: usize) {
    node.ok(
        Method::POST,
        "/admin/topics",
        json!({"name": "t", "partitions": 2}),
    )
    .await;
    for n in 0..messages {
        let body = json!({"topic": "t", "message": n.to_string(), "partition": n % 2});
        node.ok(Method::POST, "/publish", body).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_consumers_share_a_topic() {
    let node = node().await;
    topic(&node, 10).await;
    let first = node
        .ok(
            Method::POST,
            "/subscribe",
            json!({"group": "g", "consumer": "a", "topic": "t"}),
        )
        .await;
    assert_eq!(first["assignment"], json!({"t": [0, 1]}));
    let b = node.post(
        "/subscribe",
        json!({"group": "g", "consumer": "b", "topics": ["t"]}),
    );
    // The first must come back for the second to be let in.
    let keep_polling = async {
        loop {
            poll(&node, "a", "").await;
        }
    };
    let (status, second) = tokio::select! {
        joined = b => joined,
        () = keep_polling => unreachable!("it polls for ever"),
    };
    assert_eq!(status, 200, "{second}");

    let mut seen = Vec::new();
    let mut cursors: [Option<String>; 2] = [None, None];
    let started = std::time::Instant::now();
    while seen.len() < 10 {
        assert!(started.elapsed() < crate::node::PATIENCE, "{seen:?}");
        for (name, at) in ["a", "b"].iter().zip(&mut cursors) {
            let more = at
                .as_ref()
                .map(|at| format!("&cursor={at}"))
                .unwrap_or_default();
            let (status, answer) = node
                .get(&format!(
                    "/poll?topic=t&group=g&consumer={name}&timeout_ms=50{more}"
                ))
                .await;
            if status == 409 {
                *at = None;
                continue;
            }
            seen.extend(messages(&answer).into_iter().map(String::from));
            *at = Some(cursor(&answer).to_owned());
        }
    }
    seen.sort_by_key(|n| n.parse::<u32>().unwrap());
    assert_eq!(seen, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    let (_, group) = node.get("/admin/groups/g").await;
    assert_eq!(group["members"].as_array().unwrap().len(), 2, "{group}");
    let held: usize = group["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["assignment"]["t"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(held, 2, "{group}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_committed_comes_again() {
    let node = node().await;
    topic(&node, 4).await;
    let first = poll(&node, "a", "").await;
    assert_eq!(messages(&first).len(), 4);
    assert_eq!(messages(&poll(&node, "a", "").await).len(), 4);
    let commit = json!({"group": "g", "consumer": "a", "cursor": cursor(&first)});
    let answer = node.ok(Method::POST, "/commit", commit).await;
    assert_eq!(answer, json!({"group": "g", "consumer": "a"}));
    assert_eq!(messages(&poll(&node, "a", "").await).len(), 0);
    let (_, group) = node.get("/admin/groups/g").await;
    let offsets: Vec<_> = group["commits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|commit| {
            (
                commit["partition"].clone(),
                commit["offset"].clone(),
                commit["lag"].clone(),
            )
        })
        .collect();
    assert_eq!(
        offsets,
        [
            (json!(0), json!(2), json!(0)),
            (json!(1), json!(2), json!(0))
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_commit_delivers_at_most_once() {
    let node = node().await;
    topic(&node, 4).await;
    assert_eq!(
        messages(&poll(&node, "a", "&auto_commit=true").await).len(),
        4
    );
    assert_eq!(
        messages(&poll(&node, "a", "&auto_commit=true").await).len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_looked_after() {
    let node = node().await;
    topic(&node, 4).await;
    let polled = poll(&node, "a", "").await;
    let (_, all) = node.get("/admin/groups").await;
    assert_eq!(all["groups"][0]["name"], "g");
    let reset = json!({"topic": "t", "from": "latest"});
    let (status, busy) = node.post("/admin/groups/g/reset", reset.clone()).await;
    assert_eq!(
        (status, &busy["error"]["code"]),
        (409, &json!("group_not_empty"))
    );
    node.ok(
        Method::POST,
        "/unsubscribe",
        json!({"group": "g", "consumer": "a"}),
    )
    .await;
    let group = node.ok(Method::POST, "/admin/groups/g/reset", reset).await;
    assert_eq!(group["commits"][0]["lag"], 0, "{group}");
    assert_eq!(messages(&poll(&node, "a", "").await).len(), 0);
    node.ok(
        Method::POST,
        "/unsubscribe",
        json!({"group": "g", "consumer": "a"}),
    )
    .await;
    // An empty group takes commits from outside.
    let commit = json!({"group": "g", "cursor": cursor(&polled)});
    node.ok(Method::POST, "/commit", commit).await;
    assert_eq!(
        node.ok(Method::DELETE, "/admin/groups/g", json!(null))
            .await,
        json!({"deleted": "g"})
    );
    assert_eq!(
        node.get("/admin/groups/g").await.1["error"]["code"],
        "unknown_group"
    );
}
