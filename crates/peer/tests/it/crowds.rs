//! Too many at once: those who say nothing, and those who ask for much and do not read.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use model::limits::{
    PEER_ANSWER_BYTES_QUEUED_MAX, PEER_GUEST_FRAME_BYTES_MAX, PEER_HANDSHAKE_TIMEOUT,
    PEER_HANDSHAKES_MAX, PEER_HANDSHAKES_PER_ADDRESS_MAX,
};
use peer::protocol::{FRAME_HEADER_BYTES, Frame};
use peer::{PeerTimings, Security, Service};
use tokio::net::{TcpSocket, TcpStream};

use crate::node::{Node, claim, eventually, stranger, timings};
use crate::raw;

const MIB: usize = 1 << 20;

async fn connect_from(from: &str, to: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let to: SocketAddr = to.parse().unwrap();
    socket.connect(to).await.unwrap()
}

/// A node that gives strangers all the time there is.
async fn patient_node(id: u16) -> Node {
    let patient = PeerTimings {
        handshake: PEER_HANDSHAKE_TIMEOUT,
        ..timings()
    };
    Node::start_with(patient, claim(id), Security::loopback()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_says_nothing_keeps_nobody_out() {
    for from in ["127.0.0.1", "127.0.0.2"] {
        let (one, two) = (Node::plain(1).await, patient_node(2).await);
        let mut crowd = Vec::new();
        for _ in 0..PEER_HANDSHAKES_MAX + 20 {
            crowd.push(connect_from(from, &two.address).await);
        }
        let started = Instant::now();
        assert_eq!(one.ask(&two, "let me in").await.unwrap(), "let me in");
        let took = started.elapsed();
        assert!(took < PEER_HANDSHAKE_TIMEOUT / 2, "{from}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_keeps_coming_keeps_nobody_out() {
    let two = patient_node(2).await;
    let address = two.address.clone();
    let flood = tokio::spawn(async move {
        let mut crowd = std::collections::VecDeque::new();
        loop {
            crowd.push_back(connect_from("127.0.0.2", &address).await);
            if crowd.len() > 2 * PEER_HANDSHAKES_PER_ADDRESS_MAX {
                crowd.pop_front();
            }
        }
    });
    for id in 10..20 {
        let newcomer = Node::plain(id).await;
        assert_eq!(newcomer.ask(&two, "hello").await.unwrap(), "hello");
    }
    flood.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_an_id_sends_short_frames_only() {
    let two = Node::plain(2).await;
    for too_long in [false, true] {
        let mut hello = raw::hello(stranger());
        hello.lane = peer::Lane::Control;
        let mut stream = raw::connect_with(&two.address, hello).await;
        let longest = PEER_GUEST_FRAME_BYTES_MAX - FRAME_HEADER_BYTES;
        let request = Frame::Request {
            call: 1,
            service: Service::Join as u8,
            body: vec![0; longest + usize::from(too_long)].into(),
        };
        raw::write_frame(&mut stream, request).await;
        if too_long {
            assert!(raw::read_to_end(&mut stream).await.is_empty());
        } else {
            let answer = raw::read_frame(&mut stream).await;
            assert!(matches!(answer, Frame::Answer { call: 1, .. }));
        }
    }
    assert_eq!(two.desk.seen.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_slowly_slows_only_itself() {
    const CALLS: u64 = 100;
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let stream = raw::connect(&two.address, claim(3)).await;
    let (mut read, mut write) = stream.into_split();
    let asking = tokio::spawn(async move {
        for call in 1..=CALLS {
            let request = Frame::Request {
                call,
                service: Service::Broker as u8,
                body: vec![0; 2 * MIB].into(),
            };
            raw::write_frame(&mut write, request).await;
        }
        write
    });
    let seen = || two.desk.seen.load(std::sync::atomic::Ordering::SeqCst);
    let in_line = PEER_ANSWER_BYTES_QUEUED_MAX / (2 * MIB);
    eventually("its line is full", || seen() >= in_line).await;
    raw::pause(Duration::from_millis(300)).await;
    // What the system holds for both of them is not in line.
    assert!(seen() < CALLS as usize - 20, "{} were taken", seen());
    let large = "x".repeat(3 * MIB);
    for _ in 0..3 {
        assert_eq!(one.ask(&two, &large).await.unwrap().len(), large.len());
    }
    let mut answered = 0;
    while answered < CALLS {
        match raw::read_frame(&mut read).await {
            Frame::Answer { body, .. } if body.len() == 2 * MIB => answered += 1,
            Frame::Busy => {}
            other => panic!("not answered: {other:?}"),
        }
    }
    drop(asking.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_answers_than_stand_in_line_are_let_go() {
    const CALLS: usize = 20;
    let two = Node::plain(2).await;
    let mut stream = raw::connect(&two.address, claim(3)).await;
    for call in 1..=CALLS as u64 {
        let request = Frame::Request {
            call,
            service: Service::Broker as u8,
            body: format!("give {}", 20 * MIB).into(),
        };
        raw::write_frame(&mut stream, request).await;
    }
    eventually("all wait", || two.desk.at_work() == CALLS).await;
    two.desk.gate.add_permits(CALLS);
    eventually("all are answered", || two.desk.at_work() == 0).await;
    let (mut answered, mut failed) = (0, 0);
    for _ in 0..CALLS {
        match raw::read_frame(&mut stream).await {
            Frame::Answer { body, .. } if body.len() == 20 * MIB => answered += 1,
            Frame::Failure { taken: true, .. } => failed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        (4..10).contains(&answered),
        "{answered} answered, {failed} let go"
    );
    let request = Frame::Request {
        call: 99,
        service: Service::Broker as u8,
        body: "still there".into(),
    };
    raw::write_frame(&mut stream, request).await;
    let answer = raw::read_frame(&mut stream).await;
    assert!(
        matches!(answer, Frame::Answer { call: 99, .. }),
        "{answer:?}"
    );
}
