//! What moves when nodes come and go.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use model::{NodeId, PartitionId};

use super::choose::Chooser;
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

/// Plans how `members` keep `copies` of every partition in even shares, moving as few copies as can be.
/// `present` is where they lie, the home first; nodes that are not members have lost them.
///
/// What lies on a member stays there unless that member has more than its share. Homes are then evened
/// out among the nodes that hold a copy, which moves no data. A partition is left with fewer copies when
/// there are fewer members, and with none when there are none.
#[must_use]
pub fn plan(
    present: &[(PartitionId, Vec<NodeId>)],
    copies: usize,
    members: &[Member<'_>],
) -> Vec<Move> {
    let copies = copies.min(members.len());
    let mut plan = Plan::new(present, copies, members);
    plan.fill(copies);
    plan.even_out_copies();
    plan.even_out_homes();
    let moved = plan.partitions.into_iter().zip(present);
    moved
        .filter(|(after, (_, before))| after.replicas != *before)
        .map(|(after, _)| Move {
            partition: after.id,
            replicas: after.replicas,
        })
        .collect()
}

struct Plan<'a> {
    members: BTreeMap<NodeId, Member<'a>>,
    partitions: Vec<Partition>,
}

struct Partition {
    id: PartitionId,
    key: u64,
    replicas: Vec<NodeId>,
}

impl<'a> Plan<'a> {
    /// What is left of the present.
    fn new(present: &[(PartitionId, Vec<NodeId>)], copies: usize, members: &[Member<'a>]) -> Self {
        let members: BTreeMap<_, _> = members.iter().map(|member| (member.id, *member)).collect();
        let left = |replicas: &[NodeId]| {
            let left = replicas.iter().copied();
            left.filter(|id| members.contains_key(id))
                .take(copies)
                .collect()
        };
        let partitions = present.iter().map(|(id, replicas)| Partition {
            id: *id,
            key: hash::of_partition(*id),
            replicas: left(replicas),
        });
        Self {
            partitions: partitions.collect(),
            members,
        }
    }

    /// Gives every partition as many copies as it should have.
    fn fill(&mut self, copies: usize) {
        let missing: usize = self
            .partitions
            .iter()
            .map(|p| copies - p.replicas.len())
            .sum();
        let homeless = self
            .partitions
            .iter()
            .filter(|p| p.replicas.is_empty())
            .count();
        if missing == 0 {
            return;
        }
        let mut chooser = Chooser::new(&self.candidates(), homeless, missing);
        for partition in self.partitions.iter_mut() {
            if copies > 0 && partition.replicas.is_empty() {
                partition.replicas.extend(chooser.home(partition.key));
            }
            while partition.replicas.len() < copies {
                match chooser.follower(&partition.replicas) {
                    Some(follower) => partition.replicas.push(follower),
                    None => break,
                }
            }
        }
    }

    /// Moves copies from the nodes that have more than their share to those that have less, the copies
    /// first to which the receiver has the highest affinity.
    fn even_out_copies(&mut self) {
        let mut excess = excess(&self.counts(|p| &p.replicas));
        let receivers: Vec<_> = excess
            .iter()
            .filter(|(_, n)| **n < 0)
            .map(|(id, _)| *id)
            .collect();
        for receiver in receivers {
            let mut order: Vec<_> = (0..self.partitions.len()).collect();
            order.sort_by_cached_key(|at| {
                Reverse(
                    self.partitions
                        .get(*at)
                        .map(|p| hash::affinity(p.key, receiver)),
                )
            });
            for at in order {
                if excess.get(&receiver).is_none_or(|n| *n >= 0) {
                    break;
                }
                self.hand_over(at, receiver, &mut excess);
            }
        }
    }

    /// Moves one copy of a partition to the receiver, if a node with too many has one and nothing is
    /// lost by it.
    fn hand_over(&mut self, at: usize, receiver: NodeId, excess: &mut BTreeMap<NodeId, isize>) {
        let Some(partition) = self.partitions.get_mut(at) else {
            return;
        };
        if partition.replicas.contains(&receiver) {
            return;
        }
        let givers = partition.replicas.iter().copied().enumerate();
        let with_excess = givers.filter(|(_, id)| excess.get(id).is_some_and(|n| *n > 0));
        let giver = with_excess.max_by_key(|(place, id)| (excess.get(id).copied(), *place));
        let Some((place, giver)) = giver else {
            return;
        };
        let before = racks(&self.members, &partition.replicas);
        let mut replicas = partition.replicas.clone();
        replicas.splice(place..=place, [receiver]);
        if racks(&self.members, &replicas) < before {
            return;
        }
        partition.replicas = replicas;
        *excess.entry(giver).or_default() -= 1;
        *excess.entry(receiver).or_default() += 1;
    }

    /// Lets followers be the home where the home has at least two more than they.
    fn even_out_homes(&mut self) {
        let mut leads = self.counts(|p| p.replicas.get(..1).unwrap_or_default());
        // Each exchange lowers the sum of the squares, so this ends; it is cut short where what is left
        // to gain is little.
        for _ in 0..32 {
            let mut changed = false;
            for partition in &mut self.partitions {
                changed |= exchange_home(&mut partition.replicas, &mut leads);
            }
            if !changed {
                break;
            }
        }
    }

    fn candidates(&self) -> Vec<Candidate<'a>> {
        let leads = self.counts(|p| p.replicas.get(..1).unwrap_or_default());
        let holds = self.counts(|p| &p.replicas);
        let members = self.members.values().map(|member| Candidate {
            member: *member,
            leads: leads.get(&member.id).copied().unwrap_or_default(),
            holds: holds.get(&member.id).copied().unwrap_or_default(),
            room: usize::MAX,
        });
        members.collect()
    }

