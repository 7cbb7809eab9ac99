//! Who votes, and who is fenced.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{Command, NodeState, RaftId};
use control::testing::MemoryDisk;
use model::NodeId;

use crate::world::{World, topic};

fn raft(id: u16) -> RaftId {
    RaftId::new(NodeId(id), 0)
}

impl World {
    fn voters(&self) -> BTreeSet<u16> {
        let leader = self.leader().or_else(|| self.nodes.keys().next().copied());
        let status = self.control(leader.unwrap()).status();
        status.voters.iter().map(|voter| voter.node().0).collect()
    }

    fn is_fenced(&self, id: u16) -> bool {
        let view = self.running().next().unwrap().view();
        view.node(NodeId(id)).unwrap().fenced
    }
}

#[tokio::test(start_paused = true)]
async fn five_vote_and_a_dead_one_is_replaced_while_there_is_another() {
    let mut world = World::of(7).await;
    assert_eq!(world.voters().len(), 5);
    let learners: Vec<u16> = (1..=7).filter(|id| !world.voters().contains(id)).collect();
    let dead = *world
        .voters()
        .iter()
        .find(|id| Some(**id) != world.leader())
        .unwrap();
    world.kill(dead);
    world
        .until("a follower votes instead", 10, || {
            let voters = world.voters();
            voters.len() == 5 && !voters.contains(&dead)
        })
        .await;
    assert!(world.voters().iter().any(|id| learners.contains(id)));
    let after = world.voters();
    world.start(dead).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.voters(), after, "nobody is moved without need");
    world.until_equal().await;
}

