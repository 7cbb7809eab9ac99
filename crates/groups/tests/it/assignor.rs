//! The sticky assignor: complete, balanced, sticky, deterministic.

use std::collections::{BTreeMap, BTreeSet};

use groups::assign::{Subscriber, assign};
use model::{PartitionId, PartitionIndex, TopicId};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

type Topics = BTreeMap<TopicId, u32>;
type Wishes = Vec<BTreeSet<TopicId>>;
type Assigned = Vec<Vec<PartitionId>>;

fn topic(number: u8) -> TopicId {
    TopicId::from_bytes([number; 16])
}

fn run(topics: &Topics, wishes: &Wishes, held: &Assigned) -> Assigned {
    let subscribers: Vec<Subscriber<'_>> = wishes
        .iter()
        .enumerate()
        .map(|(index, topics)| Subscriber {
            topics,
            held: held.get(index).map_or(&[], |h| h),
        })
        .collect();
    assign(topics, &subscribers)
}

fn topics() -> impl Strategy<Value = Topics> {
    vec(1..12_u32, 1..5).prop_map(|counts| (0..).map(topic).zip(counts).collect())
}

/// Members with one and the same wish, or with any.
fn wishes(same: bool) -> impl Strategy<Value = Wishes> {
    let any = btree_set(0..5_u8, 0..5).prop_map(|set| set.into_iter().map(topic).collect());
    vec(any, 1..9).prop_map(move |mut wishes: Wishes| {
        if same {
            wishes.fill((0..5).map(topic).collect());
        }
        wishes
    })
}

/// Any history: claims that may be void, doubled or lopsided.
fn claims() -> impl Strategy<Value = Assigned> {
    let partition = (0..5_u8, 0..12_u32).prop_map(|(number, index)| PartitionId {
        topic: topic(number),
        index: PartitionIndex(index),
    });
    vec(vec(partition, 0..12), 0..9)
}

fn count(assigned: &[PartitionId], topic: TopicId) -> usize {
    assigned
        .iter()
        .filter(|partition| partition.topic == topic)
        .count()
}

fn check_complete(topics: &Topics, wishes: &Wishes, assigned: &Assigned) {
    let all: Vec<PartitionId> = assigned.iter().flatten().copied().collect();
    let distinct: BTreeSet<PartitionId> = all.iter().copied().collect();
    assert_eq!(all.len(), distinct.len(), "a partition has two owners");
    for (topic, partitions) in topics {
        let wanted = wishes.iter().any(|wish| wish.contains(topic));
        let expected = if wanted { *partitions as usize } else { 0 };
        assert_eq!(count(&all, *topic), expected, "a partition has no owner");
    }
    for (wish, own) in wishes.iter().zip(assigned) {
        assert!(
            own.iter().all(|partition| wish.contains(&partition.topic)),
            "unwanted"
        );
        assert!(own.is_sorted());
    }
}

fn check_balanced(topics: &Topics, wishes: &Wishes, assigned: &Assigned) {
    let real = |wish: &BTreeSet<TopicId>| {
        wish.iter()
            .filter(|topic| topics.contains_key(topic))
            .copied()
            .collect::<BTreeSet<_>>()
    };
    for (a, wish_a) in wishes.iter().enumerate() {
        for (b, wish_b) in wishes.iter().enumerate() {
            let (of_a, of_b) = (&assigned[a], &assigned[b]);
            if real(wish_a) == real(wish_b) {
                assert!(of_a.len() <= of_b.len() + 1, "{of_a:?} and {of_b:?}");
                for topic in wish_a {
                    assert!(count(of_a, *topic) <= count(of_b, *topic) + 1, "{topic}");
                }
            }
            if of_a.len() >= of_b.len() + 2 {
                let movable = of_a
                    .iter()
                    .find(|partition| wish_b.contains(&partition.topic));
                assert_eq!(movable, None, "{of_a:?} and {of_b:?}");
            }
        }
    }
}

/// Partitions whose holder is still there and wants them, but lost them.
fn moved(topics: &Topics, wishes: &Wishes, before: &Assigned, after: &Assigned) -> usize {
    let mut claimed = BTreeSet::new();
    let mut moved = 0;
    for ((wish, held), now) in wishes.iter().zip(before).zip(after) {
        for partition in held {
            let exists = topics
                .get(&partition.topic)
                .is_some_and(|n| partition.index.0 < *n);
            let valid = exists && wish.contains(&partition.topic) && claimed.insert(*partition);
            moved += usize::from(valid && !now.contains(partition));
        }
    }
    moved
}

