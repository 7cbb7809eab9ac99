//! The cluster, seen and changed through one node that is all of it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_is_shown_in_the_status_and_alone() {
    let node = node().await;
    let (_, status) = node.get("/status").await;
    let (_, cluster) = node.get("/admin/nodes").await;
    for key in ["id", "cluster", "controller", "term", "revision"] {
        assert_eq!(status[key], cluster[key], "{key}");
    }
    assert_eq!(
        (&cluster["id"], &cluster["controller"]),
        (&json!(0), &json!(0))
    );
    let alone = &cluster["nodes"][0];
    let expected = json!({
        "id": 0, "corner": "000", "liveness": "alive", "since": alone["since"], "controller": true,
        "role": "voter", "state": "active", "fenced": false, "neighbours": [], "peer": "",
        "http": "", "slot": 0, "incarnation": alone["incarnation"],
    });
    assert_eq!(alone, &expected);
    assert_eq!(status["nodes"], cluster["nodes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_gets_nothing_new_until_it_is_active_again() {
    let node = node().await;
    let drained = node
        .ok(Method::POST, "/admin/nodes/0/drain", Value::Null)
        .await;
    assert_eq!(drained["nodes"][0]["state"], "draining");
    let (status, refused) = node.post("/admin/topics", json!({"name": "t"})).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (503, &json!("no_place"))
    );
    let active = node
        .ok(Method::POST, "/admin/nodes/0b0/activate", Value::Null)
        .await;
    assert_eq!(active["nodes"][0]["state"], "active");
    node.ok(Method::POST, "/admin/topics", json!({"name": "t"}))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_to_a_node_is_refused() {
    let node = node().await;
    let cases = [
        (Method::DELETE, "/admin/nodes/0", 409, "node_in_use"),
        (Method::POST, "/admin/nodes/7/replace", 404, "unknown_node"),
        (Method::POST, "/admin/nodes/7/drain", 404, "unknown_node"),
        (Method::POST, "/admin/nodes/7/activate", 404, "unknown_node"),
        (
            Method::DELETE,
            "/admin/nodes/7?lose_partitions=true",
            404,
            "unknown_node",
        ),
        (
            Method::DELETE,
            "/admin/nodes/7?lose_partitions=perhaps",
            400,
            "invalid_query",
        ),
        (
            Method::DELETE,
            "/admin/nodes/7?yes=true",
            400,
            "invalid_query",
        ),
        (
            Method::POST,
            "/admin/nodes/7/drain?lose_partitions=true",
            400,
            "invalid_query",
        ),
        (Method::DELETE, "/admin/nodes/000", 400, "invalid_node_id"),
        (Method::DELETE, "/admin/nodes/65536", 400, "invalid_node_id"),
        (Method::DELETE, "/admin/nodes/all", 400, "invalid_node_id"),
    ];
    for (method, path, expected, code) in cases {
        let request = node.request(method.clone(), path);
        let (status, answer) = crate::node::answer(request).await;
        let found = (status, answer["error"]["code"].as_str().unwrap_or_default());
        assert_eq!(found, (expected, code), "{method} {path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_says_who_leads_it() {
    let node = node().await;
    node.publish("t", "m").await;
    let (_, topic) = node.get("/admin/topics/t").await;
    let partition = &topic["partitions"][0];
    assert_eq!(
        (
            &partition["leader"],
            &partition["replicas"],
            &partition["isr"]
        ),
        (&json!(0), &json!([0]), &json!([0]))
    );
    let (_, replicas) = node.get("/replicas/t").await;
    let replica = &replicas["partitions"][0];
    for key in ["leader", "replicas", "isr", "epoch", "start"] {
        assert_eq!(replica[key], partition[key], "{key}");
    }
    assert_eq!(replica["high_watermark"], 1);
    let (_, status) = node.get("/status").await;
    assert_eq!(status["partitions_led"], 1);
}
