//! Choosing the nodes of copies that are missing.

use alloc::vec::Vec;
use core::cmp::Reverse;

use model::NodeId;

use super::layout::{Layout, Spot};
use crate::{distance, hash};

impl Layout {
    /// Gives every partition that has a home the copies that it lacks; `None` when there is not enough
    /// room.
    pub(super) fn fill(&mut self, keys: &[u64]) -> Option<()> {
        let mut filling = Filling::new(self, keys);
        for partition in 0..filling.layout.partitions() {
            while filling.lacks(partition) {
                filling.add(partition)?;
            }
        }
        Some(())
    }

    /// Lets every node have its share, as far as copies are still to be made, and about its share, as far as
    /// copies would have to move.
    pub(super) fn even_out(&mut self) {
        while self.hand_on(0, |node| node.load > node.most, Spot::takes) {}
        while self.hand_on(0, |node| node.load > node.least, Spot::lacks) {}
        let too_full = |node: &Spot| node.load > node.most + node.slack;
        while self.hand_on(usize::MAX, too_full, Spot::takes) {}
        while self.hand_on(usize::MAX, |node| node.load > node.least, Spot::lacks_much) {}
    }
}

/// Copies that are being placed.
struct Filling<'a> {
    layout: &'a mut Layout,
    /// Of each partition.
    keys: &'a [u64],
    /// What each node had when it began.
    began: Vec<usize>,
    done: usize,
    missing: usize,
    /// Whether there was no chain when one was needed. That is for want of room, and looking for it again
    /// and again would take long.
    cramped: bool,
}

impl<'a> Filling<'a> {
    fn new(layout: &'a mut Layout, keys: &'a [u64]) -> Self {
        let with_home = (0..layout.partitions()).map(|at| layout.replicas(at).len());
        let with_home = with_home.filter(|copies| *copies > 0);
        let missing = with_home.map(|copies| layout.copies.saturating_sub(copies));
        Self {
            began: layout.nodes.iter().map(|node| node.load).collect(),
            done: 0,
            missing: missing.sum(),
            cramped: false,
            keys,
            layout,
        }
    }

    fn lacks(&self, partition: usize) -> bool {
        let copies = self.layout.replicas(partition).len();
        copies > 0 && copies < self.layout.copies
    }

    /// Places one more copy: on a node below its share, by a chain to such a node if that moves nothing,
    /// on one a little above, by any chain, or else wherever there is room.
    fn add(&mut self, partition: usize) -> Option<()> {
        let apart = |layout: &Layout, node| layout.may_add(partition, node);
        let anywhere = |layout: &Layout, node| !layout.replicas(partition).contains(&node);
        let node = self
            .best(partition, apart, Spot::takes)
            .or_else(|| self.relieve(partition, 0, Spot::takes))
            .or_else(|| self.best(partition, apart, Spot::tolerates))
            .or_else(|| self.relieve(partition, usize::MAX, Spot::tolerates))
            .or_else(|| self.best(partition, apart, Spot::has_room))
            .or_else(|| self.best(partition, anywhere, Spot::has_room))
            .or_else(|| self.relieved(anywhere, usize::MAX, Spot::has_room))?;
        self.layout.add(partition, node);
        self.done += 1;
        Some(())
    }

    /// The best node among those allowed and fit.
    fn best(
        &self,
        partition: usize,
        allowed: impl Fn(&Layout, usize) -> bool,
        fit: impl Fn(&Spot) -> bool,
    ) -> Option<usize> {
        let key = *self.keys.get(partition)?;
        let home = *self.layout.replicas(partition).first()?;
        let home = self.layout.nodes.get(home)?.id;
        let near = self.near(home);
        let mean = self.layout.mean();
        let nodes = self.layout.nodes.iter().zip(&self.began).enumerate();
        let fit = nodes.filter(|(at, (node, _))| fit(node) && allowed(self.layout, *at));
        let best = fit.min_by_key(|(_, (node, began))| {
            (
                self.stray(node, **began),
                stray_of_all(node, self.layout.mean_in_rack(node)),
                stray_of_all(node, mean),
                !node.lacks(),
                distance(home, node.id).max(near),
                Reverse(hash::affinity(key, node.id)),
            )
        });
        best.map(|(at, _)| at)
    }

    /// The distance within which there are at least as many other nodes as copies. Those are equally good:
    /// if a pair that is far from all others had all its partitions together, the one could get none of
    /// those that the other loses.
    fn near(&self, home: NodeId) -> u32 {
        let others = self.layout.nodes.iter().filter(|node| node.id != home);
        let mut distances: Vec<_> = others.map(|node| distance(home, node.id)).collect();
        let last = self.layout.copies.min(distances.len()).checked_sub(1);
        last.map_or(0, |last| *distances.select_nth_unstable(last).1)
    }

    /// A node that may have this partition and is full, after it handed on a copy of another one.
    fn relieve(
        &mut self,
        partition: usize,
        budget: usize,
        ends: impl Fn(&Spot) -> bool,
    ) -> Option<usize> {
        if self.cramped {
            return None;
        }
        let apart = |layout: &Layout, node| layout.may_add(partition, node);
        let node = self.relieved(apart, budget, ends);
        self.cramped = node.is_none() && budget > 0;
        node
    }

    fn relieved(
        &mut self,
        allowed: impl Fn(&Layout, usize) -> bool,
        budget: usize,
        ends: impl Fn(&Spot) -> bool,
    ) -> Option<usize> {
        let nodes = 0..self.layout.nodes.len();
        let starts: Vec<_> = nodes.filter(|node| allowed(self.layout, *node)).collect();
        let steps = self.layout.cheapest_chain(&starts, budget, ends)?;
        let node = steps.first()?.from;
        if !self.layout.follow(&steps) {
            return None;
        }
        if !allowed(self.layout, node) {
            self.layout.undo(&steps);
            return None;
        }
        Some(node)
    }

    /// How far the node is from where it should be by now: all are to reach their share at about the same
    /// time. One that stays behind, because few are near it, could not be filled at the end: no partition
    /// can lie on a node twice.
    fn stray(&self, node: &Spot, began: usize) -> usize {
        let gets = node.least.saturating_sub(began);
        let by_now = began + gets.saturating_mul(self.done) / self.missing.max(1);
        stray(node.load, by_now, 1 + node.least / 16)
    }
}

/// The same for all that a node holds.
fn stray_of_all(node: &Spot, mean: usize) -> usize {
    stray(
        node.elsewhere.saturating_add(node.load),
        mean,
        1 + mean / 32,
    )
}

/// 0 for a load that is behind, 1 for one that is about as it should be, and more for one that is ahead.
const fn stray(load: usize, should_be: usize, slack: usize) -> usize {
    if load + slack < should_be {
        return 0;
    }
    1 + load.saturating_sub(should_be + slack)
}