/// The fewest moves of one topic from `held` partitions each to an even share: the largest
/// shares go to those who hold most.
fn fewest_moves(mut held: Vec<usize>, partitions: usize) -> usize {
    held.sort_unstable_by(|a, b| b.cmp(a));
    let (each, extras) = (partitions / held.len(), partitions % held.len());
    let quota = |rank: usize| each + usize::from(rank < extras);
    held.iter()
        .enumerate()
        .map(|(rank, held)| held.saturating_sub(quota(rank)))
        .sum()
}

proptest! {
    #[test]
    fn every_partition_has_one_reader_and_all_have_the_same_share(
        topics in topics(), wishes in any::<bool>().prop_flat_map(wishes), held in claims(),
    ) {
        let assigned = run(&topics, &wishes, &held);
        check_complete(&topics, &wishes, &assigned);
        check_balanced(&topics, &wishes, &assigned);
    }

    #[test]
    fn assigning_again_moves_nothing(
        topics in topics(), wishes in any::<bool>().prop_flat_map(wishes), held in claims(),
    ) {
        let assigned = run(&topics, &wishes, &held);
        prop_assert_eq!(&run(&topics, &wishes, &assigned), &assigned);
    }

    #[test]
    fn one_topic_moves_as_little_as_possible(
        partitions in 1..12_u32, wishes in wishes(true), held in claims(),
    ) {
        let topics = Topics::from([(topic(0), partitions)]);
        let assigned = run(&topics, &wishes, &held);
        let mut valid = BTreeSet::new();
        let mut holds = |own: &Vec<PartitionId>| {
            own.iter()
                .filter(|p| p.topic == topic(0) && p.index.0 < partitions && valid.insert(**p))
                .count()
        };
        let mut held_by = |index| held.get(index).map_or(0, &mut holds);
        let held_counts: Vec<usize> = (0..wishes.len()).map(&mut held_by).collect();
        prop_assert_eq!(
            moved(&topics, &wishes, &held, &assigned),
            fewest_moves(held_counts, partitions as usize)
        );
    }

    #[test]
    fn a_newcomer_takes_and_the_others_do_not_swap(topics in topics(), wishes in wishes(true)) {
        let before = run(&topics, &wishes, &vec![]);
        let more: Wishes = wishes.iter().chain(wishes.first()).cloned().collect();
        let after = run(&topics, &more, &before);
        let taken = after.last().unwrap().len();
        let moves = moved(&topics, &wishes, &before, &after);
        // Evenness in every topic may cost a swap on top of what the newcomer gets.
        prop_assert!(moves <= taken + topics.len(), "{} moves for {}", moves, taken);
        if topics.len() == 1 {
            prop_assert_eq!(moves, taken);
        }
    }
}

#[test]
fn a_leaver_s_partitions_are_spread_and_nothing_else_moves() {
    let topics = Topics::from([(topic(0), 12)]);
    let wish: BTreeSet<TopicId> = [topic(0)].into();
    let before = run(&topics, &vec![wish.clone(); 4], &vec![]);
    let after = run(&topics, &vec![wish; 3], &before[1..].to_vec());
    for (was, is) in before[1..].iter().zip(&after) {
        assert!(was.iter().all(|partition| is.contains(partition)));
        assert_eq!(is.len(), 4);
    }
}

#[test]
fn new_partitions_go_to_those_with_the_fewest() {
    let wish: BTreeSet<TopicId> = [topic(0), topic(1)].into();
    let wishes = vec![wish; 3];
    let before = run(&Topics::from([(topic(0), 4)]), &wishes, &vec![]);
    let grown = Topics::from([(topic(0), 5), (topic(1), 1)]);
    let after = run(&grown, &wishes, &before);
    assert_eq!(moved(&grown, &wishes, &before, &after), 0);
    assert_eq!(after.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn a_large_group_is_assigned_in_reasonable_time() {
    let topics: Topics = (0..100).map(|number| (topic(number), 100)).collect();
    let wishes: Wishes = vec![topics.keys().copied().collect(); 1_000];
    let before = run(&topics, &wishes, &vec![]);
    let after = run(&topics, &wishes[1..].to_vec(), &before[1..].to_vec());
    check_complete(&topics, &wishes[1..].to_vec(), &after);
    assert!(after.iter().all(|own| own.len() == 10 || own.len() == 11));
}
