use reqwest::Method;
use serde_json::json;

use crate::node::{answer, messages, node};
use crate::store::Mood;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_is_answered_with_a_receipt_and_can_be_read() {
    let node = node().await;
    let body = json!({"topic": "t", "message": "hello", "key": "k", "timestamp": 5,
        "headers": {"a": "1", "b": ["x", null, {"base64": "/w=="}]}});
    let receipt = node.ok(Method::POST, "/publish", body).await;
    let expected = json!({"topic": "t", "partition": 0, "offset": 0, "timestamp": 5,
        "mode": "leader", "epoch": 0, "copies": 1});
    assert_eq!(receipt, expected);
    let (_, polled) = node.get("/poll?topic=t&from=earliest").await;
    let record = json!({"partition": 0, "offset": 0, "timestamp": 5, "key": "k",
        "message": "hello", "headers": {"a": "1", "b": ["x", null, {"base64": "/w=="}]}});
    assert_eq!(polled["records"], json!([record]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_travel_as_base64_and_say_so() {
    let node = node().await;
    let body = json!({"topic": "t", "message": "AP8=", "message_encoding": "base64",
        "key": "aw==", "key_encoding": "base64"});
    node.ok(Method::POST, "/publish", body).await;
    let raw = node
        .request(Method::POST, "/topics/t/records?key=%6b")
        .body(&b"\xfe\0"[..]);
    assert_eq!(answer(raw).await.1["offset"], 1);
    node.ok(
        Method::POST,
        "/publish",
        json!({"topic": "t", "message": null, "key": "k"}),
    )
    .await;

    let (_, polled) = node.get("/poll?topic=t&from=0").await;
    let fields = |n: usize| {
        let record = &polled["records"][n];
        [
            &record["key"],
            &record["message"],
            &record["message_encoding"],
        ]
        .map(Clone::clone)
    };
    assert_eq!(fields(0), [json!("k"), json!("AP8="), json!("base64")]);
    assert_eq!(fields(1), [json!("k"), json!("/gA="), json!("base64")]);
    assert_eq!(fields(2), [json!("k"), json!(null), json!(null)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_body_is_one_message_whatever_its_type() {
    let node = node().await;
    node.ok(
        Method::POST,
        "/admin/topics?name=t&partitions=3",
        json!(null),
    )
    .await;
    for (media, body) in [
        ("text/plain", "a\nb"),
        ("application/json", "{\"a\":1}"),
        ("x/y", ""),
    ] {
        let request = node.request(Method::POST, "/topics/t/records?partition=2");
        let (status, receipt) = answer(request.header("content-type", media).body(body)).await;
        assert_eq!(
            (status, &receipt["partition"]),
            (200, &json!(2)),
            "{receipt}"
        );
    }
    let (_, polled) = node.get("/poll?topic=t&partition=2&from=earliest").await;
    assert_eq!(messages(&polled), ["a\nb", "{\"a\":1}", ""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_message_of_a_topic() {
    let node = node().await;
    node.ok(Method::POST, "/admin/topics", json!({"name": "t"}))
        .await;
    assert_eq!(
        node.get("/topics/t/last").await.1,
        json!({"topic": "t", "record": null})
    );
    node.publish("t", "one").await;
    node.publish("t", "two").await;
    assert_eq!(
        node.get("/topics/t/last").await.1["record"]["message"],
        "two"
    );
    assert_eq!(
        node.get("/topics/none/last").await.1["error"]["code"],
        "unknown_topic"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_passes() {
    let node = node().await;
    node.publish("t", "before").await;
    node.store.set(Mood::Full);
    let request = node
        .request(Method::POST, "/publish")
        .json(&json!({"topic": "t", "message": "m"}));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(response.text().await.unwrap().contains("disk_full"));
    assert_eq!(
        node.get("/readyz").await,
        (200, json!({"status": "disk_full"}))
    );
    assert_eq!(
        messages(&node.get("/poll?topic=t&from=earliest").await.1),
        ["before"]
    );
    node.store.set(Mood::Well);
    assert_eq!(node.publish("t", "after").await["offset"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_store_is_told_and_the_node_is_not_ready() {
    let node = node().await;
    node.publish("t", "before").await;
    node.store.set(Mood::Failed);
    let (status, body) = node
        .post("/publish", json!({"topic": "t", "message": "m"}))
        .await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (500, &json!("store_stopped"))
    );
    let (status, body) = node.get("/readyz").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (503, &json!("store_stopped"))
    );
    assert_eq!(node.get("/healthz").await, (200, json!({"status": "ok"})));
    assert_eq!(node.get("/status").await.1["health"], "stopped");
    assert_eq!(
        messages(&node.get("/poll?topic=t&from=earliest").await.1),
        ["before"]
    );
}
