//! Calls between nodes that want each other.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use peer::{CallError, Delivery, Service};

use crate::node::{Node, PATIENCE, claim, eventually};
use crate::raw;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_and_the_caller_is_known() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    assert_eq!(one.ask(&two, "hello").await.unwrap(), "hello");
    assert_eq!(two.ask(&one, "whoami").await.unwrap(), "Some(2)");
    assert_eq!(one.ask(&two, "").await.unwrap(), "");
    let who = one.peers.who(&two.target(), PATIENCE).await.unwrap();
    assert_eq!(who, claim(2));
    let target = two.target();
    for service in [Service::Discover, Service::Control, Service::MemberSync] {
        let answer = one.peers.call(&target, service, "x".into(), PATIENCE);
        assert_eq!(answer.await.unwrap(), "x", "{service:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once_are_answered_out_of_order() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let waiting: Vec<_> = (0..1000)
        .map(|number| {
            let (peers, target) = (one.peers.clone(), two.target());
            tokio::spawn(async move {
                let words = Bytes::from(format!("wait{number}"));
                peers.call(&target, Service::Broker, words, PATIENCE).await
            })
        })
        .collect();
    eventually("all are waiting", || two.desk.at_work() == 1000).await;
    assert_eq!(one.ask(&two, "overtakes").await.unwrap(), "overtakes");
    two.desk.gate.add_permits(1000);
    for (number, answer) in join_all(waiting).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap().unwrap(), number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_in_both_directions() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let target = two.target();
    let sizes = [0, 1, 4095, 4096, 4097, 65_522, 65_523, 1 << 20, 20 << 20];
    let calls = sizes.map(|size| {
        let body = Bytes::from(vec![u8::try_from(size % 251).unwrap(); size]);
        let answer = one
            .peers
            .call(&target, Service::Broker, body.clone(), PATIENCE);
        async move { assert!(answer.await.unwrap() == body, "{size} bytes") }
    });
    join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_passes_and_the_other_side_stops_working() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    one.ask(&two, "connect").await.unwrap();
    let answer = one
        .ask_within(&two, "wait", Duration::from_millis(50))
        .await;
    let late = CallError::TimedOut {
        delivery: Delivery::Unknown,
    };
    assert_eq!(answer, Err(late));
    eventually("cancelled there", || two.desk.at_work() == 0).await;
    assert_eq!(two.desk.seen.load(Ordering::SeqCst), 2);
    assert_eq!(one.ask(&two, "still there").await.unwrap(), "still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_is_cancelled_there_too() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let task = one.begin_to_ask(&two, "wait");
    eventually("at work", || two.desk.at_work() == 1).await;
    task.abort();
    eventually("cancelled there", || two.desk.at_work() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_fails_its_call_alone() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let error = one.ask(&two, "panic").await.unwrap_err();
    assert!(matches!(error, CallError::Failed(_)), "{error}");
    assert_eq!(error.delivery(), Delivery::Unknown);
    assert_eq!(one.ask(&two, "still there").await.unwrap(), "still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_with_little_time_share_an_attempt_that_takes_longer() {
    let one = Node::plain(1).await;
    let (listener, target) = raw::listen().await;
    let soon = Duration::from_millis(10);
    for _ in 0..5 {
        let answer = one.ask_at(&target, "x", soon);
        let not_yet = CallError::TimedOut {
            delivery: Delivery::NotSent,
        };
        assert_eq!(answer.await, Err(not_yet));
    }
    let (mut stream, _) = listener.accept().await.unwrap();
    let slow = tokio::spawn(async move {
        raw::accept(&mut stream, claim(2)).await;
        raw::read_to_end(&mut stream).await;
    });
    let who = one.peers.who(&target, PATIENCE);
    // The next to come is the other lane, which dials for itself.
    let other_lane = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        raw::accept(&mut stream, claim(2)).await;
        stream
    };
    let (who, _stream) = tokio::join!(who, other_lane);
    assert_eq!(who, Ok(claim(2)));
    let started = std::time::Instant::now();
    loop {
        let again = one.ask_at(&target, "x", soon);
        if again.await.unwrap_err().delivery() == Delivery::Unknown {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the first attempt went on");
    }
    drop(one);
    slow.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn round_trips_are_measured() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let target = two.target();
    let ping = one.peers.call(&target, Service::Ping, "p".into(), PATIENCE);
    assert_eq!(ping.await.unwrap(), "p");
    eventually("a ping is answered", || !one.peers.round_trips().is_empty()).await;
    let [(whose, duration)] = &one.peers.round_trips()[..] else {
        panic!("one connection, one round trip")
    };
    assert_eq!(*whose, target);
    assert!(*duration > Duration::ZERO && *duration < PATIENCE);
}
