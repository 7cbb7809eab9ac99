//! Nodes that come and go: how much moves, and that it stays balanced.

use std::collections::BTreeSet;

use expect_test::expect;
use model::NodeId;
use overlay::placement::{Member, plan};
use proptest::prelude::*;

use crate::clusters::{Numbers, PARTITIONS, Placed, imbalance, members};

/// What a change of the members cost.
struct Cost {
    /// Copies that a node has now and had not before.
    copied: usize,
    /// The share of the node that came, or what the node had that went.
    fair: usize,
    after: Placed,
}

/// Lets a node come or go.
fn change(before: &Placed, copies: usize, then: &[Member<'_>], now: &[Member<'_>]) -> Cost {
    let mut partitions = before.partitions.clone();
    partitions.sort_unstable();
    let mut copied = 0;
    for moved in plan(&partitions, copies, now) {
        let at = partitions
            .binary_search_by_key(&moved.partition, |(id, _)| *id)
            .unwrap();
        let new = moved
            .replicas
            .iter()
            .filter(|id| !partitions[at].1.contains(id));
        copied += new.count();
        partitions[at].1 = moved.replicas;
    }
    let copies_in_all: usize = partitions.iter().map(|(_, replicas)| replicas.len()).sum();
    let mut after = Placed::default();
    for (id, replicas) in partitions {
        after.push(id, replicas);
    }
    let gone = then.iter().filter(|member| !now.contains(member));
    let gone: usize = gone
        .map(|member| before.holds.get(&member.id).copied().unwrap_or_default())
        .sum();
    let fair = copies_in_all.div_ceil(then.len().max(now.len())).max(gone);
    Cost {
        copied,
        fair,
        after,
    }
}

/// How bad it ever was, in thousandths.
#[derive(Debug, Default)]
struct Worst {
    /// Copies moved, of the fair share.
    moved: usize,
    /// Off the mean, of all nodes.
    homes: usize,
    copies: usize,
}

/// From so many nodes to 64 and back, one at a time. Who leaves is drawn, or with racks the last
/// that came, so that the racks stay equally large.
fn up_and_down(from: usize, partitions: u32, copies: usize, racks: &[&str]) -> Worst {
    let mut numbers = Numbers::new(copies as u64);
    let all = members(&numbers.corners(64), racks);
    let mut now = all[..from].to_vec();
    let mut placed = Placed::default();
    placed.add(numbers.topic(), partitions, copies, &now);
    let mut worst = Worst::default();
    for step in 0..2 * (64 - from) {
        let then = now.clone();
        if step < 64 - from {
            now.push(all[from + step]);
        } else if racks.is_empty() {
            now.remove(numbers.below(now.len() as u64) as usize);
        } else {
            now.pop();
        }
        let cost = change(&placed, copies, &then, &now);
        placed = cost.after;
        worst.moved = worst.moved.max(cost.copied * 1_000 / cost.fair);
        worst.homes = worst.homes.max(imbalance(&placed.leads, &now));
        worst.copies = worst.copies.max(imbalance(&placed.holds, &now));
    }
    worst
}

#[test]
fn single_copies_move_as_little_as_can_be() {
    let worst = up_and_down(1, PARTITIONS, 1, &[]);
    assert!(worst.moved <= 1_100 && worst.homes <= 150, "{worst:?}");
    expect!["Worst { moved: 1000, homes: 5, copies: 5 }"].assert_eq(&format!("{worst:?}"));
}

#[test]
fn three_copies_move_little() {
    let worst = up_and_down(3, 2_500, 3, &[]);
    assert!(worst.moved <= 1_100 && worst.copies <= 150, "{worst:?}");
    expect!["Worst { moved: 1068, homes: 24, copies: 8 }"].assert_eq(&format!("{worst:?}"));
}

#[test]
fn three_copies_in_racks_move_little() {
    let worst = up_and_down(12, 2_500, 3, &["a", "b", "c", "d"]);
    // Racks go before balance: where they are not equally large, neither can the shares be.
    assert!(worst.moved <= 1_300 && worst.copies <= 150, "{worst:?}");
    expect!["Worst { moved: 1218, homes: 24, copies: 105 }"].assert_eq(&format!("{worst:?}"));
}

proptest! {
    /// Whatever lay wherever, and whoever is there now.
    #[test]
    fn a_plan_leaves_nothing_out(
        seed in 0..10_000u64,
        before in 1..20usize,
        after in 0..20usize,
        copies in 1..4usize,
    ) {
        let mut numbers = Numbers::new(seed);
        let all = members(&numbers.corners(24), &[]);
        let then = &all[..before.max(copies)];
        let now = &all[24 - after..];
        let mut placed = Placed::default();
        placed.add(numbers.topic(), 200, copies, then);
        let cost = change(&placed, copies, then, now);
        let there: BTreeSet<NodeId> = now.iter().map(|member| member.id).collect();
        for (_, replicas) in &cost.after.partitions {
            prop_assert_eq!(replicas.len(), copies.min(after));
            prop_assert_eq!(BTreeSet::from_iter(replicas).len(), replicas.len());
            prop_assert!(replicas.iter().all(|id| there.contains(id)));
        }
        prop_assert!(plan(&cost.after.partitions, copies, now).is_empty());
    }
}
