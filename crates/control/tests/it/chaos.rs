//! Nodes that die, links that break, disks that are slow: what was acknowledged stays, and nothing
//! happens twice.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{Command, NodeState};
use control::Role;
use model::NodeId;

use crate::world::{World, first_of, topic};

const NODES: u16 = 6;

/// A sequence of numbers that follows from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn node(&mut self) -> u16 {
        1 + self.roll(NODES.into()) as u16
    }
}

/// What clients were told.
#[derive(Default)]
struct Told {
    topics: BTreeSet<u32>,
    ids: BTreeSet<u64>,
}

async fn run(seed: u64) {
    let mut world = World::with_seed(seed);
    world.snapshot_after = Some(20);
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9));
    for id in 1..=NODES {
        world.start(id).await.unwrap();
        let sync = Duration::from_millis(dice.roll(4) * 5);
        world.nodes[&id].disk.set_sync_time(sync);
    }
    world.settle(NODES.into()).await;
    let mut told = Told::default();
    for n in 0..60 {
        disturb(&mut world, &mut dice).await;
        ask(&world, &mut dice, n, &mut told).await;
        check_leaders(&world);
        tokio::time::sleep(Duration::from_millis(dice.roll(800))).await;
    }
    heal(&mut world).await;
    world.until_leader(10).await;
    for id in (1..=NODES).map(NodeId) {
        let state = NodeState::Active;
        let change = Command::SetNodeState { id, state };
        world.control(1).propose(change).await.unwrap();
    }
    world.settle(NODES.into()).await;
    let view = world.control(1).view();
    for n in &told.topics {
        let name = format!("t{n}");
        assert!(
            view.topics().any(|topic| topic.name.as_str() == name),
            "seed {seed}: {name}"
        );
    }
}

async fn disturb(world: &mut World, dice: &mut Dice) {
    let id = dice.node();
    let runs = world.nodes[&id].control.is_some();
    let down = usize::from(NODES) - world.running().count();
    match dice.roll(10) {
        0 if runs && down < 2 => world.kill(id),
        1 | 2 if !runs => drop(world.start(id).await),
        3 => world.cut(id, dice.node(), true),
        4 => {
            let other = dice.node();
            (1..=NODES).for_each(|id| world.cut(id, other, dice.roll(2) == 0));
        }
        5 | 6 => (1..=NODES).for_each(|a| (1..=NODES).for_each(|b| world.cut(a, b, false))),
        _ => {}
    }
}

async fn ask(world: &World, dice: &mut Dice, n: u32, told: &mut Told) {
    let id = dice.node();
    let Some(control) = world.nodes[&id].control.clone() else {
        return;
    };
    let what = dice.roll(8);
    if what == 0 {
        let states = [NodeState::Active, NodeState::Draining];
        let state = states[dice.roll(2) as usize];
        let node = NodeId(dice.node());
        let change = Command::SetNodeState { id: node, state };
        control.propose(change).await.ok();
    } else if what < 5 {
        if control.propose(topic(n)).await.is_ok() {
            told.topics.insert(n);
            let view = control.view();
            let name = format!("t{n}");
            assert!(view.topics().any(|topic| topic.name.as_str() == name));
        }
    } else if let Ok(taken) = control.propose(Command::TakeProducerIds { count: 2 }).await {
        let first = first_of(&taken);
        assert!(
            told.ids.insert(first) && told.ids.insert(first + 1),
            "{first} given twice"
        );
    }
}

/// Of one term there is one leader at most: with our ids, of one term and node.
fn check_leaders(world: &World) {
    let mut seen = BTreeSet::new();
    for control in world.running() {
        let status = control.status();
        if status.role == Role::Leader {
            assert!(
                seen.insert((status.term, status.me)),
                "two leaders of one term"
            );
        }
    }
}

async fn heal(world: &mut World) {
    for id in 1..=NODES {
        (1..=NODES).for_each(|other| world.cut(id, other, false));
    }
    // All at once: those that are down may be the majority of the voters.
    let down = |id: &u16| world.nodes[id].control.is_none();
    let down: Vec<u16> = (1..=NODES).filter(down).collect();
    for id in &down {
        let store = world.nodes[id].disk.open();
        world.open_member(*id, store).await;
    }
    for id in down {
        let introduction = world.introduction(id);
        world.control(id).register(&introduction).await.unwrap();
    }
}

#[test]
fn what_was_acknowledged_stays_whatever_happens() {
    let first = std::env::var("CONTROL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let count = std::env::var("CONTROL_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok());
    for seed in first.unwrap_or(1)..first.unwrap_or(1) + count.unwrap_or(2) {
        println!("CONTROL_SEED={seed} CONTROL_SEEDS=1 cargo test -p control --test it chaos");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed));
    }
}
