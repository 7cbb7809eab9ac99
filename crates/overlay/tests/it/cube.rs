//! Corners, neighbours and the order of distance.

use model::NodeId;
use overlay::{Cube, distance, nearness};

fn cube(ids: &[u16]) -> Cube {
    ids.iter().map(|id| NodeId(*id)).collect()
}

fn ids(nodes: &[NodeId]) -> Vec<u16> {
    nodes.iter().map(|id| id.0).collect()
}

#[test]
fn distances() {
    let cases = [
        (0, 0, 0),
        (0, 1, 1),
        (0b011, 0b110, 2),
        (0b0101, 0b1010, 4),
        (0, u16::MAX, 16),
    ];
    for (a, b, expected) in cases {
        assert_eq!(distance(NodeId(a), NodeId(b)), expected, "{a:b} {b:b}");
        assert_eq!(distance(NodeId(b), NodeId(a)), expected, "{b:b} {a:b}");
    }
}

#[test]
fn cubes_with_and_without_holes() {
    type Row<'a> = (&'a [u16], u32, u16, &'a [u16], &'a [u16]);
    let cases: &[Row<'_>] = &[
        // corners, dimension, of whom: neighbours, all others from the nearest
        (&[], 1, 0, &[], &[]),
        (&[0], 1, 0, &[], &[]),
        (&[0, 1], 1, 1, &[0], &[0]),
        (&[0, 1, 2, 3], 2, 0, &[1, 2], &[1, 2, 3]),
        (&[0, 1, 2, 3], 2, 3, &[2, 1], &[2, 1, 0]),
        (&[0, 1, 2, 3, 4], 3, 4, &[0], &[0, 1, 2, 3]),
        (&[0, 3, 5, 6], 3, 0, &[], &[3, 5, 6]),
        (&[1, 2, 4, 7, 8], 4, 7, &[], &[4, 2, 1, 8]),
        (&[0, 0x8000, 0xFFFF], 16, 0, &[0x8000], &[0x8000, 0xFFFF]),
    ];
    for (corners, dimension, of, neighbours, nearest) in cases {
        let cube = cube(corners);
        assert_eq!(cube.dimension(), *dimension, "{corners:?}");
        assert_eq!(
            ids(&cube.neighbours(NodeId(*of))),
            *neighbours,
            "{of} in {corners:?}"
        );
        assert_eq!(
            ids(&cube.nearest(NodeId(*of))),
            *nearest,
            "{of} in {corners:?}"
        );
        assert_eq!(cube.nodes().count(), corners.len());
    }
}

#[test]
fn neighbours_are_mutual_and_at_distance_one() {
    let cube = cube(&[0, 1, 3, 4, 6, 9, 10, 15, 21, 40, 63]);
    for node in cube.nodes() {
        for neighbour in cube.neighbours(node) {
            assert!(cube.contains(neighbour) && distance(node, neighbour) == 1);
            assert!(cube.neighbours(neighbour).contains(&node));
        }
    }
}

#[test]
fn no_two_corners_are_equally_near() {
    for from in [0, 5, 63].map(NodeId) {
        let mut seen: Vec<_> = (0..64).map(|id| nearness(from, NodeId(id))).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 64);
        assert_eq!(seen[0], (0, 0));
    }
}
