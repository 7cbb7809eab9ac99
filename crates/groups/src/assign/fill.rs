//! Third step: which partitions fill a quota.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use model::{PartitionId, PartitionIndex, TopicId};

use super::quota::Quotas;

/// Lets every member keep what it holds up to its quota, and fills the rest in order.
///
/// # Panics
/// When the quotas are not as many as the partitions: then one would have no reader, or two.
pub(super) fn fill(
    topic: TopicId,
    count: u32,
    quotas: &Quotas,
    held: Option<&BTreeMap<usize, BTreeSet<u32>>>,
    assigned: &mut [Vec<PartitionId>],
) {
    assert_eq!(
        quotas.values().sum::<u32>(),
        count,
        "every partition has one quota"
    );
    let mut kept: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let mut free: BTreeSet<u32> = (0..count).collect();
    for (member, quota) in quotas {
        let own = held.and_then(|held| held.get(member)).into_iter().flatten();
        let keeps: Vec<u32> = own.take(*quota as usize).copied().collect();
        keeps
            .iter()
            .for_each(|index| assert!(free.remove(index), "kept by two members"));
        kept.insert(*member, keeps);
    }
    for (member, quota) in quotas {
        let own = kept.entry(*member).or_default();
        while own.len() < *quota as usize {
            own.extend(free.pop_first());
        }
        own.sort_unstable();
        if let Some(list) = assigned.get_mut(*member) {
            let partition = |index: &u32| PartitionId {
                topic,
                index: PartitionIndex(*index),
            };
            list.extend(own.iter().map(partition));
        }
    }
}
