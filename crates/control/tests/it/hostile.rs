//! Requests that no honest node sends.

use bytes::Bytes;
use catalog::RaftId;
use control::testing::MemoryDisk;
use control::{Introduction, Newcomer, NotJoined};

use crate::world::{World, topic};

/// A request for a vote, or what a leader of this term says.
fn speak(kind: u8, term: u64, node: u64) -> Bytes {
    let mut bytes = vec![kind];
    bytes.extend(term.to_be_bytes());
    bytes.extend(node.to_be_bytes());
    // An append: committed vote, no position before, none agreed on, no entries. A vote: no more.
    bytes.extend(if kind == 1 {
        &[1, 0, 0, 0, 0, 0, 0][..]
    } else {
        &[0, 0, 0]
    });
    bytes.into()
}

#[tokio::test(start_paused = true)]
async fn what_no_honest_node_says_is_refused_and_changes_nothing() {
    let world = World::of(3).await;
    let before = world.control(2).status();
    let far = before.term + (1 << 33);
    let cases = [
        ("a term far ahead", 3, speak(2, far, 3)),
        ("a term far ahead", 3, speak(3, far, 3)),
        ("a leader far ahead", 3, speak(1, far, 3)),
        ("in the name of another", 3, speak(2, before.term + 1, 1)),
        ("in the name of another", 3, speak(1, before.term + 1, 1)),
        ("nothing", 3, Bytes::new()),
        ("an unknown kind", 3, Bytes::from_static(&[77])),
        ("a cut one", 3, speak(2, 1, 3).slice(..9)),
        ("a command that is none", 3, Bytes::from(vec![6; 40])),
    ];
    let boot = world.control(3).boot();
    for (what, from, request) in cases {
        let answer = world.control(2).handle(RaftId(from), boot, request).await;
        assert_eq!(answer.first(), Some(&0), "{what}");
    }
    let after = world.control(2).status();
    assert_eq!(
        (after.term, after.controller),
        (before.term, before.controller)
    );
    world.control(2).propose(topic(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_process_registers_itself_alone_and_as_whom_its_certificate_names() {
    let mut world = World::of(1).await;
    world.start(2).await.unwrap();
    world.until_equal().await;
    let strange = world.open(3, MemoryDisk::new().open()).await;
    let other = world.open(4, MemoryDisk::new().open()).await;
    let wanted = world.introduction(3);
    let any = Introduction {
        id: None,
        ..wanted.clone()
    };
    let cases = [
        (&other, true, &wanted, "only itself"),
        (&strange, false, &wanted, "not that of node 3"),
        (&strange, false, &any, "--any"),
    ];
    for (who, is_named, introduction, words) in cases {
        let registration = strange.registration(introduction).await.unwrap();
        let claim = &who.claim();
        let newcomer = Newcomer { claim, is_named };
        let joined = world.control(1).handle_join(&newcomer, registration).await;
        match joined {
            Err(NotJoined::Never(why)) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    // One that is no member itself lets nobody in.
    let registration = strange.registration(&wanted).await.unwrap();
    let claim = &strange.claim();
    let is_named = true;
    let newcomer = Newcomer { claim, is_named };
    let joined = other.handle_join(&newcomer, registration.clone()).await;
    assert!(matches!(joined, Err(NotJoined::NotNow(_))), "{joined:?}");
    let joined = world.control(2).handle_join(&newcomer, registration).await;
    assert!(matches!(joined, Ok(Ok(_))), "{joined:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_none_gets_into_no_log() {
    let world = World::of(3).await;
    let leader = world.leader().unwrap();
    let last = world.control(leader).status().last;
    let mut propose = vec![6; 17];
    propose.extend([0, 0, 0, 3, 0xFF, 0xFF, 0xFF]);
    let answer = world
        .control(leader)
        .handle(RaftId(2), world.control(2).boot(), propose.into())
        .await;
    assert_eq!(answer.first(), Some(&0));
    assert_eq!(world.control(leader).status().last, last);
}
