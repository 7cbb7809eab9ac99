//! One catalog on all nodes.

use std::time::Duration;

use catalog::{Command, Outcome, Refusal};
use control::ProposeError;

use crate::world::{World, first_of, topic};

#[tokio::test(start_paused = true)]
async fn a_node_alone_is_a_cluster_of_one() {
    let mut world = World::new();
    world.start(1).await.unwrap();
    let started = tokio::time::Instant::now();
    world.control(1).propose(topic(1)).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(200));
    assert_eq!(world.leader(), Some(1));
    assert_eq!(world.control(1).view().topics().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn any_node_takes_a_command_and_holds_it_when_it_is_agreed_on() {
    let world = World::of(3).await;
    for id in 1..=3 {
        let outcome = world.control(id).propose(topic(id.into())).await.unwrap();
        assert!(matches!(outcome, Outcome::Topic(_)), "{outcome:?}");
        let view = world.control(id).view();
        assert!(view.topics().any(|t| t.name.as_str() == format!("t{id}")));
    }
    let again = world.control(2).propose(topic(1)).await;
    assert!(
        matches!(again, Err(ProposeError::Refused(_)) | Ok(Outcome::Topic(_))),
        "{again:?}"
    );
    let unknown = Command::DeleteTopic {
        id: model::TopicId::from_bytes([9; 16]),
    };
    let refused = world.control(3).propose(unknown).await;
    assert_eq!(refused, Err(ProposeError::Refused(Refusal::UnknownTopic)));
    world.until_equal().await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_view_holds_what_was_agreed_on_elsewhere() {
    let world = World::of(3).await;
    for n in 0..20 {
        world.control(1).propose(topic(n)).await.unwrap();
        let fresh = world.control(3).fresh().await.unwrap();
        assert_eq!(fresh.topics().count(), n as usize + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_answer_is_lost_happens_once() {
    let world = World::of(3).await;
    let leader = world.leader().unwrap();
    let asks = if leader == 1 { 2 } else { 1 };
    let take = Command::TakeProducerIds { count: 10 };
    let before = first_of(&world.control(asks).propose(take.clone()).await.unwrap());
    // The leader hears, but its answers to this node are lost for a while.
    world.cut(leader, asks, true);
    let control = world.control(asks).clone();
    let taking = tokio::spawn({
        let take = take.clone();
        async move { control.propose(take).await }
    });
    tokio::time::sleep(Duration::from_millis(2500)).await;
    world.cut(leader, asks, false);
    let during = first_of(&taking.await.unwrap().unwrap());
    let after = first_of(&world.control(asks).propose(take).await.unwrap());
    assert_eq!((during, after), (before + 10, before + 20));
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_nothing_is_agreed_on_and_nothing_is_forgotten() {
    let mut world = World::of(3).await;
    world.control(1).propose(topic(1)).await.unwrap();
    world.kill(2);
    world.kill(3);
    let started = tokio::time::Instant::now();
    let alone = world.control(1).propose(topic(2)).await;
    assert!(
        matches!(alone, Err(ProposeError::Unavailable(_))),
        "{alone:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(13));
    assert!(world.control(1).fresh().await.is_err());
    world.start(2).await.unwrap();
    let view = world.control(2).fresh().await.unwrap();
    assert!(view.topics().any(|topic| topic.name.as_str() == "t1"));
    world.start(3).await.unwrap();
    world.until_equal().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_of_power_everywhere_all_that_was_agreed_on_is_there() {
    let mut world = World::of(3).await;
    for n in 0..30 {
        world.control(1).propose(topic(n)).await.unwrap();
    }
    let fingerprint = world.control(1).status().fingerprint;
    for id in 1..=3 {
        world.kill(id);
    }
    // Two are opened at once, for neither can register before the other is there.
    let disks = [1, 2].map(|id| world.nodes[&id].disk.open());
    let mut opened = Vec::new();
    for (id, disk) in [1, 2].into_iter().zip(disks) {
        opened.push((id, world.open_member(id, disk).await));
    }
    let view = opened[0].1.fresh().await.unwrap();
    assert_eq!(view.topics().count(), 30);
    assert_eq!(view.fingerprint(), fingerprint);
    for (id, control) in &opened {
        control.register(&world.introduction(*id)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_without_a_majority_knows_what_was_agreed_on_a_moment_before_it_ended() {
    let mut world = World::of(7).await;
    world.control(1).propose(topic(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let commits = |world: &World| {
        let disks = world.nodes.values().map(|node| node.disk.commits());
        disks.collect::<Vec<_>>()
    };
    let before = commits(&world);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        commits(&world),
        before,
        "who has nothing new writes nothing"
    );
    for id in 1..=7 {
        world.kill(id);
    }
    for id in 1..=7 {
        let disk = world.nodes[&id].disk.open();
        let alone = world.open_member(id, disk).await;
        let view = alone.view();
        assert!(view.topics().any(|topic| topic.name.as_str() == "t1"));
        world.kill(id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_away_for_long_catches_up_by_a_snapshot() {
    let mut world = World::new();
    world.snapshot_after = Some(50);
    for id in 1..=3 {
        world.start(id).await.unwrap();
    }
    world.settle(3).await;
    world.kill(3);
    for n in 0..300 {
        world.control(1).propose(topic(n)).await.unwrap();
    }
    let purged = world.control(1).status().purged;
    assert!(purged.is_some_and(|purged| purged > 200), "{purged:?}");
    world.start(3).await.unwrap();
    world.until_equal().await;
    assert_eq!(world.control(3).view().topics().count(), 300);
    // And from its own snapshot after the next loss of power.
    world.kill(3);
    world.start(3).await.unwrap();
    world.until_equal().await;
    assert_eq!(world.control(3).view().topics().count(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_stops_the_node_and_nobody_else() {
    let world = World::of(3).await;
    let leader = world.leader().unwrap();
    world.nodes[&leader].disk.fail("the disk is on fire");
    let other = if leader == 1 { 2 } else { 1 };
    world.control(other).propose(topic(1)).await.unwrap();
    world
        .until("the failed one says so", 30, || {
            let status = world.control(leader).status();
            status.failure.is_some_and(|why| why.contains("on fire"))
        })
        .await;
    world.control(other).propose(topic(2)).await.unwrap();
    assert_eq!(world.control(other).view().topics().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_lost_on_the_way_holds_up_its_node_for_a_moment_only() {
    let mut world = World::new();
    world.snapshot_after = Some(50);
    for id in 1..=3 {
        world.start(id).await.unwrap();
    }
    world.settle(3).await;
    for (from, to) in [(1, 3), (3, 1)] {
        world.cut(from, to, true);
    }
    for n in 0..300 {
        world.control(1).propose(topic(n)).await.unwrap();
    }
    // By now it is told the snapshot, and hears nothing of it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (from, to) in [(1, 3), (3, 1)] {
        world.cut(from, to, false);
    }
    let last = world.control(1).status().applied;
    world
        .until("it has everything", 6, || {
            world.control(3).status().applied >= last
        })
        .await;
}
