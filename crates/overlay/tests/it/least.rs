//! How few copies must move, by another way: a flow of least cost.

use std::collections::{BTreeMap, VecDeque};

use model::NodeId;
use overlay::placement::Member;
use proptest::prelude::*;

use crate::clusters::{ALL_RACKS, Numbers, Placed, members, racks, shares};
use crate::movement::change;

/// Copies flow from the partitions through their racks to nodes.
#[derive(Default)]
struct Flow {
    /// To, room and cost; beside each edge, at its number with the last bit turned, the way back.
    edges: Vec<(usize, usize, i64)>,
    from: BTreeMap<usize, Vec<usize>>,
}

impl Flow {
    fn edge(&mut self, from: usize, to: usize, room: usize, cost: i64) {
        self.from.entry(from).or_default().push(self.edges.len());
        self.edges.push((to, room, cost));
        self.from.entry(to).or_default().push(self.edges.len());
        self.edges.push((from, 0, -cost));
    }

    /// Sends one unit from 0 to 1 at the least cost (Bellman and Ford).
    fn send_one(&mut self) -> Option<i64> {
        let mut by: BTreeMap<usize, (i64, usize)> = BTreeMap::from([(0, (0, usize::MAX))]);
        let mut next = VecDeque::from([0]);
        while let Some(at) = next.pop_front() {
            let cost = by[&at].0;
            for edge in &self.from[&at] {
                let (to, room, price) = self.edges[*edge];
                if room > 0 && by.get(&to).is_none_or(|(before, _)| cost + price < *before) {
                    by.insert(to, (cost + price, *edge));
                    next.push_back(to);
                }
            }
        }
        let (cost, _) = *by.get(&1)?;
        let mut at = 1;
        while at != 0 {
            let edge = by[&at].1;
            self.edges[edge].1 -= 1;
            self.edges[edge ^ 1].1 += 1;
            at = self.edges[edge ^ 1].0;
        }
        Some(cost)
    }
}

/// The fewest copies that are new somewhere in any layout that is spread over racks and in which old nodes
/// are off their shares by no more than is tolerated, and new ones have theirs.
fn fewest(before: &Placed, copies: usize, now: &[Member<'_>]) -> usize {
    const MUST: i64 = 1_000;
    let partitions = before.partitions.len();
    let (racks, shares) = (racks(now), shares(now, partitions, copies));
    let most_in_rack = (copies + 1).saturating_sub(racks.len()).max(1);
    let mut flow = Flow::default();
    let node = |id: &NodeId| 2 + usize::from(id.0);
    let (mut next, mut musts) = (2 + (1 << 16), 0);
    for (_, replicas) in &before.partitions {
        let partition = next;
        flow.edge(0, partition, copies, 0);
        for (rack, ids) in (next + 1..).zip(racks.values()) {
            flow.edge(partition, rack, most_in_rack, 0);
            for id in ids {
                flow.edge(rack, node(id), 1, i64::from(!replicas.contains(id)));
            }
        }
        next += 1 + racks.len();
    }
    for (id, share) in &shares {
        let (least, most) = ((share + 1e-6) as usize, (share - 1e-6).ceil() as usize);
        let slack = least / 8;
        let lowest = least
            - if before.holds.contains_key(id) {
                slack
            } else {
                0
            };
        flow.edge(node(id), 1, lowest, -MUST);
        flow.edge(node(id), 1, most + slack - lowest, 0);
        musts += lowest as i64;
    }
    let costs = (0..partitions * copies).map(|_| flow.send_one().unwrap());
    let cost = costs.sum::<i64>() + musts * MUST;
    assert!((0..MUST).contains(&cost), "{cost}");
    cost as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Where racks force more to move than the share of the node that comes or goes, a plan moves hardly
    /// more than any would have to.
    #[test]
    fn plans_move_hardly_more_than_must_move(
        seed in 0..100_000u64,
        copies in 1..4usize,
        nodes in 4..11usize,
        racks in 0..ALL_RACKS.len(),
        leave in 1..4usize,
        comes: bool,
    ) {
        let mut numbers = Numbers::new(seed);
        let all = members(&numbers.corners(nodes + 1), ALL_RACKS[racks].1);
        let mut now = all[..nodes].to_vec();
        let mut placed = Placed::default();
        placed.add(numbers.topic(), 80, copies, &now);
        for step in 0..leave {
            let then = now.clone();
            if comes && step == 0 {
                now.push(all[nodes]);
            } else if now.len() > copies {
                now.remove(numbers.below(now.len() as u64) as usize);
            } else {
                break;
            }
            let least = fewest(&placed, copies, &now);
            let cost = change(&placed, copies, &then, &now);
            let copied = cost.copied;
            prop_assert!(least <= copied, "{copied}, {least}");
            prop_assert!(copied * 10 <= least * 11 + 10, "{copied}, {least} from {then:?} to {now:?}");
            placed = cost.after;
        }
    }
}
