//! Copies that are handed on.
//!
//! Where a copy cannot go from a node with too many to one with too few, because that one or its rack
//! has another copy of the partition, it may go to a third node that hands on a copy of something else.
//! Such chains are the augmenting paths of weighted matroid intersection: the sets of nodes on which a
//! partition may lie are the bases of a matroid, and a cheapest chain, among those the shortest, leaves
//! every one of them a base. So where a layout with exact shares exists, chains lead to it.
//!
//! A step costs 1 where a copy would leave the node that has it at present, and nothing where it is still
//! to be made: then it is made elsewhere at once.

#![expect(
    clippy::indexing_slicing,
    reason = "places of nodes are those of the layout, and the lists are as long as it has nodes"
)]

use alloc::vec;
use alloc::vec::Vec;

use super::layout::{Layout, Spot};

/// A copy that goes from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    partition: usize,
    pub(super) from: usize,
    to: usize,
}

impl Layout {
    /// Takes one copy from a node of which `from` holds to one of which `to` holds, as cheaply as can be.
    /// Whether it could for at most this cost.
    pub(super) fn hand_on(
        &mut self,
        budget: usize,
        from: impl Fn(&Spot) -> bool,
        to: impl Fn(&Spot) -> bool,
    ) -> bool {
        let chain = self.cheapest_chain(&self.nodes_where(from), budget, to);
        chain.is_some_and(|steps| self.follow(&steps))
    }

    /// The cheapest steps by which one of `starts` has one copy less, and a node for which `ends` holds one
    /// more.
    pub(super) fn cheapest_chain(
        &self,
        starts: &[usize],
        budget: usize,
        ends: impl Fn(&Spot) -> bool,
    ) -> Option<Vec<Step>> {
        if !self.nodes.iter().any(&ends) {
            return None;
        }
        let mut search = Search::new(self.nodes.len(), starts);
        while let Some(node) = search.nearest() {
            if search.reached[node].by.is_some() && ends(&self.nodes[node]) {
                return Some(search.steps_to(node));
            }
            search.expand(self, node, budget);
        }
        None
    }

    /// Whether all steps could be made; none is if not. Two of one partition could be in each other's way,
    /// which a chain without a shortcut does not have.
    pub(super) fn follow(&mut self, steps: &[Step]) -> bool {
        for (at, step) in steps.iter().enumerate() {
            if !self.may_replace(step.partition, step.from, step.to) {
                self.undo(&steps[..at]);
                return false;
            }
            self.replace(step.partition, step.from, step.to);
        }
        true
    }

    pub(super) fn undo(&mut self, steps: &[Step]) {
        for step in steps.iter().rev() {
            self.replace(step.partition, step.to, step.from);
        }
    }
}

/// Dijkstra's search over nodes.
struct Search {
    reached: Vec<Reached>,
}

/// How a node was reached as yet.
#[derive(Debug, Clone, Copy)]
struct Reached {
    /// Cost and number of steps.
    at: (usize, usize),
    /// The last step; none for a start.
    by: Option<Step>,
    /// Whether all was tried from here.
    done: bool,
}

impl Search {
    fn new(nodes: usize, starts: &[usize]) -> Self {
        let far = Reached {
            at: (usize::MAX, usize::MAX),
            by: None,
            done: false,
        };
        let mut reached = vec![far; nodes];
        for start in starts {
            reached[*start].at = (0, 0);
        }
        Self { reached }
    }

    /// The nearest from which nothing was tried.
    fn nearest(&self) -> Option<usize> {
        let nodes = self.reached.iter().enumerate();
        let open = nodes.filter(|(_, node)| !node.done && node.at.0 < usize::MAX);
        open.min_by_key(|(_, node)| node.at).map(|(at, _)| at)
    }

    /// Reaches those that can take a copy from this node: first by copies that are free, then by others.
    fn expand(&mut self, layout: &Layout, from: usize, budget: usize) {
        self.reached[from].done = true;
        let (cost, steps) = self.reached[from].at;
        for price in 0..=1.min(budget - cost) {
            let at = (cost + price, steps + 1);
            let nodes = 0..self.reached.len();
            let mut farther: Vec<_> = nodes.filter(|node| self.reached[*node].at > at).collect();
            for partition in layout.movable(from, price == 0) {
                if farther.is_empty() {
                    break;
                }
                farther.retain(|to| {
                    let may = layout.may_replace(partition, from, *to);
                    if may {
                        let to = *to;
                        let by = Some(Step {
                            partition,
                            from,
                            to,
                        });
                        self.reached[to] = Reached {
                            at,
                            by,
                            done: false,
                        };
                    }
                    !may
                });
            }
        }
    }

    fn steps_to(&self, end: usize) -> Vec<Step> {
        let last = self.reached[end].by;
        let steps = core::iter::successors(last, |step| self.reached[step.from].by);
        let mut steps: Vec<_> = steps.collect();
        steps.reverse();
        steps
    }
}
