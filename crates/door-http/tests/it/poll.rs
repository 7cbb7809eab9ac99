use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::node::{cursor, messages, node, waiting_polls};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_goes_on_where_an_answer_ended() {
    let node = node().await;
    for n in 0..5 {
        node.publish("t", &n.to_string()).await;
    }
    let (_, first) = node.get("/poll?topic=t&from=earliest&max=2").await;
    assert_eq!(messages(&first), ["0", "1"]);
    let (_, second) = node
        .get(&format!("/poll?topic=t&cursor={}", cursor(&first)))
        .await;
    assert_eq!(messages(&second), ["2", "3", "4"]);
    let path = format!("/poll?topic=t&cursor={}&timeout_ms=0", cursor(&second));
    let (status, third) = node.get(&path).await;
    assert_eq!((status, messages(&third).len()), (200, 0));
    assert_eq!(
        messages(&node.get("/poll?topic=t&from=3").await.1),
        ["3", "4"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_wakes_with_the_first_record() {
    let node = node().await;
    node.ok(
        Method::POST,
        "/admin/topics",
        json!({"name": "t", "partitions": 4}),
    )
    .await;
    let poll = node
        .request(Method::GET, "/poll?topic=t&timeout_ms=15000")
        .send();
    let poll = tokio::spawn(poll);
    waiting_polls(&node, 1).await;
    let started = Instant::now();
    node.publish("t", "now").await;
    let answer: serde_json::Value = poll.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(messages(&answer), ["now"]);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_ends_empty_when_its_time_is_over() {
    let node = node().await;
    node.publish("t", "old").await;
    let started = Instant::now();
    let (status, answer) = node.get("/poll?topic=t&timeout_ms=100").await;
    assert_eq!((status, messages(&answer).len()), (200, 0));
    assert!(started.elapsed() >= Duration::from_millis(100));
    node.publish("t", "new").await;
    let (_, answer) = node
        .get(&format!("/poll?topic=t&cursor={}", cursor(&answer)))
        .await;
    assert_eq!(messages(&answer), ["new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_begins_at_a_time() {
    let node = node().await;
    for (message, timestamp) in [
        ("a", 1_000),
        ("b", 1_704_067_200_000_u64),
        ("c", 1_704_067_201_000),
    ] {
        let body = json!({"topic": "t", "message": message, "timestamp": timestamp});
        node.ok(Method::POST, "/publish", body).await;
    }
    for from in [
        "@1704067200000",
        "2024-01-01T00:00:00Z",
        "2024-01-01T01:00:00%2B01:00",
    ] {
        let (_, answer) = node.get(&format!("/poll?topic=t&from={from}")).await;
        assert_eq!(messages(&answer), ["b", "c"], "{from}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_records_are_told_as_a_gap_once() {
    let node = node().await;
    for n in 0..4 {
        node.publish("t", &n.to_string()).await;
    }
    let (_, first) = node.get("/poll?topic=t&from=earliest&max=1").await;
    let body = json!({"partition": 0, "before": 3});
    let left = node
        .ok(Method::POST, "/admin/topics/t/delete-records", body)
        .await;
    assert_eq!((&left["start"], &left["end"]), (&json!(3), &json!(4)));
    let (_, second) = node
        .get(&format!("/poll?topic=t&cursor={}", cursor(&first)))
        .await;
    assert_eq!(
        second["gaps"],
        json!([{"partition": 0, "from": 1, "to": 3, "reason": "deleted"}])
    );
    let (_, third) = match messages(&second).as_slice() {
        ["3"] => return,
        _ => {
            node.get(&format!("/poll?topic=t&cursor={}", cursor(&second)))
                .await
        }
    };
    assert_eq!((messages(&third), third.get("gaps")), (vec!["3"], None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_whose_client_is_gone_stops_waiting() {
    let node = node().await;
    node.publish("t", "m").await;
    let poll = tokio::spawn(node.request(Method::GET, "/poll?topic=t").send());
    waiting_polls(&node, 1).await;
    poll.abort();
    let started = Instant::now();
    while node.broker.counters().polls_waiting > 0 {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
