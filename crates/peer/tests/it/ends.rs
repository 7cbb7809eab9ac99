//! Connections that end: nobody is there, nobody says anything any more, or a node stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peer::protocol::Frame;
use peer::{CallError, Delivery, PeerTimings, Security, Service, Target};
use tokio::net::TcpListener;

use crate::node::{Node, PATIENCE, claim, eventually, timings};
use crate::raw;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there() {
    let one = Node::plain(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for address in [address, "no-such-host.invalid:1".into(), "no port".into()] {
        let target = Target::anybody(address.clone());
        let error = one.ask_at(&target, "x", PATIENCE).await.unwrap_err();
        assert!(
            matches!(error, CallError::Unreachable { .. }),
            "{address}: {error}"
        );
        assert_eq!(error.delivery(), Delivery::NotSent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_restarted_is_reached_again() {
    let one = Node::plain(1).await;
    let two = Node::plain(2).await;
    assert_eq!(one.ask(&two, "before").await.unwrap(), "before");
    let address = two.address.clone();
    for restart in 0..3 {
        // Until the old one is gone its address is taken.
        two.peers.close(PATIENCE).await;
        let two = Node::start_at(&address, claim(2), Security::loopback()).await;
        let answer = one.ask(&two, "after").await;
        assert_eq!(answer.unwrap(), "after", "restart {restart}");
        two.peers.close(PATIENCE).await;
        let error = one.ask(&two, "in between").await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::NotSent, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_connection_breaks_may_have_arrived() {
    let one = Node::plain(1).await;
    let (listener, target) = raw::listen().await;
    let breaks = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        raw::accept(&mut stream, claim(2)).await;
        while !matches!(
            raw::read_frame(&mut stream).await,
            Frame::Request { call: 1.., .. }
        ) {}
    });
    let error = one.ask_at(&target, "x", PATIENCE).await.unwrap_err();
    assert!(matches!(error, CallError::Lost { .. }), "{error}");
    assert_eq!(error.delivery(), Delivery::Unknown);
    breaks.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_given_up() {
    let impatient = PeerTimings {
        silence: Duration::from_millis(200),
        ..timings()
    };
    let one = Node::start_with(impatient, claim(1), Security::loopback()).await;
    let (listener, target) = raw::listen().await;
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        raw::accept(&mut stream, claim(2)).await;
        raw::read_to_end(&mut stream).await
    });
    let error = one.ask_at(&target, "x", PATIENCE).await.unwrap_err();
    assert!(matches!(error, CallError::Lost { .. }), "{error}");
    silent.await.unwrap();
}

/// What is written to a machine that has lost its power goes into a buffer of this one, and for a long
/// time none of it fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_given_up_though_it_is_called_all_the_time() {
    let impatient = PeerTimings {
        silence: Duration::from_millis(300),
        ..timings()
    };
    let one = Node::start_with(impatient, claim(1), Security::loopback()).await;
    let (listener, target) = raw::listen().await;
    let calls = tokio::spawn(async move {
        let soon = Duration::from_millis(20);
        loop {
            one.ask_at(&target, "x", soon).await.unwrap_err();
        }
    });
    let (mut silent, _) = listener.accept().await.unwrap();
    raw::accept(&mut silent, claim(2)).await;
    let again = tokio::time::timeout(PATIENCE, listener.accept()).await;
    assert!(again.is_ok(), "it is dialled anew");
    calls.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_not_used_is_closed_and_made_anew_when_it_is() {
    let impatient = PeerTimings {
        idle: Duration::from_millis(100),
        ..timings()
    };
    let one = Node::start_with(impatient, claim(1), Security::loopback()).await;
    let two = Node::plain(2).await;
    for _ in 0..2 {
        let who = one.peers.who(&two.target(), PATIENCE).await;
        assert_eq!(who, Ok(claim(2)));
        eventually("it is open", || !one.peers.round_trips().is_empty()).await;
        eventually("it is closed", || one.peers.round_trips().is_empty()).await;
    }
    // One on which somebody waits is in use.
    let long = Duration::from_millis(400);
    let answer = one.ask_within(&two, "wait", long).await;
    assert!(
        matches!(answer, Err(CallError::TimedOut { .. })),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_is_given_up() {
    let impatient = PeerTimings {
        silence: Duration::from_millis(200),
        ..timings()
    };
    let one = Node::start_with(impatient, claim(1), Security::loopback()).await;
    let (listener, target) = raw::listen().await;
    let full = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        raw::accept(&mut stream, claim(2)).await;
        stream
    });
    let large = Bytes::from(vec![0; 32 << 20]);
    let answer = one.peers.call(&target, Service::Broker, large, PATIENCE);
    let error = answer.await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
    full.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_answers_what_it_has_taken() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let taken = one.begin_to_ask(&two, "waitdone");
    eventually("at work", || two.desk.at_work() == 1).await;
    let stopping = tokio::spawn({
        let peers = two.peers.clone();
        async move { peers.close(PATIENCE).await }
    });
    let refused = loop {
        match one.ask(&two, "more").await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.delivery(), Delivery::NotSent, "{refused}");
    two.desk.gate.add_permits(1);
    assert_eq!(taken.await.unwrap().unwrap(), "done");
    stopping.await.unwrap();
    assert_eq!(two.ask(&one, "x").await, Err(CallError::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_waits_no_longer_than_it_may() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let taken = one.begin_to_ask(&two, "wait");
    eventually("at work", || two.desk.at_work() == 1).await;
    two.peers.close(Duration::from_millis(20)).await;
    let error = taken.await.unwrap().unwrap_err();
    assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
    eventually("dropped there", || two.desk.at_work() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_are_closed_with_the_last_handle() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    one.ask(&two, "hello").await.unwrap();
    let (desk, address) = (Arc::clone(&two.desk), two.address.clone());
    drop(two);
    eventually("nobody listens", || Arc::strong_count(&desk) == 1).await;
    TcpListener::bind(address).await.unwrap();
}