    /// How often each member is among what `of` says of the partitions.
    fn counts(&self, of: impl Fn(&Partition) -> &[NodeId]) -> BTreeMap<NodeId, usize> {
        let mut counts: BTreeMap<_, _> = self.members.keys().map(|id| (*id, 0)).collect();
        for id in self.partitions.iter().flat_map(of) {
            *counts.entry(*id).or_default() += 1;
        }
        counts
    }
}

/// How many each node has above an even share. Where shares cannot be equal, those who have the most get
/// the larger ones.
fn excess(counts: &BTreeMap<NodeId, usize>) -> BTreeMap<NodeId, isize> {
    let total: usize = counts.values().sum();
    let nodes = counts.len().max(1);
    let (share, larger) = (total / nodes, total % nodes);
    let mut most: Vec<_> = counts.iter().map(|(id, count)| (*id, *count)).collect();
    most.sort_unstable_by_key(|(id, count)| (Reverse(*count), *id));
    let with_share = most.into_iter().enumerate().map(|(place, (id, count))| {
        let share = share + usize::from(place < larger);
        (id, count.cast_signed() - share.cast_signed())
    });
    with_share.collect()
}

/// Over how many racks these nodes are spread.
fn racks(members: &BTreeMap<NodeId, Member<'_>>, nodes: &[NodeId]) -> usize {
    let rack_of = |id: &NodeId| members.get(id).and_then(|member| member.rack);
    let first = |(place, id): &(usize, &NodeId)| {
        let rack = rack_of(id);
        rack.is_none()
            || nodes
                .iter()
                .take(*place)
                .all(|other| rack_of(other) != rack)
    };
    nodes.iter().enumerate().filter(first).count()
}

fn exchange_home(replicas: &mut [NodeId], leads: &mut BTreeMap<NodeId, usize>) -> bool {
    let Some((home, followers)) = replicas.split_first_mut() else {
        return false;
    };
    let of = |id: &NodeId| leads.get(id).copied().unwrap_or_default();
    let least = followers.iter_mut().min_by_key(|id| (of(id), **id));
    let Some(least) = least.filter(|id| of(id) + 1 < of(home)) else {
        return false;
    };
    *leads.entry(*home).or_default() -= 1;
    *leads.entry(*least).or_default() += 1;
    core::mem::swap(home, least);
    true
}
