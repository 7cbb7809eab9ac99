use reqwest::Method;
use serde_json::{Value, json};

use crate::node::node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_made_changed_and_deleted() {
    let node = node().await;
    let request = json!({"name": "orders", "partitions": 3, "rf": 1, "mode": "leader",
        "config": {"retention_ms": 60_000, "segment_bytes": 1 << 20}});
    let response = node
        .request(Method::POST, "/admin/topics")
        .json(&request)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    let made: Value = response.json().await.unwrap();
    assert_eq!(made["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(
        made["config"],
        json!({"retention_ms": 60_000, "segment_bytes": 1 << 20})
    );
    let (status, again) = node.post("/admin/topics", request).await;
    assert_eq!(
        (status, &again["error"]["code"]),
        (409, &json!("topic_exists"))
    );

    let change = json!({"retention_ms": null, "retention_bytes": 1_000_000});
    let changed = node.ok(Method::PATCH, "/admin/topics/orders", change).await;
    assert_eq!(
        changed["config"],
        json!({"retention_bytes": 1_000_000, "segment_bytes": 1 << 20})
    );
    assert_eq!(
        node.get("/admin/topics/orders").await.1["config"],
        changed["config"]
    );

    let (_, listed) = node.get("/admin/topics").await;
    assert_eq!(listed["topics"][0]["name"], "orders");
    assert_eq!(listed["topics"][0]["partitions"], 3);
    assert_eq!(node.get("/topics").await.1, listed);

    let (_, replicas) = node.get("/replicas/orders").await;
    assert_eq!(replicas["partitions"][2]["leader"], 0);
    assert_eq!(replicas["partitions"].as_array().unwrap().len(), 3);

    let gone = node
        .ok(Method::DELETE, "/admin/topics/orders", Value::Null)
        .await;
    assert_eq!(gone, json!({"deleted": "orders"}));
    assert_eq!(node.get("/admin/topics/orders").await.0, 404);
    assert_eq!(node.get("/topics").await.1, json!({"topics": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_made_by_query() {
    let node = node().await;
    let made = node
        .ok(
            Method::POST,
            "/admin/topics?name=a&partitions=2&rf=1",
            Value::Null,
        )
        .await;
    assert_eq!(
        (&made["name"], made["partitions"].as_array().unwrap().len()),
        (&json!("a"), 2)
    );
    let more = "/admin/topics?name=b&replication_factor=1&mode=leader";
    node.ok(Method::POST, more, Value::Null).await;
}
