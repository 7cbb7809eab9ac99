//! Corners and neighbours.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use model::NodeId;

/// In how many binary digits two corners differ.
#[must_use]
pub const fn distance(a: NodeId, b: NodeId) -> u32 {
    (a.0 ^ b.0).count_ones()
}

/// Orders corners as seen from `from`: by distance, and those equally far by the digits in which they
/// differ, the lowest first. No two corners are equally near.
#[must_use]
pub const fn nearness(from: NodeId, to: NodeId) -> (u32, u16) {
    (distance(from, to), from.0 ^ to.0)
}

/// The corners that are taken; the others are holes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cube {
    nodes: BTreeSet<NodeId>,
}

impl Cube {
    /// The corners that are taken, from the lowest.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().copied()
    }

    /// Whether this corner is taken.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.nodes.contains(&id)
    }

    /// How many binary digits the highest corner needs; at least 1.
    #[must_use]
    pub fn dimension(&self) -> u32 {
        let highest = self.nodes.last().map_or(0, |id| id.0);
        (u16::BITS - highest.leading_zeros()).max(1)
    }

    /// Who differs from this corner in one digit, from the lowest digit up. Holes are left out.
    #[must_use]
    pub fn neighbours(&self, of: NodeId) -> Vec<NodeId> {
        let flipped = (0..self.dimension()).map(|digit| NodeId(of.0 ^ (1 << digit)));
        flipped.filter(|id| self.nodes.contains(id)).collect()
    }

    /// All others, the [nearest](nearness) first.
    #[must_use]
    pub fn nearest(&self, of: NodeId) -> Vec<NodeId> {
        let mut others: Vec<_> = self.nodes().filter(|id| *id != of).collect();
        others.sort_unstable_by_key(|id| nearness(of, *id));
        others
    }
}

impl FromIterator<NodeId> for Cube {
    fn from_iter<I: IntoIterator<Item = NodeId>>(ids: I) -> Self {
        Self {
            nodes: ids.into_iter().collect(),
        }
    }
}
