//! Nodes that come and go: how much moves, and that it stays balanced.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect;
use model::NodeId;
use overlay::placement::{Member, plan};
use proptest::prelude::*;

use crate::clusters::{
    ALL_RACKS, FOUR, NO_RACKS, Numbers, PARTITIONS, Placed, Racks, assert_spread, imbalance,
    members, off_shares, shares,
};

/// What a change of the members cost.
pub(crate) struct Cost {
    /// Copies that a node has now and had not before.
    pub(crate) copied: usize,
    /// The share of the node that came, or what the node had that went. Nobody else's share grows when a
    /// node comes, or falls when one goes, so this much must be copied; where racks are not equally large,
    /// they can force more.
    fair: usize,
    pub(crate) after: Placed,
}

/// Lets a node come or go.
pub(crate) fn change(
    before: &Placed,
    copies: usize,
    then: &[Member<'_>],
    now: &[Member<'_>],
) -> Cost {
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
    let mut after = Placed::default();
    for (id, replicas) in partitions {
        after.push(id, replicas);
    }
    let gone = then.iter().filter(|member| !now.contains(member));
    let gone: usize = gone
        .map(|member| before.holds.get(&member.id).copied().unwrap_or_default())
        .sum();
    let shares = shares(now, before.partitions.len(), copies);
    let came = now.iter().filter(|member| !then.contains(member));
    let came: f64 = came.map(|member| shares[&member.id]).sum();
    Cost {
        copied,
        fair: gone + came.ceil() as usize,
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
    /// Off their shares, of all nodes.
    copies: usize,
}

impl Worst {
    fn assert_little(&self) {
        let little = self.moved <= 1_100 && self.homes <= 150 && self.copies <= 150;
        assert!(little, "{self:?}");
    }

    fn note(&mut self, cost: &Cost, copies: usize, now: &[Member<'_>]) {
        let after = &cost.after;
        let off = off_shares(&after.holds, now, after.partitions.len(), copies);
        self.moved = self.moved.max(cost.copied * 1_000 / cost.fair);
        self.homes = self.homes.max(imbalance(&after.leads, now));
        self.copies = self.copies.max(off);
    }
}

/// From so many nodes to so many and back, one at a time. Who leaves is drawn.
fn up_and_down(from: usize, to: usize, partitions: u32, copies: usize, racks: Racks) -> Worst {
    let mut numbers = Numbers::new(copies as u64);
    let all = members(&numbers.corners(to), racks);
    let mut now = all[..from].to_vec();
    let mut placed = Placed::default();
    placed.add(numbers.topic(), partitions, copies, &now);
    let mut worst = Worst::default();
    for step in 0..2 * (to - from) {
        let then = now.clone();
        if step < to - from {
            now.push(all[from + step]);
        } else {
            now.remove(numbers.below(now.len() as u64) as usize);
        }
        let cost = change(&placed, copies, &then, &now);
        assert_spread(&cost.after, &now, copies, "after a change");
        worst.note(&cost, copies, &now);
        placed = cost.after;
    }
    worst
}

#[test]
fn single_copies_move_as_little_as_can_be() {
    let worst = up_and_down(1, 64, PARTITIONS, 1, NO_RACKS);
    worst.assert_little();
    expect!["Worst { moved: 1000, homes: 0, copies: 0 }"].assert_eq(&format!("{worst:?}"));
}

fn table(partitions: u32, copies: usize, to: usize) -> String {
    let mut table = String::new();
    for (name, racks) in ALL_RACKS {
        let worst = up_and_down(copies, to, partitions, copies, racks);
        worst.assert_little();
        writeln!(table, "{name}: {worst:?}").unwrap();
    }
    table
}

#[test]
fn two_copies_move_little() {
    expect![[r#"
        no racks: Worst { moved: 1000, homes: 33, copies: 0 }
        two: Worst { moved: 1000, homes: 33, copies: 0 }
        three: Worst { moved: 1000, homes: 41, copies: 86 }
        four: Worst { moved: 1000, homes: 33, copies: 0 }
        one two many: Worst { moved: 1000, homes: 49, copies: 0 }
        ones and many: Worst { moved: 1000, homes: 46, copies: 0 }
        doubling: Worst { moved: 1000, homes: 40, copies: 124 }
        some in none: Worst { moved: 1000, homes: 41, copies: 80 }
    "#]]
    .assert_eq(&table(600, 2, 24));
}

#[test]
fn three_copies_move_little() {
    expect![[r#"
        no racks: Worst { moved: 1000, homes: 50, copies: 0 }
        two: Worst { moved: 1000, homes: 50, copies: 115 }
        three: Worst { moved: 1000, homes: 50, copies: 0 }
        four: Worst { moved: 1000, homes: 61, copies: 109 }
        one two many: Worst { moved: 1000, homes: 88, copies: 0 }
        ones and many: Worst { moved: 1000, homes: 88, copies: 0 }
        doubling: Worst { moved: 1000, homes: 79, copies: 14 }
        some in none: Worst { moved: 1010, homes: 61, copies: 88 }
    "#]]
    .assert_eq(&table(1_000, 3, 64));
}

#[test]
fn five_copies_move_little() {
    expect![[r#"
        no racks: Worst { moved: 1000, homes: 0, copies: 0 }
        two: Worst { moved: 1000, homes: 0, copies: 0 }
        three: Worst { moved: 1000, homes: 0, copies: 74 }
        four: Worst { moved: 1005, homes: 0, copies: 114 }
        one two many: Worst { moved: 1000, homes: 0, copies: 0 }
        ones and many: Worst { moved: 1000, homes: 0, copies: 0 }
        doubling: Worst { moved: 1013, homes: 40, copies: 19 }
        some in none: Worst { moved: 1000, homes: 40, copies: 5 }
    "#]]
    .assert_eq(&table(600, 5, 24));
}

/// One node comes to, and one goes from, clusters on which ten thousand partitions were just placed.
#[test]
fn copies_of_ten_thousand_partitions_move_little() {
    let mut worst = Worst::default();
    for (nodes, racks) in [(5, NO_RACKS), (16, FOUR), (40, FOUR), (63, NO_RACKS)] {
        let mut numbers = Numbers::new(nodes as u64);
        let all = members(&numbers.corners(nodes + 1), racks);
        let mut placed = Placed::default();
        placed.add(numbers.topic(), PARTITIONS, 3, &all[..nodes]);
        for now in [&all[..], &all[1..nodes]] {
            let cost = change(&placed, 3, &all[..nodes], now);
            worst.note(&cost, 3, now);
        }
    }
    worst.assert_little();
    expect!["Worst { moved: 1000, homes: 0, copies: 24 }"].assert_eq(&format!("{worst:?}"));
}

/// Every node of every cube of eight corners comes and goes.
#[test]
fn little_moves_on_all_small_cubes() {
    for taken in 1..256_u32 {
        let corners = (0..8).filter(|bit| taken & 1 << bit != 0).map(NodeId);
        let all = members(&corners.collect::<Vec<_>>(), NO_RACKS);
        for (left_out, copies) in (0..all.len()).flat_map(|at| [(at, 1), (at, 2), (at, 3)]) {
            let mut fewer = all.clone();
            fewer.remove(left_out);
            if fewer.len() < copies {
                continue;
            }
            for (then, now) in [(&all, &fewer), (&fewer, &all)] {
                let mut placed = Placed::default();
                placed.add(Numbers::new(taken.into()).topic(), 24, copies, then);
                let cost = change(&placed, copies, then, now);
                assert_spread(&cost.after, now, copies, "small");
                let (copied, fair) = (cost.copied, cost.fair);
                assert!(
                    copied * 10 <= fair * 11 + 10,
                    "{copied}, {fair}: {then:?}, {now:?}"
                );
            }
        }
    }
}

proptest! {
    /// Whatever lay wherever, and whoever is there now.
    #[test]
    fn a_plan_leaves_nothing_out(
        seed in 0..10_000u64,
        before in 1..20usize,
        after in 0..20usize,
        copies in 1..4usize,
        racks in 0..ALL_RACKS.len(),
    ) {
        let mut numbers = Numbers::new(seed);
        let all = members(&numbers.corners(24), ALL_RACKS[racks].1);
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
