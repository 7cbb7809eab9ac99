//! What a node bears: bad bytes, too many of them, too much at once.

use std::time::Duration;

use bytes::Bytes;
use model::limits::{PEER_FRAME_BYTES_MAX, PEER_HANDSHAKE_BYTES_MAX};
use peer::protocol::Frame;
use peer::{CallError, Delivery, PeerTimings, Security, Service};
use tokio::net::TcpStream;

use crate::node::{Node, PATIENCE, claim, eventually, timings};
use crate::raw;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_handshake_close_only_their_connection() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    one.ask(&two, "connect").await.unwrap();
    let mut huge = b"HARKPEER\x01\xFF\xFF".to_vec();
    huge.resize(2 * PEER_HANDSHAKE_BYTES_MAX, 0);
    let cases: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00",
        b"HARKPEER\x01\x00\x00",
        b"HARKPEER\x09\x00\x02\x01\x01",
        b"HARKPEER\x03\x00\x01\x01",
        b"HARKPEER\x01\x00\x04\x01\x01\x07\x00",
        &[0; 100],
        &huge,
    ];
    for bytes in cases {
        let mut stream = TcpStream::connect(&two.address).await.unwrap();
        // It may close before it has taken all of it.
        let _closed = tokio::io::AsyncWriteExt::write_all(&mut stream, bytes).await;
        raw::read_to_end(&mut stream).await;
        assert_eq!(one.ask(&two, "still there").await.unwrap(), "still there");
    }
    assert_eq!(two.desk.at_work(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_out_of_place_close_only_their_connection() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    one.ask(&two, "connect").await.unwrap();
    let too_long = u32::try_from(PEER_FRAME_BYTES_MAX - 4 + 1).unwrap();
    let header = |length: u32, kind: u8| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, kind, 4]);
        bytes
    };
    let waiting = Frame::Request {
        call: 1,
        service: Service::Broker as u8,
        body: "wait".into(),
    };
    let (twice, body) = waiting.into_parts();
    let twice = [&twice, body.as_ref(), &twice, body.as_ref()].concat();
    let cases = [
        ("too long", header(too_long, 1)),
        ("as long as can be said", header(u32::MAX, 1)),
        ("shorter than a header", header(9, 1)),
        ("empty", header(0, 1)),
        ("of no kind", header(10, 9)),
        ("an answer", header(10, 2)),
        ("a goodbye", header(10, 5)),
        ("a cancel with a body", [header(11, 4), vec![0]].concat()),
        ("a call twice", twice),
    ];
    for (what, bytes) in cases {
        let mut stream = raw::connect(&two.address, claim(3)).await;
        raw::write(&mut stream, &bytes).await;
        raw::read_to_end(&mut stream).await;
        assert_eq!(one.ask(&two, "ok").await.unwrap(), "ok", "{what}");
    }
    eventually("nothing is left", || two.desk.at_work() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_is_used_up_by_the_silent_is_free_again_when_they_are_cut_off() {
    let impatient = PeerTimings {
        silence: Duration::from_millis(500),
        ..timings()
    };
    let one = Node::plain(1).await;
    let two = Node::start_with(impatient, claim(2), Security::loopback()).await;
    one.ask(&two, "connect").await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..8 {
        let mut stream = raw::connect(&two.address, claim(3)).await;
        let longest = u32::try_from(PEER_FRAME_BYTES_MAX - 4).unwrap();
        let mut bytes = longest.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 1, 4, b'x']);
        raw::write(&mut stream, &bytes).await;
        silent.push(stream);
    }
    let large = Bytes::from(vec![7; 1 << 20]);
    let target = two.target();
    let control = one
        .peers
        .call(&target, Service::Control, large.clone(), PATIENCE);
    let data = one
        .peers
        .call(&target, Service::Broker, large.clone(), PATIENCE);
    let started = std::time::Instant::now();
    assert!(control.await.unwrap() == large, "the other lane is free");
    assert!(started.elapsed() < Duration::from_millis(500));
    assert_eq!(one.ask(&two, "small").await.unwrap(), "small");
    assert!(data.await.unwrap() == large, "the silent are cut off");
    for mut stream in silent {
        raw::read_to_end(&mut stream).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_are_not_known_or_on_the_wrong_lane_are_not_taken() {
    let two = Node::plain(2).await;
    let mut stream = raw::connect(&two.address, claim(1)).await;
    for (call, service) in [(1, 0), (2, 77), (3, Service::Control as u8)] {
        let request = Frame::Request {
            call,
            service,
            body: "x".into(),
        };
        raw::write_frame(&mut stream, request).await;
        let answer = raw::read_frame(&mut stream).await;
        let Frame::Failure { taken: false, .. } = answer else {
            panic!("{service}: {answer:?}")
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_larger_than_a_frame_is_refused_here() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let body = Bytes::from(vec![0; PEER_FRAME_BYTES_MAX - 13]);
    let target = two.target();
    let answer = one
        .peers
        .call(&target, Service::Broker, body.clone(), PATIENCE);
    assert_eq!(answer.await, Err(CallError::TooLarge(body.len())));
    let largest = body.slice(1..);
    let answer = one
        .peers
        .call(&target, Service::Broker, largest.clone(), PATIENCE);
    assert!(answer.await.unwrap() == largest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_in_flight_are_bounded_and_who_waits_gets_a_turn() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let large = |start: &str| {
        let mut body = start.as_bytes().to_vec();
        body.resize(40 << 20, 0);
        Bytes::from(body)
    };
    let (peers, target) = (one.peers.clone(), two.target());
    let first = tokio::spawn({
        let (peers, target, body) = (peers.clone(), target.clone(), large("wait"));
        async move { peers.call(&target, Service::Broker, body, PATIENCE).await }
    });
    eventually("the first is there", || two.desk.at_work() == 1).await;
    let soon = Duration::from_millis(100);
    let second = peers.call(&target, Service::Broker, large("count"), soon);
    let no_room = CallError::TimedOut {
        delivery: Delivery::NotSent,
    };
    assert_eq!(second.await, Err(no_room));
    assert_eq!(one.ask(&two, "small").await.unwrap(), "small");
    two.desk.gate.add_permits(1);
    assert!(first.await.unwrap().is_ok());
    let third = peers.call(&target, Service::Broker, large("count"), PATIENCE);
    assert_eq!(third.await.unwrap(), (40 << 20).to_string());
}
