//! One hash, fixed for ever: what was placed by it must be placed the same way when a log is replayed.

use model::{NodeId, PartitionId};

/// A partition as a number that looks random.
#[must_use]
pub(crate) fn of_partition(partition: PartitionId) -> u64 {
    let id = u128::from_be_bytes(*partition.topic.as_bytes());
    let (high, low) = ((id >> 64) as u64, id as u64);
    mix(mix(mix(high) ^ low) ^ u64::from(partition.index.0))
}

/// How well a node suits a partition, given as [`of_partition`]: the highest number is the best.
#[must_use]
pub(crate) const fn affinity(partition: u64, node: NodeId) -> u64 {
    // One is added because 0 is a fixed point of the mixer.
    mix(partition ^ mix(node.0 as u64 + 1))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014; constants of Stafford's variant 13): a
/// permutation in which every bit of the input turns about half of the bits of the output.
const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
