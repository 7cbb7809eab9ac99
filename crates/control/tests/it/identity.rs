//! Who may be whom.

use std::time::Duration;

use catalog::{Command, Refusal};
use control::testing::MemoryDisk;
use control::{Control, ControlError, ProposeError, Role};
use model::NodeId;

use crate::world::World;

fn refusal(error: ControlError) -> Refusal {
    match error {
        ControlError::Refused(refusal) => refusal,
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_directory_is_refused_beside_its_original_and_after_it() {
    let mut world = World::of(3).await;
    let copy = world.nodes[&3].disk.copy();
    // Beside its original: the copy asks like a node that has just been started again.
    let twin = world.open_beside(3, copy.open()).await;
    let error = world.register_from(&twin, 1, 3).await.unwrap_err();
    assert!(matches!(
        refusal(error),
        Refusal::AlreadyRunning(NodeId(3), _)
    ));
    twin.crash();
    // After the original has run again: the copy's past ends before that.
    let old = world.nodes[&3].disk.copy();
    world.kill(3);
    world.start(3).await.unwrap();
    world.kill(3);
    world.start(3).await.unwrap();
    let twin = world.open_beside(3, old.open()).await;
    assert_eq!(
        world.control(1).view().admit(&twin.claim()),
        Err(Refusal::OldCopy(NodeId(3)))
    );
    world.kill(3);
    let error = world.register_from(&twin, 1, 3).await.unwrap_err();
    assert_eq!(refusal(error), Refusal::OldCopy(NodeId(3)));
    twin.crash();
    world.start(3).await.unwrap();
    world.until_equal().await;
}

/// Whoever is told that a node has started can rely on its directory knowing that.
#[tokio::test(start_paused = true)]
async fn a_start_is_on_the_disk_before_it_is_over() {
    let mut world = World::of(3).await;
    for id in [1, 3] {
        world.kill(id);
        world.start(id).await.unwrap();
        let (disk, started) = (world.nodes[&id].disk.copy(), world.control(id).boot());
        let incarnation = world
            .control(id)
            .view()
            .node(NodeId(id))
            .unwrap()
            .incarnation;
        let copy = world.open_beside(id, disk.open()).await;
        let claim = copy.claim();
        assert_eq!(
            (claim.known_boots, claim.incarnation),
            (vec![started], incarnation)
        );
        copy.crash();
    }
}

/// What else keeps the chain of starts may hold a start that was never registered.
#[tokio::test(start_paused = true)]
async fn a_start_that_was_begun_is_known_to_the_next() {
    let mut world = World::of(1).await;
    world.kill(1);
    let disk = world.nodes[&1].disk.clone();
    let begun = world.open_beside(1, disk.open()).await;
    let claim = begun.begin().await.unwrap();
    assert_eq!(claim.boot, begun.boot());
    begun.crash();
    let next = world.open_beside(1, disk.open()).await;
    let known = [&claim.known_boots[..], &[claim.boot]].concat();
    assert_eq!(next.claim().known_boots, known);
    assert_eq!(next.claim().incarnation, claim.incarnation);
    next.crash();
    world.start(1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_started_again_at_once_need_not_wait_for_membership() {
    let mut world = World::of(3).await;
    world.kill(3);
    world.note(3, true);
    let started = tokio::time::Instant::now();
    world.start(3).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_taken_id_is_refused() {
    let mut world = World::of(3).await;
    let stranger = world.open_beside(2, MemoryDisk::new().open()).await;
    let error = world.register_from(&stranger, 1, 2).await.unwrap_err();
    assert!(matches!(refusal(error), Refusal::IdTaken(NodeId(2), _)));
    world.kill(2);
    let error = world.register_from(&stranger, 1, 2).await.unwrap_err();
    assert!(matches!(refusal(error), Refusal::OtherDisk { .. }));
    stranger.crash();
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_holder_may_have_died_is_neither_taken_nor_free() {
    let mut world = World::of(3).await;
    let stranger = world.open_beside(2, MemoryDisk::new().open()).await;
    world.kill(2);
    // Membership has not noticed.
    world.note(2, true);
    let registration = stranger.registration(&world.introduction(2)).await;
    let command = Command::Register(registration.unwrap());
    let asked = world.control(1).propose(command.clone()).await;
    let why = asked.unwrap_err();
    assert!(matches!(why, ProposeError::Unavailable(_)), "{why}");
    assert!(why.to_string().contains("whether node 2"), "{why}");
    let asked = tokio::join!(world.control(1).propose(command), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.note(2, false);
    });
    let refused = ProposeError::Refused(Refusal::OtherDisk {
        id: NodeId(2),
        registered: world.control(1).view().node(NodeId(2)).unwrap().storage,
        given: stranger.identity().storage,
    });
    assert_eq!(asked.0, Err(refused));
    stranger.crash();
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_membership_has_not_met_is_asked_all_the_same() {
    let mut world = World::of(3).await;
    let copy = world.nodes[&2].disk.copy();
    let twin = world.open_beside(2, copy.open()).await;
    world.forget(2);
    let error = world.register_from(&twin, 1, 2).await.unwrap_err();
    assert!(matches!(
        refusal(error),
        Refusal::AlreadyRunning(NodeId(2), _)
    ));
    // One that has ended, and was never met, is known to have ended when the controller fences it.
    world.kill(2);
    world.forget(2);
    let early = world.register_from(&twin, 1, 2);
    assert!(
        tokio::time::timeout(Duration::from_secs(5), early)
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.register_from(&twin, 1, 2).await.unwrap();
    twin.crash();
}

#[tokio::test(start_paused = true)]
async fn founding_survives_a_loss_of_power_at_every_step() {
    for commits in 0..12 {
        let mut world = World::new();
        let disk = MemoryDisk::new();
        disk.fail_after(commits);
        world.nodes.insert(7, crate::world::Node::on(disk.clone()));
        if world.try_start(7).await.is_ok() {
            world.kill(7);
        }
        disk.heal();
        world.start(7).await.unwrap();
        assert_eq!(world.control(7).view().nodes().count(), 1, "{commits}");
        assert_eq!(world.control(7).status().role, Role::Leader);
        let identity = world.control(7).identity();
        assert_eq!(identity.node(), Some(NodeId(7)));
        assert_eq!(
            world.control(7).view().cluster(),
            identity.member.map(|m| m.cluster)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn joining_survives_a_loss_of_power_at_every_step() {
    for commits in 0..8 {
        let mut world = World::of(2).await;
        let disk = MemoryDisk::new();
        disk.fail_after(commits);
        world.nodes.insert(3, crate::world::Node::on(disk.clone()));
        if world.try_start(3).await.is_ok() {
            world.kill(3);
        }
        world.note(3, false);
        disk.heal();
        world.start(3).await.unwrap();
        world.settle(3).await;
        assert_eq!(world.control(3).identity().node(), Some(NodeId(3)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_founds_only_once() {
    let mut world = World::new();
    world.start(1).await.unwrap();
    let again = world.control(1).found(&world.introduction(1)).await;
    assert!(
        matches!(again, Err(ControlError::AlreadyMember)),
        "{again:?}"
    );
    let stranger: Control = world.open_beside(2, MemoryDisk::new().open()).await;
    let early = stranger.register(&world.introduction(2)).await;
    assert!(matches!(early, Err(ControlError::NotMember)), "{early:?}");
    assert!(stranger.fresh().await.is_err());
}
