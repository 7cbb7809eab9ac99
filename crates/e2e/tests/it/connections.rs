//! More connections than a node likes: it goes on serving those who behave.

use std::time::Duration;

use e2e::Node;
use test_support::allow_open_files;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::until;

const DEADLINE: Duration = Duration::from_secs(60);
const SLOW_CLIENTS: u64 = 10_000;

/// Ten thousand clients begin a request and never end it. Others are served meanwhile, and the
/// node lets go of all ten thousand once their time for a request's head is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_slow_clients() {
    allow_open_files(SLOW_CLIENTS + 1_000);
    let node = Node::start(&[]).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        let mut stream = TcpStream::connect(node.address()).await.unwrap();
        stream
            .write_all(b"GET /status HTTP/1.1\r\nhost:")
            .await
            .unwrap();
        slow.push(stream);
    }
    assert!(publishes(&node).await, "{}", node.said());
    for mut stream in slow {
        let mut answer = Vec::new();
        // An answer (408) or a cut: what matters is that it ends.
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the node still waits for a request's head");
    }
    assert!(publishes(&node).await, "{}", node.said());
}

/// A node that runs out of file descriptors turns clients away, and serves again when there are
/// some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_file_descriptors() {
    let mut node = Node::start_short_of_files(96).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(TcpStream::connect(node.address()).await.unwrap());
    }
    until("the node says that it is short", DEADLINE, async || {
        node.said().contains("no file descriptor left")
    })
    .await;
    assert!(node.is_running());
    drop(held);
    until("the node serves again", DEADLINE, async || {
        publishes(&node).await
    })
    .await;
    assert!(node.is_running());
}

async fn publishes(node: &Node) -> bool {
    let record = serde_json::json!({"topic": "still-here", "message": "yes"});
    let client = reqwest::Client::new();
    let sent = client
        .post(format!("{}/publish", node.url()))
        .json(&record)
        .send()
        .await;
    sent.is_ok_and(|answer| answer.status().is_success())
}
