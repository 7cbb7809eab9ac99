//! What moves when nodes come and go.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use model::{NodeId, PartitionId};

use super::home::Homes;
use super::layout::{Layout, Spot};
use super::{Candidate, Member};
use crate::hash;

/// A partition that is to lie elsewhere than it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub partition: PartitionId,
    /// The nodes that are to keep a copy, the home first.
    pub replicas: Vec<NodeId>,
}

/// Plans how `members` keep `copies` of every partition in as many racks as can be and in about even
/// shares, moving few copies. `present` is where they lie, the home first; nodes that are not members have lost
/// them.
///
/// What lies on a member stays there unless that member, or one in another rack, is off its share by more
/// than an eighth, or a member has nothing yet. Homes are then evened
/// out among the nodes that hold a copy, which moves no data. A partition is left with fewer copies when
/// there are fewer members, and with none when there are none.
#[must_use]
pub fn plan(
    present: &[(PartitionId, Vec<NodeId>)],
    copies: usize,
    members: &[Member<'_>],
) -> Vec<Move> {
    let mut members = members.to_vec();
    members.sort_unstable_by_key(|member| member.id);
    members.dedup_by_key(|member| member.id);
    let copies = copies.min(members.len());
    if copies == 0 {
        return lost(present);
    }
    let mut plan = Plan::new(present, copies, &members);
    plan.find_homes(&members);
    // There is room without limit, and there are as many members as copies.
    let _filled = plan.layout.fill(&plan.keys);
    plan.spread_out();
    plan.take_shares();
    plan.layout.even_out();
    plan.even_out_homes();
    plan.moves(present)
}

/// Nobody can keep anything.
fn lost(present: &[(PartitionId, Vec<NodeId>)]) -> Vec<Move> {
    let lost = present.iter().filter(|(_, replicas)| !replicas.is_empty());
    lost.map(|(partition, _)| Move {
        partition: *partition,
        replicas: Vec::new(),
    })
    .collect()
}

struct Plan {
    layout: Layout,
    /// Of each partition.
    keys: Vec<u64>,
}

impl Plan {
    /// What is left of the present.
    fn new(present: &[(PartitionId, Vec<NodeId>)], copies: usize, members: &[Member<'_>]) -> Self {
        let candidates: Vec<_> = members.iter().map(|member| idle(*member)).collect();
        let places: BTreeMap<_, _> = members.iter().map(|member| member.id).zip(0..).collect();
        let mut layout = Layout::new(&candidates, present.len(), copies);
        for (partition, (_, replicas)) in present.iter().enumerate() {
            for node in replicas.iter().filter_map(|id| places.get(id)) {
                let left = layout.replicas(partition);
                if left.len() < copies && !left.contains(node) {
                    layout.add(partition, *node);
                }
            }
        }
        layout.settle();
        let keys = present.iter().map(|(id, _)| hash::of_partition(*id));
        Self {
            keys: keys.collect(),
            layout,
        }
    }

    /// Gives a home to partitions that have lost all copies.
    fn find_homes(&mut self, members: &[Member<'_>]) {
        let partitions = 0..self.layout.partitions();
        let lost = partitions.filter(|at| self.layout.replicas(*at).is_empty());
        let lost: Vec<_> = lost.collect();
        let leads = self.leads();
        let candidates = members.iter().zip(leads).map(|(member, leads)| Candidate {
            leads,
            ..idle(*member)
        });
        let mut homes = Homes::new(&candidates.collect::<Vec<_>>(), lost.len());
        for partition in lost {
            let key = self.keys.get(partition).copied();
            if let Some(home) = key.and_then(|key| homes.next(key)) {
                self.layout.add(partition, home);
            }
        }
    }

    /// Moves a copy to another rack where two share one and need not.
    fn spread_out(&mut self) {
        for partition in 0..self.layout.partitions() {
            while self.layout.racks(partition) < self.layout.spread {
                let Some((from, to)) = self.apart(partition) else {
                    break;
                };
                self.layout.replace(partition, from, to);
            }
        }
    }

    /// A copy that shares its rack, and where it had better be: from the fullest to the emptiest.
    fn apart(&self, partition: usize) -> Option<(usize, usize)> {
        let layout = &self.layout;
        let sharing = layout.replicas(partition).iter().copied().enumerate();
        let sharing = sharing.filter(|(_, node)| layout.shares_rack(partition, *node));
        let from = sharing.max_by_key(|(place, node)| (layout.excess(*node), *place));
        let new = (0..layout.nodes.len()).filter(|node| layout.is_new_rack(partition, *node));
        let to = new.min_by_key(|node| {
            (
                layout.excess(*node),
                Reverse(self.affinity(partition, *node)),
            )
        });
        Some((from?.1, to?))
    }

    /// Lets nodes that have much less than their share have copies of those that have more, or of those
    /// that have theirs: the ones to which they have the highest affinity.
    fn take_shares(&mut self) {
        for receiver in self.layout.nodes_where(Spot::lacks_much) {
            let mut order: Vec<_> = (0..self.layout.partitions()).collect();
            order.sort_by_cached_key(|partition| Reverse(self.affinity(*partition, receiver)));
            self.take(receiver, &order, |node| node.load > node.most);
            self.take(receiver, &order, |node| node.load > node.least);
        }
    }

    fn take(&mut self, receiver: usize, order: &[usize], gives: impl Fn(&Spot) -> bool) {
        for partition in order {
            if !self
                .layout
                .nodes
                .get(receiver)
                .is_some_and(Spot::lacks_much)
            {
                break;
            }
            if let Some(giver) = self.giver(*partition, receiver, &gives) {
                self.layout.replace(*partition, giver, receiver);
            }
        }
    }

    /// Who would give its copy of this partition to the receiver: the fullest that can.
    fn giver(
        &self,
        partition: usize,
        receiver: usize,
        gives: impl Fn(&Spot) -> bool,
    ) -> Option<usize> {
        let layout = &self.layout;
        let replicas = layout.replicas(partition).iter().copied().enumerate();
        let givers = replicas.filter(|(_, node)| {
            layout.nodes.get(*node).is_some_and(&gives)
                && layout.may_replace(partition, *node, receiver)
        });
        let fullest = givers.max_by_key(|(place, node)| (layout.excess(*node), *place));
        fullest.map(|(_, giver)| giver)
    }

    /// Lets followers be the home where the home has at least two more than they.
    fn even_out_homes(&mut self) {
        let mut leads = self.leads();
        // Each exchange lowers the sum of the squares, so this ends; it is cut short where what is left
        // to gain is little.
        for _ in 0..32 {
            let mut changed = false;
            for partition in 0..self.layout.partitions() {
                changed |= exchange_home(self.layout.replicas_mut(partition), &mut leads);
            }
            if !changed {
                break;
            }
        }
    }

    /// How many partitions each node is the home of.
    fn leads(&self) -> Vec<usize> {
        let mut leads = vec![0; self.layout.nodes.len()];
        for partition in 0..self.layout.partitions() {
            let home = self.layout.replicas(partition).first();
            if let Some(leads) = home.and_then(|home| leads.get_mut(*home)) {
                *leads += 1;
            }
        }
        leads
    }

    fn affinity(&self, partition: usize, node: usize) -> Option<u64> {
        let key = self.keys.get(partition)?;
        Some(hash::affinity(*key, self.layout.nodes.get(node)?.id))
    }

    fn moves(&self, present: &[(PartitionId, Vec<NodeId>)]) -> Vec<Move> {
        let after = (0..present.len()).map(|partition| self.layout.ids(partition));
        let pairs = present.iter().zip(after);
        let moved = pairs.filter(|((_, before), after)| before != after);
        moved
            .map(|((partition, _), replicas)| Move {
                partition: *partition,
                replicas,
            })
            .collect()
    }
}

/// A member that can be given whatever is to be placed.
const fn idle(member: Member<'_>) -> Candidate<'_> {
    Candidate {
        member,
        leads: 0,
        holds: 0,
        room: usize::MAX,
    }
}

fn exchange_home(replicas: &mut [usize], leads: &mut [usize]) -> bool {
    let Some((home, followers)) = replicas.split_first_mut() else {
        return false;
    };
    let of = |node: usize| leads.get(node).copied().unwrap_or_default();
    let least = followers.iter_mut().min_by_key(|node| (of(**node), **node));
    let Some(least) = least.filter(|node| of(**node) + 1 < of(*home)) else {
        return false;
    };
    for (node, leads) in leads.iter_mut().enumerate() {
        *leads -= usize::from(node == *home);
        *leads += usize::from(node == *least);
    }
    core::mem::swap(home, least);
    true
}
