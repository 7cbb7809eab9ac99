//! Who meets whom: handshakes that end well, and those that do not.

use std::time::Duration;

use catalog::Refusal;
use model::{BootId, ClusterId, NodeId};
use peer::protocol::{Message, VERSION};
use peer::{
    Admission, CallError, ClusterKey, ClusterKeys, Delivery, RejectionCode, Security, Service,
    Side, StartError, Target,
};
use tokio::net::{TcpListener, TcpStream};

use crate::node::{Node, PATIENCE, assert_rejected, claim, eventually, stranger};
use crate::raw;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_than_the_one_dialled_is_not_asked() {
    let [one, two] = [Node::plain(1).await, Node::plain(2).await];
    // First with an open connection to it, then without.
    for dial_anybody_first in [false, true] {
        if dial_anybody_first {
            let anybody = Target::anybody(&two.address);
            assert_eq!(one.peers.who(&anybody, PATIENCE).await.unwrap(), claim(2));
        }
        let target = Target::node(NodeId(3), &two.address);
        let answer = one
            .peers
            .call(&target, Service::Control, "x".into(), PATIENCE);
        assert_rejected(answer.await, RejectionCode::OtherNode, Side::Us);
    }
    assert_eq!(one.ask(&two, "hello").await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_admitted_is_told_why_by_either_side() {
    let cases = [
        (
            Refusal::OtherCluster {
                theirs: ClusterId::from_bytes([1; 16]),
                ours: ClusterId::from_bytes([2; 16]),
            },
            RejectionCode::OtherCluster,
        ),
        (Refusal::OldCopy(NodeId(1)), RejectionCode::OldCopy),
        (Refusal::Removed(NodeId(1)), RejectionCode::Removed),
        (
            Refusal::IdTaken(NodeId(1), "elsewhere:1".into()),
            RejectionCode::NotAdmitted,
        ),
    ];
    for (refusal, code) in cases {
        let [one, two] = [Node::plain(1).await, Node::plain(2).await];
        let text = refusal.to_string();
        two.identity.admit_only(move |_| Err(refusal.clone()));
        let rejection = assert_rejected(one.ask(&two, "x").await, code, Side::Them);
        assert_eq!(rejection.reason, text);
        assert_rejected(two.ask(&one, "x").await, code, Side::Us);
        assert_eq!(two.desk.at_work(), 0);
    }
}

/// A node that has just come to its cluster, or to life, has an empty catalog, which admits everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_two_clusters_do_not_meet_whatever_their_catalogs_know() {
    let elsewhere = catalog::Claim {
        cluster: Some(ClusterId::from_bytes([0xC2; 16])),
        ..claim(2)
    };
    let one = Node::plain(1).await;
    let two = Node::start(elsewhere, Security::loopback()).await;
    assert_rejected(
        one.ask(&two, "x").await,
        RejectionCode::OtherCluster,
        Side::Us,
    );
    let mut stream = TcpStream::connect(&one.address).await.unwrap();
    let theirs = two.identity.claim();
    raw::write(&mut stream, &Message::Hello(raw::hello(theirs)).encode()).await;
    assert!(matches!(
        raw::read_message(&mut stream).await,
        Message::Hello(_)
    ));
    assert_eq!(raw::read_message(&mut stream).await, Message::Proof(None));
    raw::write(&mut stream, &Message::Proof(None).encode()).await;
    let refusal = raw::read_message(&mut stream).await;
    let Message::Refusal { code, reason } = refusal else {
        panic!("not refused: {refusal:?}")
    };
    assert_eq!(code, RejectionCode::OtherCluster);
    assert!(reason.contains("belongs to cluster"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_start_is_admitted_and_the_one_before_it_is_cut_off() {
    let two = Node::plain(2).await;
    let old = Node::plain(1).await;
    assert_eq!(old.ask(&two, "hello").await.unwrap(), "hello");
    let newest = BootId::from_bytes([0xBB; 16]);
    two.identity.admit_only(move |claim| {
        if claim.boot == newest {
            Ok(())
        } else {
            Err(Refusal::OldCopy(NodeId(1)))
        }
    });
    let new_claim = catalog::Claim {
        boot: newest,
        ..claim(1)
    };
    let new = Node::start(new_claim, Security::loopback()).await;
    assert_eq!(new.ask(&two, "hello").await.unwrap(), "hello");
    let error = old.ask(&two, "hello").await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotSent, "{error}");
    assert_rejected(old.ask(&two, "x").await, RejectionCode::OldCopy, Side::Them);
    assert_eq!(new.ask(&two, "again").await.unwrap(), "again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_an_id_may_only_ask_to_be_let_in() {
    let two = Node::plain(2).await;
    let fresh = Node::start(stranger(), Security::loopback()).await;
    for service in Service::ALL {
        let target = two.target();
        let answer = fresh
            .peers
            .call(&target, service, "x".into(), PATIENCE)
            .await;
        match service.is_open_to_strangers() {
            true => assert_eq!(answer.unwrap(), "x", "{service:?}"),
            false => assert!(matches!(answer, Err(CallError::NotTaken(_))), "{service:?}"),
        }
    }
    // It has got an id: the next call shows it.
    fresh.identity.become_known_as(claim(7));
    assert_eq!(fresh.ask(&two, "whoami").await.unwrap(), "Some(7)");
    // And can be reached under it, over the connection to the process without one.
    assert_eq!(two.ask(&fresh, "x").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_keys_must_agree() {
    let [old, new] = [1, 2].map(|byte| ClusterKey::from_bytes([byte; 32]));
    let keyed = |keys: &[&ClusterKey]| {
        let keys = keys.iter().copied().cloned().collect();
        Security::loopback().with_keys(ClusterKeys::new(keys).unwrap())
    };
    let cases = [
        ("the same", keyed(&[&old]), keyed(&[&old]), true),
        ("another", keyed(&[&old]), keyed(&[&new]), false),
        (
            "in exchange",
            keyed(&[&new, &old]),
            keyed(&[&old, &new]),
            true,
        ),
        ("one ahead", keyed(&[&old, &new]), keyed(&[&old]), true),
        ("too far ahead", keyed(&[&new, &old]), keyed(&[&old]), false),
        (
            "only the dialler",
            keyed(&[&old]),
            Security::loopback(),
            false,
        ),
        (
            "only the other",
            Security::loopback(),
            keyed(&[&old]),
            false,
        ),
    ];
    for (what, ours, theirs, agree) in cases {
        let one = Node::start(claim(1), ours).await;
        let two = Node::start(claim(2), theirs).await;
        match one.ask(&two, "x").await {
            Ok(_) => assert!(agree, "{what}"),
            Err(CallError::Refused(rejection)) => {
                assert!(
                    !agree && rejection.code == RejectionCode::Key,
                    "{what}: {rejection}"
                );
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_have_nothing_in_common_part_with_a_reason() {
    let two = Node::plain(2).await;
    let mut hello = raw::hello(claim(1));
    (hello.newest, hello.oldest) = (VERSION + 8, VERSION + 1);
    let mut stream = TcpStream::connect(&two.address).await.unwrap();
    raw::write(&mut stream, &Message::Hello(hello).encode()).await;
    let Message::Refusal { code, reason } = raw::read_message(&mut stream).await else {
        panic!("should be refused")
    };
    assert_eq!(code, RejectionCode::Version);
    assert!(reason.contains("versions 2 to 9"), "{reason}");
    assert!(raw::read_to_end(&mut stream).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_version_that_speaks_ours_too_may_say_more() {
    let two = Node::plain(2).await;
    let mut hello = raw::hello(claim(1));
    hello.newest = VERSION + 1;
    let mut bytes = Message::Hello(hello).encode().to_vec();
    bytes.extend_from_slice(b"what we do not know");
    bytes[10] += 19;
    let mut stream = TcpStream::connect(&two.address).await.unwrap();
    raw::write(&mut stream, &bytes).await;
    assert!(matches!(
        raw::read_message(&mut stream).await,
        Message::Hello(_)
    ));
    assert_eq!(raw::read_message(&mut stream).await, Message::Proof(None));
    raw::write(&mut stream, &Message::Proof(None).encode()).await;
    let welcome = Message::Welcome { version: VERSION };
    assert_eq!(raw::read_message(&mut stream).await, welcome);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_connections_stay_on_this_machine_unless_told() {
    let listener = || TcpListener::bind("0.0.0.0:0");
    let cautious = Node::plain(1).await;
    let refused = cautious
        .peers
        .serve(listener().await.unwrap(), cautious.desk.clone());
    assert!(matches!(refused, Err(StartError::PlainBeyondLoopback(_))));
    let bold = Node::start(claim(2), Security::plain_anywhere()).await;
    let allowed = bold
        .peers
        .serve(listener().await.unwrap(), bold.desk.clone());
    assert!(allowed.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_cut_off() {
    let two = Node::plain(2).await;
    let started = std::time::Instant::now();
    let mut silent = TcpStream::connect(&two.address).await.unwrap();
    let mut slow = TcpStream::connect(&two.address).await.unwrap();
    let hello = Message::Hello(raw::hello(claim(1))).encode();
    let dribble = async {
        for byte in hello.iter() {
            use tokio::io::AsyncWriteExt;
            if slow.write_all(&[*byte]).await.is_err() {
                return;
            }
            raw::pause(Duration::from_millis(50)).await;
        }
    };
    let (rest, ()) = tokio::join!(raw::read_to_end(&mut silent), dribble);
    assert!(rest.is_empty());
    assert!(raw::read_to_end(&mut slow).await.is_empty());
    assert!(started.elapsed() < PATIENCE);
    let one = Node::plain(1).await;
    assert_eq!(one.ask(&two, "still there").await.unwrap(), "still there");
    eventually("nothing is left", || two.desk.at_work() == 0).await;
}
