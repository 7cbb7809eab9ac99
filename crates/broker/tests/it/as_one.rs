//! Three nodes answer like one: whatever is asked of whichever node, it is what a node that holds
//! everything would have said.

mod world;

use model::NodeId;
use proptest::prelude::*;
use proptest::sample::Index;

use self::world::World;

const PARTITIONS: u32 = 6;
const GROUPS: usize = 4;

/// Something that is asked of one node.
#[derive(Debug, Clone)]
enum Ask {
    Publish {
        key: Option<u8>,
        partition: Option<u32>,
        texts: u8,
        millis: u64,
    },
    /// Of an idempotent producer: with which sequence number, as if it had written so many before.
    Append {
        partition: u32,
        sequence: i32,
    },
    Poll {
        from: From,
        only: Option<Vec<u32>>,
    },
    Fetch {
        positions: Vec<(u32, u64)>,
    },
    Resolve {
        from: From,
    },
    Last,
    DeleteRecords {
        partition: u32,
        before: u64,
    },
    GroupPoll {
        group: u8,
        from: From,
        done: bool,
        auto_commit: bool,
    },
    Commit {
        group: u8,
    },
    Reset {
        group: u8,
        from: From,
    },
    Group {
        group: u8,
    },
    Groups,
    Leave {
        group: u8,
    },
    DeleteGroup {
        group: u8,
    },
    Describe,
}

#[derive(Debug, Clone)]
enum From {
    Earliest,
    Latest,
    Offset(u64),
    Time(u64),
    /// What the last poll has answered.
    Cursor,
}

/// What is asked, and of which node.
type Step = (Ask, Index);

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        Just(From::Earliest),
        Just(From::Latest),
        (0..8_u64).prop_map(From::Offset),
        (0..30_u64).prop_map(From::Time),
        Just(From::Cursor),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let partition = || 0..PARTITIONS + 1;
    let group = || 0..GROUPS as u8;
    prop_oneof![
        6 => (prop::option::of(0..9_u8), prop::option::of(partition()), 0..4_u8, 0..30_u64)
            .prop_map(|(key, partition, texts, millis)| Ask::Publish { key, partition, texts, millis }),
        2 => (partition(), 0..4_i32).prop_map(|(partition, sequence)| Ask::Append {
            partition,
            sequence: sequence * 2
        }),
        4 => (from(), prop::option::of(prop::collection::vec(partition(), 0..4)))
            .prop_map(|(from, only)| Ask::Poll { from, only }),
        1 => prop::collection::btree_map(partition(), 0..8_u64, 0..4)
            .prop_map(|positions| Ask::Fetch { positions: positions.into_iter().rev().collect() }),
        1 => from().prop_map(|from| Ask::Resolve { from }),
        1 => Just(Ask::Last),
        1 => Just(Ask::Describe),
        1 => (partition(), 0..8_u64)
            .prop_map(|(partition, before)| Ask::DeleteRecords { partition, before }),
        3 => (group(), from(), any::<bool>(), any::<bool>())
            .prop_map(|(group, from, done, auto_commit)| Ask::GroupPoll { group, from, done, auto_commit }),
        1 => group().prop_map(|group| Ask::Commit { group }),
        1 => (group(), from()).prop_map(|(group, from)| Ask::Reset { group, from }),
        1 => group().prop_map(|group| Ask::Group { group }),
        1 => Just(Ask::Groups),
        1 => group().prop_map(|group| Ask::Leave { group }),
        1 => group().prop_map(|group| Ask::DeleteGroup { group }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((ask(), any::<Index>()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn three_nodes_answer_like_one(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut one, mut three) = (World::of(1).await, World::of(3).await);
            for (number, (ask, node)) in steps.iter().enumerate() {
                let expected = one.tell(ask, node).await;
                let found = three.tell(ask, node).await;
                prop_assert_eq!(found, expected, "step {} {:?} at {:?}", number, ask, NodeId(node.index(3) as u16));
            }
            Ok(())
        })?;
    }
}
