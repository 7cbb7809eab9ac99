//! Names that the node is not called by, and bodies for which there is no room.

use std::time::Duration;

use door_http::ServerOptions;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::node::{Node, PATIENCE, node, node_with, until};

async fn status_as(node: &Node, host: &str) -> String {
    let request = format!("GET /status HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    node.raw(request.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_name_is_refused_by_a_node_of_this_machine() {
    let node = node().await;
    let answer = status_as(&node, "evil.example").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("\"forbidden_host\""), "{answer}");
    for host in ["localhost", "127.0.0.1:7070", "[::1]"] {
        let answer = status_as(&node, host).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    let named = node_with(ServerOptions {
        hosts: vec!["hark.example".to_owned()],
        ..ServerOptions::default()
    })
    .await;
    let answer = status_as(&named, "hark.example:80").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A body of which the announced length takes all the room, and which does not come.
async fn occupy(node: &Node, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let head = format!(
        "POST /topics/t/records HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let started = std::time::Instant::now();
    loop {
        let page = node.request(Method::GET, "/metrics").send().await.unwrap();
        let page = page.text().await.unwrap();
        if page.contains(&format!("hark_http_body_bytes {bytes}\n")) {
            return stream;
        }
        assert!(started.elapsed() < PATIENCE, "{page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_room_waits_and_is_refused_in_the_end() {
    let node = node_with(ServerOptions {
        bytes_in_flight_max: 1000,
        room_timeout: Duration::from_millis(100),
        ..ServerOptions::default()
    })
    .await;
    let mut slow = occupy(&node, 1000).await;
    let message = json!({"topic": "t", "message": "m"});
    let request = node.request(Method::POST, "/publish").json(&message);
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(refused.text().await.unwrap().contains("\"busy\""));
    let lines = node
        .request(Method::POST, "/topics/t/records")
        .header("content-type", "application/x-ndjson")
        .body("{\"message\":\"m\"}\n");
    let (status, refused) = crate::node::answer(lines).await;
    assert_eq!((status, &refused["error"]["code"]), (503, &json!("busy")));
    // What needs no room is answered.
    assert_eq!(node.get("/status").await.0, 200);

    slow.write_all(&[b'x'; 1000]).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    node.publish("t", "m").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_stream_of_lines_needs_little_room() {
    let node = node_with(ServerOptions {
        bytes_in_flight_max: 3 << 20,
        ..ServerOptions::default()
    })
    .await;
    let line = format!("{{\"message\":\"{}\"}}\n", "x".repeat(1000));
    let lines = node
        .request(Method::POST, "/topics/t/records")
        .header("content-type", "application/x-ndjson")
        .body(line.repeat(12_000));
    let (status, receipt) = crate::node::answer(lines).await;
    assert_eq!((status, &receipt["count"]), (200, &json!(12_000)));
    until(&node, |counters| counters.records_published == 12_000).await;
    let page = node.request(Method::GET, "/metrics").send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("hark_http_body_bytes 0\n"), "{page}");
}
