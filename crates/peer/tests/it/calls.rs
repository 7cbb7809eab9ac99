//! Calls between nodes that want each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use peer::{CallError, Delivery, PeerOptions, Peers, Security, Service, Target};
use tokio::net::TcpListener;

use crate::node::{Identity, Node, PATIENCE, claim, eventually, timings};
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
    let (peers, target) = (one.peers.clone(), two.target());
    let task = tokio::spawn(async move {
        peers
            .call(&target, Service::Broker, "wait".into(), PATIENCE)
            .await
    });
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
async fn nobody_there() {
    let one = Node::plain(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for address in [address, "no-such-host.invalid:1".into(), "no port".into()] {
        let target = Target::anybody(address.clone());
        let answer = one
            .peers
            .call(&target, Service::Broker, "x".into(), PATIENCE);
        let error = answer.await.unwrap_err();
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::anybody(listener.local_addr().unwrap().to_string());
    let breaks = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        raw::accept(&mut stream, claim(2)).await;
        while !matches!(
            raw::read_frame(&mut stream).await,
            peer::protocol::Frame::Request { call: 1.., .. }
        ) {}
    });
    let answer = one
        .peers
        .call(&target, Service::Broker, "x".into(), PATIENCE);
    let error = answer.await.unwrap_err();
    assert!(matches!(error, CallError::Lost { .. }), "{error}");
    assert_eq!(error.delivery(), Delivery::Unknown);
    breaks.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_given_up() {
    let identity = Identity::new(claim(1));
    let options = PeerOptions {
        timings: peer::PeerTimings {
            silence: Duration::from_millis(200),
            ..timings()
        },
        ..PeerOptions::new(Security::loopback(), 1)
    };
    let peers = Peers::new(options, identity);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::anybody(listener.local_addr().unwrap().to_string());
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        raw::accept(&mut stream, claim(2)).await;
        raw::read_to_end(&mut stream).await
    });
    let answer = peers.call(&target, Service::Broker, "x".into(), PATIENCE);
    let error = answer.await.unwrap_err();
    assert!(matches!(error, CallError::Lost { .. }), "{error}");
    silent.await.unwrap();
}

/// What is written to a machine that has lost its power goes into a buffer of this one, and for a long
/// time none of it fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_given_up_though_it_is_called_all_the_time() {
    let impatient = peer::PeerTimings {
        silence: Duration::from_millis(300),
        ..timings()
    };
    let one = Node::start_with(impatient, claim(1), Security::loopback()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::anybody(listener.local_addr().unwrap().to_string());
    let calls = tokio::spawn(async move {
        let soon = Duration::from_millis(20);
        loop {
            let answer = one.peers.call(&target, Service::Broker, "x".into(), soon);
            answer.await.unwrap_err();
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
    let impatient = peer::PeerTimings {
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
    let impatient = peer::PeerTimings {
        silence: Duration::from_millis(200),
        ..timings()
    };
    let one = Node::start_with(impatient, claim(1), Security::loopback()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::anybody(listener.local_addr().unwrap().to_string());
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
async fn callers_with_little_time_share_an_attempt_that_takes_longer() {
    let one = Node::plain(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::anybody(listener.local_addr().unwrap().to_string());
    let soon = Duration::from_millis(10);
    for _ in 0..5 {
        let answer = one.peers.call(&target, Service::Broker, "x".into(), soon);
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
        let again = one.peers.call(&target, Service::Broker, "x".into(), soon);
        if again.await.unwrap_err().delivery() == Delivery::Unknown {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the first attempt went on");
    }
    drop(one);
    slow.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_answers_what_it_has_taken() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    let (peers, target) = (one.peers.clone(), two.target());
    let taken = tokio::spawn(async move {
        peers
            .call(&target, Service::Broker, "waitdone".into(), PATIENCE)
            .await
    });
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
    let (peers, target) = (one.peers.clone(), two.target());
    let taken = tokio::spawn(async move {
        peers
            .call(&target, Service::Broker, "wait".into(), PATIENCE)
            .await
    });
    eventually("at work", || two.desk.at_work() == 1).await;
    two.peers.close(Duration::from_millis(20)).await;
    let error = taken.await.unwrap().unwrap_err();
    assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
    eventually("dropped there", || two.desk.at_work() == 0).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_are_closed_with_the_last_handle() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    one.ask(&two, "hello").await.unwrap();
    let (desk, address) = (Arc::clone(&two.desk), two.address.clone());
    drop(two);
    eventually("nobody listens", || Arc::strong_count(&desk) == 1).await;
    TcpListener::bind(address).await.unwrap();
}
