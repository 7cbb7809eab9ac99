//! Two nodes: one of them votes, and leads.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{Command, NodeState, RaftId, Refusal};
use control::ProposeError;
use model::NodeId;

use crate::world::{World, topic};

fn only(id: u16) -> BTreeSet<RaftId> {
    BTreeSet::from([RaftId::new(NodeId(id), 0)])
}

impl World {
    /// Waits until this one leads, alone with a vote.
    async fn until_alone(&self, id: u16, seconds: u64) {
        self.until("it votes alone, and leads", seconds, || {
            let status = self.control(id).status();
            self.leader() == Some(id) && status.voters == only(id) && status.settled
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_one_that_does_not_vote_may_die_and_the_other_goes_on() {
    let mut world = World::of(2).await;
    assert_eq!(world.control(1).status().voters, only(1));
    world.kill(2);
    world.control(1).propose(topic(1)).await.unwrap();
    world.start(2).await.unwrap();
    world.until_equal().await;
}

#[tokio::test(start_paused = true)]
async fn the_higher_gets_the_vote_once_it_is_steady_and_commands_go_on() {
    let world = World::of(2).await;
    let begin = tokio::time::Instant::now();
    let mut slowest = Duration::ZERO;
    for n in 0..400 {
        let asked = tokio::time::Instant::now();
        let control = world.control(1 + (n % 2) as u16);
        control.propose(topic(n)).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        if begin.elapsed() < Duration::from_secs(29) {
            assert_eq!(world.leader(), Some(1), "30 s have not gone by");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    world.until_alone(2, 1).await;
    // It stays there.
    tokio::time::sleep(Duration::from_secs(200)).await;
    world.until_alone(2, 1).await;
    world.until_equal().await;
    assert_eq!(world.control(1).view().topics().count(), 400);
}

#[tokio::test(start_paused = true)]
async fn the_only_voter_cannot_be_removed_before_it_has_given_its_vote_away() {
    let world = World::of(2).await;
    let remove = Command::RemoveNode {
        id: NodeId(1),
        lose_partitions: false,
    };
    let refused = world.control(2).propose(remove.clone()).await;
    match refused {
        Err(ProposeError::Refused(Refusal::Invalid(why))) => {
            assert!(why.contains("drain"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let drain = Command::SetNodeState {
        id: NodeId(1),
        state: NodeState::Draining,
    };
    world.control(2).propose(drain).await.unwrap();
    world.until_alone(2, 10).await;
    world.control(2).propose(remove).await.unwrap();
    world.control(2).propose(topic(1)).await.unwrap();
    world
        .until("it is forgotten", 10, || {
            world.control(2).status().learners.is_empty()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_only_voter_gives_its_vote_away_when_it_stops_in_good_order() {
    let mut world = World::of(2).await;
    let begin = tokio::time::Instant::now();
    world.control(1).hand_over(Duration::from_secs(5)).await;
    world.kill(1);
    world.until_alone(2, 1).await;
    world.control(2).propose(topic(1)).await.unwrap();
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    world.start(1).await.unwrap();
    world.until_equal().await;
    // One that is drained gets no vote.
    let drain = Command::SetNodeState {
        id: NodeId(1),
        state: NodeState::Draining,
    };
    world.control(2).propose(drain).await.unwrap();
    let patience = Duration::from_secs(5);
    world.control(2).hand_over(patience).await;
    assert_eq!(world.control(2).status().voters, only(2));
}

#[tokio::test(start_paused = true)]
async fn the_only_voter_keeps_its_vote_while_the_other_does_not_answer() {
    let mut world = World::of(2).await;
    // Membership sees it all the time.
    for (from, to) in [(1, 2), (2, 1)] {
        world.cut(from, to, true);
    }
    for n in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.control(1).status().voters, only(1), "after {n} s");
    }
    world.control(1).propose(topic(1)).await.unwrap();
    let begin = tokio::time::Instant::now();
    world.control(1).hand_over(Duration::from_secs(5)).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    // It can be started again without the other one.
    world.kill(1);
    world.start(1).await.unwrap();
    world.control(1).propose(topic(2)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_was_half_given_away_is_given_when_both_are_there() {
    for moment in 0..12 {
        let mut world = World::of(2).await;
        let giving = world.control(1).clone();
        tokio::spawn(async move { giving.hand_over(Duration::from_secs(5)).await });
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let dead = 1 + (moment % 2) as u16;
        world.kill(dead);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let store = world.nodes[&dead].disk.open();
        let control = world.open_member(dead, store).await;
        control.register(&world.introduction(dead)).await.unwrap();
        world
            .until("one of them votes, and leads", 30, || {
                let leader = world.leader();
                leader.is_some_and(|id| world.control(id).status().voters == only(id))
            })
            .await;
        world.control(2).propose(topic(1)).await.unwrap();
        world.until_equal().await;
    }
}
