//! Even shares.

/// How a number of things is shared by nodes: each gets the same, and as many as it takes one more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// What each gets.
    each: usize,
    /// How many nodes may still get one more than that.
    larger: usize,
}

impl Shares {
    /// The shares of nodes that have these loads, when so many more are given out.
    pub(super) fn new(loads: impl Iterator<Item = usize> + Clone, more: usize) -> Self {
        let total = loads.clone().fold(more, usize::saturating_add);
        let nodes = loads.clone().count().max(1);
        let each = total / nodes;
        let have_larger = loads.filter(|load| *load > each).count();
        Self {
            each,
            larger: (total % nodes).saturating_sub(have_larger),
        }
    }

    /// By how much a node that has `load` would exceed its share with one more; 0 when it is not full.
    pub(super) const fn excess(&self, load: usize) -> usize {
        if load == self.each && self.larger > 0 {
            return 0;
        }
        (load + 1).saturating_sub(self.each)
    }

    /// A node that had `load` has been given one more.
    pub(super) const fn give(&mut self, load: usize) {
        if load == self.each {
            self.larger = self.larger.saturating_sub(1);
        }
    }
}