#[tokio::test(start_paused = true)]
async fn voters_do_not_dwindle_when_nobody_can_take_their_place() {
    let mut world = World::of(5).await;
    let dead: Vec<u16> = (2..=5)
        .filter(|id| Some(*id) != world.leader())
        .take(2)
        .collect();
    for id in &dead {
        world.kill(*id);
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    world.until_leader(5).await;
    assert_eq!(world.voters().len(), 5);
    assert!(dead.iter().all(|id| world.is_fenced(*id)));
    world
        .control(world.leader().unwrap())
        .propose(topic(1))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_down_is_fenced_after_a_while_and_free_when_it_is_back() {
    let mut world = World::of(3).await;
    world.kill(3);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!world.is_fenced(3));
    world.until("3 is fenced", 3, || world.is_fenced(3)).await;
    world.start(3).await.unwrap();
    world.until("3 is free", 2, || !world.is_fenced(3)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!world.is_fenced(3));
}

#[tokio::test(start_paused = true)]
async fn a_removed_node_follows_no_more_and_never_comes_back() {
    let mut world = World::of(4).await;
    let gone = if world.leader() == Some(2) { 3 } else { 2 };
    let remove = Command::RemoveNode {
        id: NodeId(gone),
        lose_partitions: false,
    };
    world.control(1).propose(remove).await.unwrap();
    world.kill(gone);
    world.nodes.get_mut(&gone).unwrap().disk = MemoryDisk::new();
    world
        .until("nobody knows it any more", 10, || {
            world.running().all(|control| {
                let status = control.status();
                !status.voters.contains(&raft(gone)) && !status.learners.contains(&raft(gone))
            })
        })
        .await;
    let error = world.start(gone).await.unwrap_err();
    assert!(error.to_string().contains("removed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_drains_hands_over_and_keeps_its_vote_until_another_has_it() {
    let mut world = World::of(3).await;
    let drained = world.leader().unwrap();
    let set = |state| Command::SetNodeState {
        id: NodeId(drained),
        state,
    };
    let drain = set(NodeState::Draining);
    world.control(2).propose(drain).await.unwrap();
    world
        .until("another leads", 15, || {
            world.leader().is_some_and(|leader| leader != drained)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.voters().len(), 3, "two bear no loss");
    world.start(4).await.unwrap();
    world
        .until("the new one votes instead", 15, || {
            world.voters().len() == 3 && !world.voters().contains(&drained)
        })
        .await;
    let undrain = set(NodeState::Active);
    world.control(drained).propose(undrain).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(
        !world.voters().contains(&drained),
        "nobody is moved without need"
    );
    world.start(5).await.unwrap();
    world
        .until("it votes again", 15, || world.voters().len() == 5)
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_takes_another_vote_along_when_nobody_comes_after_it() {
    let mut world = World::of(3).await;
    let leader = world.leader().unwrap();
    let gone = if leader == 2 { 3 } else { 2 };
    let remove = Command::RemoveNode {
        id: NodeId(gone),
        lose_partitions: false,
    };
    world.control(leader).propose(remove).await.unwrap();
    world.kill(gone);
    world
        .until("one votes", 10, || {
            world.voters() == BTreeSet::from([leader])
        })
        .await;
    let other = (1..=3).find(|id| *id != leader && *id != gone).unwrap();
    world.kill(other);
    world.control(leader).propose(topic(1)).await.unwrap();
    // Two come, and three vote.
    world.start(other).await.unwrap();
    world.start(4).await.unwrap();
    world
        .until("three vote", 15, || world.voters().len() == 3)
        .await;
    world.until_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_removed_leaves() {
    let mut world = World::of(4).await;
    let gone = world.leader().unwrap();
    let other = if gone == 1 { 2 } else { 1 };
    let remove = Command::RemoveNode {
        id: NodeId(gone),
        lose_partitions: false,
    };
    world.control(other).propose(remove).await.unwrap();
    world
        .until("another leads without it", 20, || {
            let status = world.control(other).status();
            let leads = status.controller.is_some_and(|leader| leader != raft(gone));
            leads && !status.voters.contains(&raft(gone)) && !status.learners.contains(&raft(gone))
        })
        .await;
    world.kill(gone);
    world.control(other).propose(topic(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_disk_makes_another_voter_of_the_same_node() {
    let mut world = World::of(3).await;
    world.control(1).propose(topic(1)).await.unwrap();
    let lost = if world.leader() == Some(2) { 3 } else { 2 };
    world.kill(lost);
    world.nodes.get_mut(&lost).unwrap().disk = MemoryDisk::new();
    let error = world.start(lost).await.unwrap_err();
    assert!(error.to_string().contains("hark node replace"), "{error}");
    world
        .until("it is fenced", 10, || world.is_fenced(lost))
        .await;
    let forget = Command::ForgetDisk {
        id: NodeId(lost),
        incarnation: world
            .control(1)
            .view()
            .node(NodeId(lost))
            .unwrap()
            .incarnation,
        lose_partitions: true,
    };
    world.control(1).propose(forget).await.unwrap();
    world.start(lost).await.unwrap();
    let again = RaftId::new(NodeId(lost), 1);
    assert_eq!(world.control(lost).status().me, Some(again));
    world
        .until("it votes under its new name", 20, || {
            let status = world.control(1).status();
            status.voters.contains(&again)
                && !status.voters.contains(&raft(lost))
                && !status.learners.contains(&raft(lost))
        })
        .await;
    world.until_equal().await;
}

#[tokio::test(start_paused = true)]
async fn voters_spread_over_racks() {
    let mut world = World::new();
    for id in 1..=9 {
        world.nodes.insert(
            id,
            crate::world::Node::in_rack(["a", "b", "c"][usize::from(id) / 4]),
        );
        if id <= 3 {
            world.start(id).await.unwrap();
        }
    }
    world
        .until("three vote", 20, || world.voters().len() == 3)
        .await;
    for id in 4..=9 {
        world.start(id).await.unwrap();
    }
    world
        .until("five vote", 20, || world.voters().len() == 5)
        .await;
    // Three are of rack a, where the cluster began: the other two are of b and c.
    let in_a = world.voters().iter().filter(|id| **id <= 3).count();
    let in_b = world
        .voters()
        .iter()
        .filter(|id| (4..=7).contains(*id))
        .count();
    assert_eq!((in_a, in_b), (3, 1), "{:?}", world.voters());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_its_leader_did_not_live_to_finish_is_finished() {
    for moment in 0..8 {
        let mut world = World::of(7).await;
        let leader = world.leader().unwrap();
        let voters = world.voters();
        let dead = *voters.iter().find(|id| **id != leader).unwrap();
        world.kill(dead);
        // Somebody else votes instead: for a moment both the old and the new voters count.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while world.control(leader).status().voters.len() != 6 {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(moment)).await;
        world.kill(leader);
        world
            .until("five vote, and nothing is half done", 30, || {
                world.running().all(|control| {
                    let status = control.status();
                    status.settled && status.voters.len() == 5
                })
            })
            .await;
        let control = world.running().next().unwrap();
        control.propose(topic(1)).await.unwrap();
    }
}
