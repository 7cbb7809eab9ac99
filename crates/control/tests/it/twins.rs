//! A copy of a live voter's directory must not vote or lead beside it, and whoever starts again must.

use std::time::Duration;

use bytes::Bytes;
use catalog::RaftId;
use control::{Control, Role};
use model::{BootId, NodeId};

use crate::world::{World, topic};

fn raft(id: u16) -> RaftId {
    RaftId::new(NodeId(id), 0)
}

/// A request for a vote of the kind 2, without a log.
fn vote(term: u64, node: u16) -> Bytes {
    let mut bytes = vec![2];
    bytes.extend(term.to_be_bytes());
    bytes.extend(raft(node).0.to_be_bytes());
    bytes.extend([0, 0, 0]);
    bytes.into()
}

/// Whether the request was looked at, and not refused.
async fn takes(judge: &Control, from: u16, boot: BootId, request: Bytes) -> bool {
    let answer = judge.handle(raft(from), boot, request).await;
    answer.first() == Some(&2)
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_live_voter_is_not_heard_and_hears_nobody() {
    let mut world = World::of(3).await;
    let twin = world
        .open_beside(3, world.nodes[&3].disk.copy().open())
        .await;
    let term = world.control(2).status().term;
    let (judge, original) = (world.control(2).clone(), world.control(3).boot());
    let began = tokio::time::Instant::now();
    assert!(!takes(&judge, 3, twin.boot(), vote(term, 3)).await);
    assert!(began.elapsed() < Duration::from_millis(400));
    assert!(takes(&judge, 3, original, vote(term, 3)).await);
    // Nor does the copy give anybody its vote.
    let other = world.control(1).boot();
    assert!(!takes(&twin, 1, other, vote(term + 1, 1)).await);
    // It may be the node itself that was started again. That nobody answers any more is seen soon.
    world.kill(3);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(takes(&judge, 3, twin.boot(), vote(term, 3)).await);
    assert!(takes(&twin, 1, other, vote(term, 1)).await);
    twin.crash();
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_live_voter_never_leads() {
    for seed in 0..8 {
        let mut world = World::with_seed(seed);
        for id in 1..=3 {
            world.start(id).await.unwrap();
        }
        world.settle(3).await;
        let leader = world.leader().unwrap();
        let copied = (1..=3).find(|id| *id != leader).unwrap();
        let copy = world.nodes[&copied].disk.copy();
        let twin = world.open_beside(copied, copy.open()).await;
        world.kill(leader);
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_ne!(twin.status().role, Role::Leader, "seed {seed}");
        }
        world.until_leader(5).await;
        world.control(copied).propose(topic(1)).await.unwrap();
        twin.crash();
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_start_at_once_let_each_other_in() {
    let mut world = World::of(5).await;
    (1..=5).for_each(|id| world.kill(id));
    for id in 1..=5 {
        let store = world.nodes[&id].disk.open();
        world.open_member(id, store).await;
    }
    // Nobody is registered, and somebody leads.
    world.until_leader(5).await;
    for id in 1..=5 {
        let introduction = world.introduction(id);
        world.control(id).register(&introduction).await.unwrap();
    }
    world.until_equal().await;
}
