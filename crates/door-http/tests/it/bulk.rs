use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Node, answer, cursor, messages, node, node_with, until};
use crate::store::Mood;

async fn send(node: &Node, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let request = node
        .request(Method::POST, path)
        .header("content-type", "application/x-ndjson");
    answer(request.body(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_published_in_order() {
    let node = node().await;
    let body = "{\"message\":\"a\",\"key\":\"k\"}\n\n{\"message\":\"b\",\"topic\":\"t\"}\r\n{\"message\":\"c\"}";
    let (status, receipt) = send(&node, "/topics/t/records", body).await;
    assert_eq!(status, 200, "{receipt}");
    let partitions = json!([{"partition": 0, "count": 3, "first_offset": 0, "last_offset": 2}]);
    assert_eq!(
        receipt,
        json!({"topic": "t", "count": 3, "partitions": partitions})
    );
    assert_eq!(
        messages(&node.get("/poll?topic=t&from=earliest").await.1),
        ["a", "b", "c"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_name_of_ndjson_means_many_messages() {
    let node = node().await;
    for media in [
        "application/ndjson",
        "application/jsonl; charset=utf-8",
        "Application/X-JsonLines",
    ] {
        let request = node
            .request(Method::POST, "/topics/t/records")
            .header("content-type", media)
            .body("{\"message\":\"a\"}\n{\"message\":\"b\"}\n");
        let (status, receipt) = answer(request).await;
        assert_eq!(
            (status, &receipt["count"]),
            (200, &json!(2)),
            "{media}: {receipt}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lines_are_no_fault() {
    let node = node().await;
    let (status, receipt) = send(&node, "/topics/t/records", "\n\n").await;
    assert_eq!(
        (status, receipt),
        (200, json!({"topic": "t", "count": 0, "partitions": []}))
    );
}

/// Many lines in pieces of odd sizes over many partitions: all arrive, in order per key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_many_lines_keeps_order_per_key() {
    const LINES: usize = 20_000;
    let node = node().await;
    node.ok(
        Method::POST,
        "/admin/topics?name=t&partitions=8",
        json!(null),
    )
    .await;
    let filler = "x".repeat(200);
    let text: String = (0..LINES)
        .map(|n| {
            format!(
                "{{\"key\":\"k{}\",\"message\":\"{n} {filler}\"}}\n",
                n % 100
            )
        })
        .collect();
    let pieces: Vec<Result<Bytes, std::io::Error>> = text
        .as_bytes()
        .chunks(77_777)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let (status, receipt) = send(&node, "/topics/t/records", body).await;
    assert_eq!(
        (status, &receipt["count"]),
        (200, &json!(LINES)),
        "{receipt}"
    );

    let mut last_of_key = std::collections::HashMap::new();
    let (mut seen, mut at) = (0, "from=earliest".to_owned());
    while seen < LINES {
        let (_, polled) = node
            .get(&format!("/poll?topic=t&max=10000&{at}&timeout_ms=2000"))
            .await;
        let records = polled["records"].as_array().unwrap();
        assert!(!records.is_empty(), "only {seen} came");
        for record in records {
            let number: usize = record["message"]
                .as_str()
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let before = last_of_key.insert(record["key"].to_string(), number);
            assert!(before.is_none_or(|before| before < number), "{record}");
        }
        seen += records.len();
        at = format!("cursor={}", cursor(&polled));
    }
    assert_eq!(seen, LINES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_is_named_and_those_before_it_are_on_disk() {
    let cases = [
        ("{\"message\":\"c\"", 400, "invalid_json"),
        ("[1]", 400, "invalid_request"),
        (
            "{\"message\":\"c\",\"topic\":\"u\"}",
            400,
            "invalid_request",
        ),
        (
            "{\"message\":\"c\",\"partition\":9}",
            404,
            "unknown_partition",
        ),
    ];
    for (bad, expected, code) in cases {
        let node = node().await;
        let body =
            format!("{{\"message\":\"a\"}}\n{{\"message\":\"b\"}}\n{bad}\n{{\"message\":\"d\"}}\n");
        let (status, answer) = send(&node, "/topics/t/records", body).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (expected, &json!(code)),
            "{bad}"
        );
        if code != "unknown_partition" {
            let error = &answer["error"];
            assert_eq!(
                (&error["line"], &error["acknowledged"]),
                (&json!(3), &json!(2)),
                "{bad}"
            );
            let (_, polled) = node.get("/poll?topic=t&from=earliest").await;
            assert_eq!(messages(&polled), ["a", "b"], "{bad}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_too_large_for_the_topic_is_named() {
    let node = node().await;
    let large = "x".repeat(2 << 20);
    let body =
        format!("{{\"message\":\"a\"}}\n{{\"message\":\"{large}\"}}\n{{\"message\":\"b\"}}\n");
    let (status, answer) = send(&node, "/topics/t/records", body).await;
    let error = &answer["error"];
    assert_eq!(
        (status, &error["code"], &error["line"]),
        (413, &json!("message_too_large"), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_without_end_is_refused() {
    let options = door_http::ServerOptions {
        body_bytes_max: 100_000,
        ..Default::default()
    };
    let node = node_with(options).await;
    let body = format!(
        "{{\"message\":\"a\"}}\n{{\"message\":\"{}",
        "x".repeat(300_000)
    );
    let (status, answer) = send(&node, "/topics/t/records", body).await;
    let error = &answer["error"];
    assert_eq!(
        (status, &error["code"]),
        (413, &json!("body_too_large")),
        "{answer}"
    );
    assert_eq!(
        (&error["line"], &error["acknowledged"]),
        (&json!(2), &json!(1))
    );
    // The whole may be larger than any line.
    let (status, answer) = send(
        &node,
        "/topics/t/records",
        "{\"message\":\"b\"}\n".repeat(20_000),
    )
    .await;
    assert_eq!((status, &answer["count"]), (200, &json!(20_000)));
}

/// Lines are on disk while the body still goes on; a full disk ends it with an honest count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_count_as_they_come() {
    let node = node().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let request = node.request(Method::POST, "/topics/t/records");
    let request = request
        .header("content-type", "application/x-ndjson")
        .body(body);
    let sent = tokio::spawn(answer(request));
    sender
        .send(Ok(Bytes::from("{\"message\":\"a\"}\n{\"mess")))
        .await
        .unwrap();
    until(&node, |counters| counters.records_published >= 1).await;
    node.store.set(Mood::Full);
    sender
        .send(Ok(Bytes::from("age\":\"b\"}\n{\"message\":\"c\"}\n")))
        .await
        .unwrap();
    drop(sender);
    let (status, answer) = sent.await.unwrap();
    let error = &answer["error"];
    assert_eq!(
        (status, &error["code"]),
        (503, &json!("disk_full")),
        "{answer}"
    );
    assert_eq!(error["acknowledged"], 1);
}
