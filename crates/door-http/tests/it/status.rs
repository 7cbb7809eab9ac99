use reqwest::Method;
use serde_json::{Value, json};

use crate::node::node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_says_how_it_is() {
    let node = node().await;
    node.publish("t", "m").await;
    let (_, status) = node.get("/status").await;
    assert_eq!(
        (&status["node"], &status["health"]),
        (&json!("hark"), &json!("ok"))
    );
    assert_eq!(
        (&status["topics"], &status["partitions"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(status["counters"]["records_published"], 1);
    assert!(status["connections"].as_u64().unwrap() >= 1, "{status}");
    assert_eq!(node.get("/readyz").await, (200, json!({"status": "ok"})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_requests_by_route_and_not_by_path() {
    let node = node().await;
    node.publish("t", "m").await;
    node.get("/topics/secret-name/last").await;
    node.get("/no/such/place").await;
    let response = node.request(Method::GET, "/metrics").send().await.unwrap();
    let page = response.text().await.unwrap();
    for line in [
        "hark_records_published_total 1",
        "hark_http_requests_total{route=\"/publish\",status=\"200\"} 1",
        "hark_http_requests_total{route=\"/topics/{topic}/last\",status=\"404\"} 1",
        "hark_http_requests_total{route=\"unmatched\",status=\"404\"} 1",
        "hark_store_ok 1",
        "hark_cluster_nodes{liveness=\"alive\"} 1",
        "hark_cluster_nodes{liveness=\"down\"} 0",
        "hark_cluster_controller 1",
        "hark_cluster_has_controller 1",
        "hark_cluster_term 0",
        "hark_calls_sent_total 0",
        "hark_partitions_led 1",
        "hark_http_body_bytes 0",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line} is not in\n{page}"
        );
    }
    assert!(!page.contains("secret-name"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_front_page_and_the_description() {
    let node = node().await;
    let (_, page) = node.get("/").await;
    let Value::String(page) = page else {
        panic!("the page is JSON")
    };
    assert!(page.contains("POST   /publish\n"), "{page}");
    assert_eq!(node.get("/openapi.json").await.1["openapi"], "3.1.0");
}
