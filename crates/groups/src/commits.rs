//! How far a group has read, and which writes are still on their way.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{LeaderEpoch, Offset, PartitionId, TopicId};

/// Where a group goes on in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The next record to read.
    pub offset: Offset,
    /// The leader epoch of the last record read, if the client knew it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's note; kept as it is. At most
    /// [`COMMIT_METADATA_BYTES_MAX`](model::limits::COMMIT_METADATA_BYTES_MAX) bytes.
    pub metadata: Arc<str>,
}

/// A stored value, and how many writes to it are on their way.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    value: Option<T>,
    in_flight: usize,
}

impl<T> Slot<T> {
    pub(crate) const fn new(value: Option<T>) -> Self {
        Self {
            value,
            in_flight: 0,
        }
    }

    pub(crate) const fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }

    pub(crate) const fn propose(&mut self) {
        self.in_flight += 1;
    }

    /// The next write is on disk.
    pub(crate) fn settle(&mut self, value: Option<T>) {
        self.abandon();
        self.value = value;
    }

    /// A write failed: the value stays.
    pub(crate) fn abandon(&mut self) {
        assert!(
            self.in_flight > 0,
            "a write that was never proposed has ended"
        );
        self.in_flight -= 1;
    }

    /// Nothing is stored and nothing is on its way.
    pub(crate) const fn is_vacant(&self) -> bool {
        self.value.is_none() && self.in_flight == 0
    }
}

/// The commits of one group.
#[derive(Debug, Default)]
pub(crate) struct Commits(BTreeMap<PartitionId, Slot<Commit>>);

impl Commits {
    pub(crate) fn restore(commits: BTreeMap<PartitionId, Commit>) -> Self {
        let slot = |(partition, commit)| (partition, Slot::new(Some(commit)));
        Self(commits.into_iter().map(slot).collect())
    }

    pub(crate) fn get(&self, partition: PartitionId) -> Option<&Commit> {
        self.0.get(&partition).and_then(Slot::value)
    }

    /// All that are stored, by partition.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PartitionId, &Commit)> {
        self.0
            .iter()
            .filter_map(|(partition, slot)| Some((*partition, slot.value()?)))
    }

    /// The partitions that have a commit or may soon have one, for deleting them all.
    pub(crate) fn partitions(&self) -> Vec<PartitionId> {
        self.0.keys().copied().collect()
    }

    /// Likewise, those of one topic.
    pub(crate) fn partitions_of(&self, topic: TopicId) -> Vec<PartitionId> {
        self.0
            .keys()
            .filter(|partition| partition.topic == topic)
            .copied()
            .collect()
    }

    /// The topics of [`Commits::partitions`].
    pub(crate) fn topics(&self) -> BTreeSet<TopicId> {
        self.0.keys().map(|partition| partition.topic).collect()
    }

    /// Whether one more partition may have a commit, given `limit` of them.
    pub(crate) fn has_room_for(&self, partition: PartitionId, limit: usize) -> bool {
        self.0.len() < limit || self.0.contains_key(&partition)
    }

    pub(crate) fn is_vacant(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn propose(&mut self, partition: PartitionId) {
        self.0.entry(partition).or_insert(Slot::new(None)).propose();
    }

    pub(crate) fn settle(&mut self, partition: PartitionId, value: Option<Commit>) {
        self.end(partition, |slot| slot.settle(value));
    }

    pub(crate) fn abandon(&mut self, partition: PartitionId) {
        self.end(partition, Slot::abandon);
    }

    fn end(&mut self, partition: PartitionId, end: impl FnOnce(&mut Slot<Commit>)) {
        let Some(slot) = self.0.get_mut(&partition) else {
            panic!("a slot lives as long as a write to it is on its way");
        };
        end(slot);
        if slot.is_vacant() {
            self.0.remove(&partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(offset: u64) -> Commit {
        let offset = Offset::new(offset).unwrap();
        Commit {
            offset,
            leader_epoch: None,
            metadata: "".into(),
        }
    }

    #[test]
    fn a_failed_write_leaves_the_value() {
        let mut slot = Slot::new(None);
        (0..3).for_each(|_| slot.propose());
        slot.settle(Some('a'));
        slot.abandon();
        assert_eq!(slot.value(), Some(&'a'));
        slot.settle(None);
        assert!(slot.is_vacant());
    }

    #[test]
    fn a_partition_is_known_from_the_first_write_on_its_way() {
        let topic = TopicId::from_bytes([7; 16]);
        let [a, b] = [0, 1].map(|i| PartitionId {
            topic,
            index: model::PartitionIndex(i),
        });
        let mut commits = Commits::default();
        commits.propose(a);
        assert_eq!(commits.partitions(), [a]);
        assert!(commits.has_room_for(a, 1) && !commits.has_room_for(b, 1));
        assert_eq!(commits.get(a), None);
        commits.propose(a);
        commits.settle(a, Some(commit(5)));
        assert_eq!(commits.get(a), Some(&commit(5)));
        commits.settle(a, None);
        assert!(commits.is_vacant());
    }
}
