//! How many copies a node should have.

use alloc::vec::Vec;

/// The share of a node, rounded down and up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) least: usize,
    pub(super) most: usize,
}

/// The shares of the nodes of each rack, given how many nodes each has, when so many copies of so many
/// partitions are spread over as many racks as can be.
///
/// All nodes get the same, the *level*, except where racks forbid it: a rack keeps no more copies of a
/// partition than are left when every other rack has one, and at least one when there are no more racks
/// than copies. So the nodes of a small rack may get more than the level, those of a large one less.
///
/// The level falls when a node comes and rises when one goes, and so does every share: for the sake of
/// shares, nothing has to move between two nodes that stay.
pub(super) fn spans(sizes: &[usize], partitions: usize, copies: usize) -> Vec<Span> {
    let racks = sizes.iter().filter(|size| **size > 0).count();
    let limits = sizes.iter().map(|nodes| Limits {
        nodes: *nodes,
        lowest: partitions.saturating_mul(usize::from(racks <= copies && *nodes > 0)),
        highest: partitions.saturating_mul((copies.saturating_sub(racks) + 1).min(*nodes)),
    });
    let limits: Vec<_> = limits.collect();
    let copies = partitions.saturating_mul(copies);
    let level = level(&limits, partitions, copies);
    let above = level + usize::from(taken(&limits, level) < copies);
    let spans = limits.iter().map(|rack| Span {
        least: rack.at(level) / rack.nodes.max(1),
        most: rack.at(above).div_ceil(rack.nodes.max(1)),
    });
    spans.collect()
}

/// How many copies the nodes of one rack can have together.
#[derive(Debug, Clone, Copy)]
struct Limits {
    nodes: usize,
    lowest: usize,
    highest: usize,
}

impl Limits {
    /// What the rack has when its nodes have so many each, as far as they may.
    fn at(self, level: usize) -> usize {
        let wanted = self.nodes.saturating_mul(level);
        wanted.max(self.lowest).min(self.highest)
    }
}

/// The highest level that takes no more copies than there are.
fn level(racks: &[Limits], partitions: usize, copies: usize) -> usize {
    let (mut low, mut high) = (0, partitions);
    while low < high {
        let middle = high - (high - low) / 2;
        if taken(racks, middle) <= copies {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

fn taken(racks: &[Limits], level: usize) -> usize {
    let taken = racks.iter().map(|rack| rack.at(level));
    taken.fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Span, spans};

    #[test]
    fn shares_are_equal_as_far_as_racks_allow() {
        type Row<'a> = (&'a [usize], usize, usize, &'a [(usize, usize)]);
        let cases: &[Row<'_>] = &[
            // nodes of each rack, partitions, copies: the share of a node of each rack
            (&[1, 1, 1], 10, 1, &[(3, 4), (3, 4), (3, 4)]),
            (&[1, 1, 1], 9, 1, &[(3, 3), (3, 3), (3, 3)]),
            (&[4, 4, 4, 4], 16, 3, &[(3, 3); 4]),
            // One copy in each rack, however many nodes it has.
            (&[1, 2, 5], 10, 3, &[(10, 10), (5, 5), (2, 2)]),
            // The large rack cannot take more than one of each.
            (
                &[1, 1, 1, 10],
                30,
                3,
                &[(20, 20), (20, 20), (20, 20), (3, 3)],
            ),
            // One in the small rack, the other two in the large one.
            (&[1, 10], 10, 3, &[(10, 10), (2, 2)]),
            (&[5, 0, 5], 10, 2, &[(2, 2), (0, 0), (2, 2)]),
            (&[3], 5, 2, &[(3, 4)]),
            (&[], 5, 2, &[]),
        ];
        for (sizes, partitions, copies, expected) in cases {
            let shares = spans(sizes, *partitions, *copies);
            let expected = expected.iter().map(|(least, most)| Span {
                least: *least,
                most: *most,
            });
            assert_eq!(shares, expected.collect::<Vec<_>>(), "{sizes:?}");
        }
    }

    /// With every rack of a node more, nobody's share grows.
    #[test]
    fn shares_never_grow_when_a_node_comes() {
        let mut sizes = Vec::new();
        for_all_sizes(&mut sizes, &mut |sizes| {
            for copies in 1..=sizes.iter().sum::<usize>().min(5) {
                check_growth(sizes, copies);
            }
        });
    }

    /// Up to four racks of up to six nodes.
    fn for_all_sizes(sizes: &mut Vec<usize>, check: &mut impl FnMut(&[usize])) {
        check(sizes);
        if sizes.len() < 4 {
            for nodes in 1..=6 {
                sizes.push(nodes);
                for_all_sizes(sizes, check);
                sizes.pop();
            }
        }
    }

    fn check_growth(sizes: &[usize], copies: usize) {
        const PARTITIONS: usize = 5_040;
        let before = spans(sizes, PARTITIONS, copies);
        let total = |spans: &[Span], of: fn(&Span) -> usize| {
            let shares = spans
                .iter()
                .zip(sizes)
                .map(|(span, nodes)| of(span) * nodes);
            shares.sum::<usize>()
        };
        assert!(total(&before, |span| span.least) <= PARTITIONS * copies);
        assert!(total(&before, |span| span.most) >= PARTITIONS * copies);
        for at in 0..=sizes.len() {
            let mut more = sizes.to_vec();
            match more.get_mut(at) {
                Some(nodes) => *nodes += 1,
                None => more.push(1),
            }
            let after = spans(&more, PARTITIONS, copies);
            for (before, after) in before.iter().zip(&after) {
                let grew = after.least > before.least || after.most > before.most;
                assert!(!grew, "{sizes:?} and one in {at}, {copies} copies");
            }
        }
    }
}
