//! The server around the routes: time limits, many connections, closing.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use door_http::ServerOptions;
use reqwest::Method;
use serde_json::json;
use test_support::allow_open_files;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::node::{Node, PATIENCE, answer, messages, node, node_with, waiting_polls};

/// How long a connection lives that sends `piece` again and again.
async fn lifetime(node: &Node, first: &[u8], piece: &[u8]) -> Duration {
    // Before the connection: the node may count from a moment at which the client has yet to wake up.
    let started = Instant::now();
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(first).await.unwrap();
    let mut buf = [0; 1024];
    loop {
        assert!(started.elapsed() < PATIENCE, "the connection lives on");
        match tokio::time::timeout(Duration::from_millis(20), stream.read(&mut buf)).await {
            Ok(Ok(0) | Err(_)) => return started.elapsed(),
            Ok(Ok(_)) => {}
            Err(_) if piece.is_empty() => {}
            Err(_) => {
                let _ = stream.write_all(piece).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_are_cut_off_and_idle_connections_end() {
    let limit = Duration::from_millis(200);
    let options = ServerOptions {
        header_timeout: limit,
        idle_timeout: 2 * limit,
        ..ServerOptions::default()
    };
    let node = node_with(options).await;
    let silent = lifetime(&node, b"", b"").await;
    let slow = lifetime(
        &node,
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n",
        b"x: y\r\n",
    )
    .await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let idle = lifetime(&node, request, b"").await;
    let second_head = lifetime(&node, &[request, &b"GET "[..]].concat(), b"a").await;
    for (name, lived, least) in [
        ("silent", silent, limit),
        ("slow", slow, limit),
        ("idle", idle, 2 * limit),
        ("second", second_head, limit),
    ] {
        assert!(
            lived >= least && lived < least + Duration::from_secs(5),
            "{name}: {lived:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_is_not_idling() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(50),
        write_timeout: Duration::from_millis(50),
        ..ServerOptions::default()
    };
    let node = node_with(options).await;
    node.publish("t", "m").await;
    let (status, polled) = node.get("/poll?topic=t&timeout_ms=500").await;
    assert_eq!((status, messages(&polled).len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_waiting_polls_all_get_the_record() {
    const POLLS: usize = 500;
    // Both ends of each connection are here, and other tests run beside this one.
    allow_open_files(4 * POLLS as u64);
    let node = node().await;
    node.publish("t", "old").await;
    let polls: Vec<_> = (0..POLLS)
        .map(|_| {
            tokio::spawn(answer(
                node.request(Method::GET, "/poll?topic=t&timeout_ms=15000"),
            ))
        })
        .collect();
    waiting_polls(&node, POLLS as u64).await;
    node.publish("t", "news").await;
    for poll in polls {
        let (status, polled) = poll.await.unwrap();
        assert_eq!((status, messages(&polled)), (200, vec!["news"]));
    }
    assert_eq!(node.broker.counters().polls_waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_too_many_is_told_so() {
    let node = node_with(ServerOptions {
        connections_max: 2,
        ..ServerOptions::default()
    })
    .await;
    let first = TcpStream::connect(node.address).await.unwrap();
    let second = TcpStream::connect(node.address).await.unwrap();
    let answer = node.raw(b"").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], "too_many_connections");
    drop((first, second));
    let started = Instant::now();
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    while !node.raw(request).await.starts_with("HTTP/1.1 200") {
        assert!(started.elapsed() < PATIENCE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_what_waits_and_finishes_what_runs() {
    let mut node = node().await;
    node.publish("t", "m").await;
    let poll = tokio::spawn(answer(node.request(Method::GET, "/poll?topic=t")));
    let stream = node
        .request(Method::GET, "/topics/t/stream")
        .send()
        .await
        .unwrap();
    let _idle = TcpStream::connect(node.address).await.unwrap();
    waiting_polls(&node, 2).await;
    let started = Instant::now();
    node.stop().await;
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "it waited for the time limit"
    );
    let (status, refused) = poll.await.unwrap();
    assert_eq!(
        (status, &refused["error"]["code"]),
        (503, &json!("shutting_down"))
    );
    let text = stream.text().await.unwrap();
    assert!(text.starts_with("retry: 1000\nid: "), "{text}");
    assert!(
        TcpStream::connect(node.address).await.is_err(),
        "it still listens"
    );
}

const CHILD: &str = "HARK_TEST_DESCRIPTORS_CHILD";

/// The test's own binary is the node, in a process of its own with few descriptors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shortage_of_descriptors_is_survived() {
    if std::env::var_os(CHILD).is_some() {
        return serve_until_stdin_ends().await;
    }
    let this = std::env::current_exe().unwrap();
    let name = "server::a_shortage_of_descriptors_is_survived";
    let mut child = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 80 && exec \"$0\" --exact --nocapture \"$1\"",
        ])
        .arg(this)
        .arg(name)
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        line.split_once("listening ")
            .map(|(_, address)| address.to_owned())
    });
    let address = address.expect("the child does not listen");

    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let held: Vec<_> = (0..200)
        .map(|_| std::net::TcpStream::connect(&address).unwrap())
        .collect();
    let started = Instant::now();
    let mut turned_away = false;
    while !turned_away && started.elapsed() < PATIENCE {
        turned_away = held.iter().any(|mut stream| {
            stream.set_nonblocking(true).unwrap();
            let mut bytes = [0; 512];
            let read = stream.read(&mut bytes).unwrap_or(0);
            String::from_utf8_lossy(&bytes[..read]).contains("too_many_connections")
        });
        tokio::task::yield_now().await;
    }
    assert!(turned_away, "nobody was told");
    drop(held);

    let started = Instant::now();
    loop {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        stream.write_all(request).unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        if text.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it does not recover: {text}");
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

async fn serve_until_stdin_ends() {
    let node = node().await;
    // Not by `println`, which the test harness may capture.
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening {}", node.address).unwrap();
    let until = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    until.await.unwrap().unwrap();
}
