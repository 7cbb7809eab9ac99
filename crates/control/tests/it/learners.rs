//! Those who follow without a vote: told what is new at once, and else left alone for most of the time.

use std::time::Duration;

use catalog::RaftId;
use model::NodeId;

use crate::world::{World, topic};

#[tokio::test(start_paused = true)]
async fn learners_hear_less_often_and_as_soon() {
    let world = World::of(9).await;
    let status = world.control(world.leader().unwrap()).status();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = world.arrived();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let after = world.arrived();
    let rate = |id: &RaftId| (after[&id.node().0] - before[&id.node().0]) as f64 / 20.0;
    let leader = world.leader().unwrap();
    for voter in status.voters.iter().filter(|id| id.node().0 != leader) {
        assert!(rate(voter) > 6.0, "{voter:?}: {}", rate(voter));
    }
    assert_eq!(status.learners.len(), 4);
    for learner in &status.learners {
        assert!(rate(learner) < 1.7, "{learner:?}: {}", rate(learner));
        assert!(rate(learner) > 1.0, "{learner:?}: {}", rate(learner));
    }
    // Reads ask a quorum, which a learner is no part of.
    let before = world.arrived();
    for _ in 0..200 {
        world.control(leader).fresh().await.unwrap();
    }
    let after = world.arrived();
    for learner in status.learners.iter().map(|id| id.node().0) {
        assert!(after[&learner] - before[&learner] < 10);
    }
    // What is agreed on is there as soon as a message takes.
    for n in 0..20 {
        world.control(leader).propose(topic(n)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        for learner in &status.learners {
            let view = world.control(learner.node().0).view();
            assert_eq!(view.topics().count(), n as usize + 1, "{learner:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_learner_that_membership_is_mistaken_about_is_not_fenced_and_one_that_is_dead_is() {
    let mut world = World::of(7).await;
    let leader = world.leader().unwrap();
    let status = world.control(leader).status();
    let mut learners = status.learners.iter().map(|id| id.node().0);
    let (mistaken, dead) = (learners.next().unwrap(), learners.next().unwrap());
    let is_fenced = |world: &World, id| {
        let view = world.control(leader).view();
        view.node(NodeId(id)).unwrap().fenced
    };
    world.note(mistaken, false);
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!is_fenced(&world, mistaken));
    }
    world.kill(dead);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(is_fenced(&world, dead));
    // What it missed while nobody told it, it hears when it is back.
    world.control(leader).propose(topic(1)).await.unwrap();
    world.start(dead).await.unwrap();
    world.until_equal().await;
}
