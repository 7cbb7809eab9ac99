//! From stored records back to a coordinator.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{Instant, PartitionId, TopicId, TopicName};

use crate::{Commit, Coordinator, GroupName, Membership, Options, StateRecord};

/// A coordinator that has not started: it takes the stored records, in the order in which they
/// were written, and answers nobody. So no member is told that it is unknown before the group it
/// belongs to has been read.
#[derive(Debug, Default)]
pub struct Restoring {
    groups: BTreeMap<GroupName, StoredGroup>,
}

/// What is stored of one group.
#[derive(Debug, Default)]
pub(crate) struct StoredGroup {
    pub(crate) membership: Option<Arc<Membership>>,
    pub(crate) commits: BTreeMap<PartitionId, Commit>,
}

impl Restoring {
    /// Nothing stored yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next record.
    pub fn apply(&mut self, record: StateRecord) {
        match record {
            StateRecord::Membership { group, value } => {
                self.groups.entry(group).or_default().membership = value;
            }
            StateRecord::Commit {
                group,
                partition,
                value: Some(commit),
            } => {
                self.groups
                    .entry(group)
                    .or_default()
                    .commits
                    .insert(partition, commit);
            }
            StateRecord::Commit {
                group,
                partition,
                value: None,
            } => {
                if let Some(stored) = self.groups.get_mut(&group) {
                    stored.commits.remove(&partition);
                }
            }
        }
    }

    /// The coordinator that goes on from here. Members have a whole session timeout from `now` to
    /// report; groups whose `topics` (id, name, partitions) have changed meanwhile rebalance, and
    /// commits in topics that are none of these are erased: their deletion came through no more.
    ///
    /// `seed` makes the ids of new members differ from those of every earlier process: draw it at
    /// random.
    #[must_use]
    pub fn start(
        self,
        now: Instant,
        options: Options,
        seed: u64,
        topics: impl IntoIterator<Item = (TopicId, TopicName, u32)>,
    ) -> Coordinator {
        let topics: Vec<_> = topics.into_iter().collect();
        let known: BTreeSet<TopicId> = topics.iter().map(|(id, _, _)| *id).collect();
        let is_lost = |topic| !known.contains(&topic);
        self.start_keeping(now, options, seed, topics, is_lost)
    }

    /// The same for a host that may not know every topic yet: commits are erased in those topics only
    /// of which `is_lost` says that they are gone for ever.
    #[must_use]
    pub fn start_keeping(
        self,
        now: Instant,
        options: Options,
        seed: u64,
        topics: impl IntoIterator<Item = (TopicId, TopicName, u32)>,
        is_lost: impl Fn(TopicId) -> bool,
    ) -> Coordinator {
        let something =
            |stored: &StoredGroup| stored.membership.is_some() || !stored.commits.is_empty();
        let groups = self
            .groups
            .into_iter()
            .filter(|(_, stored)| something(stored));
        Coordinator::restored(now, options, seed, topics, is_lost, groups)
    }
}
