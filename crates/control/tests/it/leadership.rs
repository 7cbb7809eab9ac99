//! Who leads, and how leadership moves.

use std::time::Duration;

use control::Role;

use crate::world::{World, topic};

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_controller_is_replaced_within_three_seconds() {
    let mut world = World::of(5).await;
    for _ in 0..6 {
        let dead = world.until_leader(10).await;
        world.kill(dead);
        let died = tokio::time::Instant::now();
        let next = world.until_leader(3).await;
        world.control(next).propose(topic(dead.into())).await.ok();
        let took = died.elapsed();
        assert!(took <= Duration::from_secs(3), "{took:?}");
        world.start(dead).await.unwrap();
        world.until_equal().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_highest_live_voter_leads_once_it_is_steady() {
    let mut world = World::of(3).await;
    assert_eq!(world.leader(), Some(1));
    seconds(26).await;
    assert_eq!(world.leader(), Some(1), "30 s have not gone by");
    world
        .until("3 leads", 10, || world.leader() == Some(3))
        .await;
    let transferred = tokio::time::Instant::now();
    // Two more come, and vote: the higher waits until a minute has gone by since the last transfer.
    world.start(4).await.unwrap();
    world.start(5).await.unwrap();
    world.settle(5).await;
    while transferred.elapsed() < Duration::from_secs(58) {
        assert_eq!(world.leader(), Some(3));
        seconds(1).await;
    }
    world
        .until("5 leads", 10, || world.leader() == Some(5))
        .await;
    // It dies, and leads again after it came back: elected in between is whoever was quickest.
    world.kill(5);
    world.until_leader(3).await;
    world.start(5).await.unwrap();
    let back = tokio::time::Instant::now();
    while back.elapsed() < Duration::from_secs(29) {
        assert_ne!(world.leader(), Some(5), "after {:?}", back.elapsed());
        seconds(1).await;
    }
    world
        .until("5 leads again", 100, || world.leader() == Some(5))
        .await;
}

#[tokio::test(start_paused = true)]
async fn commands_go_on_while_leadership_moves() {
    let world = World::of(3).await;
    let mut slowest = Duration::ZERO;
    for n in 0..400 {
        let asked = tokio::time::Instant::now();
        let control = world.control(1 + (n % 3) as u16);
        control.propose(topic(n)).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.leader(), Some(3));
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_can_send_but_not_hear_loses_leadership_within_ten_seconds() {
    for with_commands in [false, true] {
        let world = World::of(5).await;
        let deaf = world.leader().unwrap();
        let others: Vec<u16> = (1..=5).filter(|id| *id != deaf).collect();
        if with_commands {
            let control = world.control(deaf).clone();
            tokio::spawn(async move { control.propose(topic(1)).await });
        }
        others.iter().for_each(|id| world.cut(*id, deaf, true));
        let term = world.control(deaf).status().term;
        world
            .until("another leads", 10, || {
                others.iter().any(|id| {
                    let status = world.control(*id).status();
                    status.role == Role::Leader && status.term > term
                })
            })
            .await;
        assert_eq!(world.control(deaf).status().controller, None);
        let outcome = world.control(others[0]).propose(topic(2)).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        others.iter().for_each(|id| world.cut(*id, deaf, false));
        world.until_equal().await;
        world.until_leader(5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_successor_never_takes_over_does_not_block_the_cluster() {
    let world = World::of(3).await;
    assert_eq!(world.leader(), Some(1));
    seconds(27).await;
    // Membership still believes that 3 lives, and it is caught up: it is asked to lead, in vain.
    for other in [1, 2] {
        world.cut(3, other, true);
        world.cut(other, 3, true);
    }
    seconds(4).await;
    let asked = tokio::time::Instant::now();
    let mut outcome = world.control(2).propose(topic(1)).await;
    if outcome.is_err() {
        outcome = world.control(2).propose(topic(2)).await;
    }
    let took = asked.elapsed();
    assert!(outcome.is_ok(), "{outcome:?} after {took:?}");
    assert!(took < Duration::from_secs(12), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_leaves_in_good_order_is_replaced_at_once() {
    let mut world = World::of(3).await;
    let leader = world.leader().unwrap();
    let begin = tokio::time::Instant::now();
    world
        .control(leader)
        .hand_over(Duration::from_secs(5))
        .await;
    world.kill(leader);
    let next = world.until_leader(1).await;
    world.control(next).propose(topic(1)).await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );
    // Who does not lead has nothing to hand over.
    let follower = (1..=3).find(|id| *id != leader && *id != next).unwrap();
    let begin = tokio::time::Instant::now();
    let patience = Duration::from_secs(5);
    world.control(follower).hand_over(patience).await;
    assert_eq!(
        (begin.elapsed(), world.leader()),
        (Duration::ZERO, Some(next))
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_cut_off_disturbs_nobody_when_it_is_back() {
    let world = World::of(3).await;
    let term = world.control(1).status().term;
    for other in [1, 3] {
        world.cut(2, other, true);
        world.cut(other, 2, true);
    }
    seconds(20).await;
    for other in [1, 3] {
        world.cut(2, other, false);
        world.cut(other, 2, false);
    }
    seconds(5).await;
    assert_eq!(world.leader(), Some(1));
    assert_eq!(
        world.control(1).status().term,
        term,
        "pre-vote holds it back"
    );
    world.until_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_is_replaced_and_follows_when_it_is_back() {
    let world = World::of(3).await;
    let old = world.leader().unwrap();
    let others: Vec<u16> = (1..=3).filter(|id| *id != old).collect();
    for other in &others {
        world.cut(old, *other, true);
        world.cut(*other, old, true);
    }
    world
        .until("another leads", 5, || {
            world.leader().is_some_and(|leader| leader != old)
        })
        .await;
    world.control(others[0]).propose(topic(1)).await.unwrap();
    assert!(world.control(old).fresh().await.is_err());
    for other in &others {
        world.cut(old, *other, false);
        world.cut(*other, old, false);
    }
    world.until_equal().await;
    assert_eq!(world.control(old).view().topics().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_leaves_hands_over_to_who_answers_and_has_the_most() {
    for with_commands in [false, true] {
        let world = World::of(3).await;
        assert_eq!(world.leader(), Some(1));
        // Membership sees the one that cannot be reached, and not the one that can.
        for (from, to) in [(1, 3), (3, 1)] {
            world.cut(from, to, true);
        }
        world.note(2, !with_commands);
        for n in 0..if with_commands { 18 } else { 0 } {
            world.control(1).propose(topic(n)).await.unwrap();
        }
        seconds(2).await;
        let begin = tokio::time::Instant::now();
        world.control(1).hand_over(Duration::from_secs(5)).await;
        world
            .until("2 leads", 1, || world.leader() == Some(2))
            .await;
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
