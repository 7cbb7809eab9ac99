use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::node::{Node, PATIENCE, node, node_with, until};
use crate::store::Mood;

type Socket = WebSocketStream<TcpStream>;

async fn open(node: &Node, path: &str) -> Socket {
    let stream = TcpStream::connect(node.address).await.unwrap();
    client_async(format!("ws://{}{path}", node.address), stream)
        .await
        .unwrap()
        .0
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await;
        match message
            .expect("nothing comes")
            .expect("the socket ended")
            .unwrap()
        {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn send(socket: &mut Socket, frame: Value) {
    socket.send(Message::text(frame.to_string())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_come_and_go_on_from_a_cursor() {
    let node = node().await;
    for n in 0..3 {
        node.publish("t", &n.to_string()).await;
    }
    let mut socket = open(&node, "/topics/t/ws?from=earliest").await;
    let first = next(&mut socket).await;
    assert_eq!(first["record"]["message"], "0");
    drop(socket);
    let cursor = first["cursor"].as_str().unwrap();
    let mut socket = open(&node, &format!("/topics/t/ws?cursor={cursor}")).await;
    assert_eq!(next(&mut socket).await["record"]["message"], "1");
    assert_eq!(next(&mut socket).await["record"]["message"], "2");
    node.publish("t", "live").await;
    assert_eq!(next(&mut socket).await["record"]["message"], "live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_and_refusals_come_in_order() {
    let node = node().await;
    node.publish("other", "m").await;
    node.ok(Method::POST, "/admin/topics", json!({"name": "t"}))
        .await;
    let mut socket = open(&node, "/topics/t/ws").await;
    send(&mut socket, json!({"message": "a", "key": "k"})).await;
    send(&mut socket, json!({"message": "b", "topic": "other"})).await;
    send(&mut socket, json!({"message": "c", "partition": 7})).await;
    socket.send(Message::text("{")).await.unwrap();
    send(&mut socket, json!({"message": "d"})).await;
    let (mut replies, mut records) = (Vec::new(), Vec::new());
    while replies.len() < 5 || records.len() < 2 {
        let frame = next(&mut socket).await;
        match frame.get("record") {
            Some(record) => records.push(record["message"].clone()),
            None => replies.push(frame),
        }
    }
    assert_eq!(records, ["a", "d"]);
    assert_eq!(replies[0]["receipt"]["offset"], 0);
    assert_eq!(replies[1]["error"]["code"], "invalid_request");
    assert_eq!(replies[2]["error"]["code"], "unknown_partition");
    assert_eq!(replies[3]["error"]["code"], "invalid_json");
    assert_eq!(replies[4]["receipt"]["offset"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_frame_is_refused_and_the_socket_goes_on() {
    let node = node().await;
    node.publish("t", "m").await;
    let mut socket = open(&node, "/topics/t/ws").await;
    socket.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(
        next(&mut socket).await["error"]["code"],
        "unsupported_media_type"
    );
    send(&mut socket, json!({"message": "a"})).await;
    let frames = [next(&mut socket).await, next(&mut socket).await];
    assert!(
        frames.iter().any(|frame| frame["receipt"]["offset"] == 1),
        "{frames:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_is_let_go() {
    let options = door_http::ServerOptions {
        heartbeat: Duration::from_millis(20),
        ..Default::default()
    };
    let node = node_with(options).await;
    node.publish("t", "m").await;
    // The handshake alone; pings are never answered.
    let request = format!(
        "GET /topics/t/ws HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        node.address
    );
    let answer = node.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
}

/// A client that does not wait for its receipts is made to, before it fills the node's memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_bytes_wait_for_the_disk() {
    const MESSAGES: usize = 60;
    let node = node().await;
    node.publish("t", "m").await;
    let (mut sink, mut stream) = open(&node, "/topics/t/ws").await.split();
    node.store.set(Mood::Held);
    let mut sender = tokio::spawn(async move {
        let message = json!({"message": "x".repeat(900_000)}).to_string();
        for _ in 0..MESSAGES {
            sink.send(Message::text(message.clone())).await.unwrap();
        }
        sink
    });
    let sent = tokio::time::timeout(Duration::from_millis(500), &mut sender).await;
    assert!(sent.is_err(), "the node took all of it");
    assert!(node.broker.counters().bytes_in_flight < 8 << 20);

    node.store.set(Mood::Well);
    let mut receipts = 0;
    while receipts < MESSAGES {
        let frame = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
        let text = frame.unwrap().unwrap().into_text().unwrap();
        receipts += usize::from(text.starts_with("{\"receipt\""));
    }
    drop(sender.await.unwrap());
}

/// Frames and bodies share one budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_without_room_waits_and_is_refused_in_the_end() {
    const FRAME: usize = 1000;
    let node = node_with(door_http::ServerOptions {
        bytes_in_flight_max: FRAME,
        room_timeout: Duration::from_millis(100),
        ..Default::default()
    })
    .await;
    node.publish("t", "m").await;
    let message = json!({"message": "x".repeat(FRAME)});
    let (mut first, mut second) = (
        open(&node, "/topics/t/ws").await,
        open(&node, "/topics/t/ws").await,
    );
    node.store.set(Mood::Held);
    send(&mut first, message.clone()).await;
    until(&node, |counters| counters.bytes_in_flight > 0).await;
    send(&mut second, message.clone()).await;
    assert_eq!(next(&mut second).await["error"]["code"], "busy");
    node.store.set(Mood::Well);
    assert_eq!(receipt(&mut first).await["offset"], 1);
    send(&mut second, message).await;
    assert_eq!(receipt(&mut second).await["offset"], 2);
}

/// The next receipt, whatever else comes.
async fn receipt(socket: &mut Socket) -> Value {
    loop {
        let mut frame = next(socket).await;
        assert_eq!(frame.get("error"), None, "{frame}");
        if let Some(receipt) = frame.get_mut("receipt") {
            return receipt.take();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_closes_is_answered() {
    let node = node().await;
    node.publish("t", "m").await;
    let mut socket = open(&node, "/topics/t/ws").await;
    socket.close(None).await.unwrap();
    let answer = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_closed_in_good_order() {
    let mut node = node().await;
    node.publish("t", "m").await;
    let mut socket = open(&node, "/topics/t/ws").await;
    let (closed, ()) = tokio::join!(
        async {
            loop {
                match tokio::time::timeout(PATIENCE, socket.next()).await.unwrap() {
                    Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        },
        node.stop()
    );
    assert_eq!(closed, 1001);
}
