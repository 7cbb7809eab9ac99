//! Random histories: clients that join, sleep and commit with whatever they last knew, a disk that
//! is slow or fails, restarts. The promises of the coordinator hold in each.

mod promises;
mod world;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use self::world::World;

const CLIENTS: usize = 6;
const TOPICS: u8 = 2;

#[derive(Debug, Clone)]
enum Op {
    /// A client joins with what it knows; a process that restarted knows nothing.
    Join {
        client: usize,
        restarted: bool,
        topics: u8,
        id_first: bool,
    },
    Sync {
        client: usize,
    },
    Beat {
        client: usize,
    },
    Leave {
        client: usize,
    },
    /// `memory` picks one of the (member, generation) pairs that the client was ever told, `pick`
    /// a partition of its own, or any if it has none.
    Commit {
        client: usize,
        memory: usize,
        pick: usize,
    },
    CommitFromOutside {
        group: u8,
        topic: u8,
        partition: u32,
    },
    Delete {
        group: u8,
    },
    Fetch {
        group: u8,
    },
    Topic {
        topic: u8,
        count: u32,
    },
    Advance {
        millis: u64,
    },
    /// One of the writes on their way ends.
    EndWrite {
        which: usize,
        ok: bool,
    },
    /// The process dies; of the writes on their way the first few are on disk.
    Restart {
        survive: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let client = || 0..CLIENTS;
    let group = || 0..2_u8;
    let topic = || 0..TOPICS;
    prop_oneof![
        6 => (client(), prop::bool::weighted(0.1), 1..4_u8, prop::bool::weighted(0.1)).prop_map(
            |(client, restarted, topics, id_first)| Op::Join { client, restarted, topics, id_first }
        ),
        3 => client().prop_map(|client| Op::Sync { client }),
        3 => client().prop_map(|client| Op::Beat { client }),
        1 => client().prop_map(|client| Op::Leave { client }),
        8 => (client(), prop_oneof![4 => Just(0), 1 => 1..4_usize], 0..6_usize)
            .prop_map(|(client, memory, pick)| Op::Commit { client, memory, pick }),
        1 => (group(), topic(), 0..4_u32).prop_map(|(group, topic, partition)| {
            Op::CommitFromOutside { group, topic, partition }
        }),
        1 => group().prop_map(|group| Op::Delete { group }),
        3 => group().prop_map(|group| Op::Fetch { group }),
        1 => (topic(), 0..5_u32).prop_map(|(topic, count)| Op::Topic { topic, count }),
        2 => (0..15_000_u64).prop_map(|millis| Op::Advance { millis }),
        14 => (prop_oneof![4 => Just(0), 1 => 0..3_usize], prop::bool::weighted(0.95))
            .prop_map(|(which, ok)| Op::EndWrite { which, ok }),
        1 => (0..4_usize).prop_map(|survive| Op::Restart { survive }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_in_every_history(ops in vec(op(), 1..120)) {
        let mut world = World::new();
        ops.iter().for_each(|op| world.step(op));
        world.finish();
    }

    #[test]
    fn the_same_history_has_the_same_trace(ops in vec(op(), 1..120)) {
        let trace = || {
            let mut world = World::new();
            ops.iter().for_each(|op| world.step(op));
            world.trace
        };
        prop_assert_eq!(trace(), trace());
    }
}

/// The histories above must reach the interesting places, or they prove nothing.
#[test]
fn random_histories_are_not_trivial() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for _ in 0..150 {
        let ops = vec(op(), 150).new_tree(&mut runner).unwrap().current();
        let mut world = World::new();
        ops.iter().for_each(|op| world.step(op));
        for (what, count) in world.seen {
            *seen.entry(what).or_insert(0) += count;
        }
    }
    for what in [
        "commit ok",
        "commit not_owner",
        "commit refused illegal_generation",
        "commit refused unknown_member",
        "commit refused fenced_instance",
        "commit refused not_persisted",
        "refused rebalance_in_progress",
        "refused member_id_required",
        "refused group_not_empty",
        "joined as leader",
        "joined with partitions",
        "deleted",
    ] {
        assert!(
            seen.get(what).copied().unwrap_or(0) >= 5,
            "{what}: {seen:?}"
        );
    }
}
