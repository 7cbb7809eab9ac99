//! What becomes of the partitions of a node that is gone, or of its disk.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{LeaderEpoch, NodeId, PartitionId, PartitionIndex};

use crate::{Catalog, PartitionState, Refusal, Topic};

impl Catalog {
    /// Refuses when records would be lost with the node that are nowhere else.
    pub(super) fn check_loss(&self, id: NodeId, accepted: bool) -> Result<(), Refusal> {
        if accepted {
            return Ok(());
        }
        let held = self.only_on(id);
        // Nobody can delete the internal topic, whose partitions stand for what their leaders keep.
        let of_users = held.iter().filter(|topic| !topic.name.is_internal());
        match (of_users.count(), held.len()) {
            (0, 0) => Ok(()),
            (0, _) => Err(Refusal::HoldsGroups(id)),
            (partitions, _) => Err(Refusal::HoldsPartitions { id, partitions }),
        }
    }

    /// Takes a node out of all partitions. Those that lay nowhere else get a new home, without records.
    pub(super) fn move_away(&mut self, id: NodeId) -> Result<(), Refusal> {
        let nowhere_else = |state: &PartitionState| state.replicas.iter().all(|other| *other == id);
        let homeless = self.held_where(id, nowhere_else);
        let homes = self.places(&homeless, 1, Some(id))?;
        let mut homes = homeless.iter().zip(homes).peekable();
        for topic in self.topics_on(id) {
            self.alter_partitions(&topic, |partition, state| {
                state.replicas.retain(|replica| *replica != id);
                if let Some((_, home)) = homes.next_if(|(homeless, _)| **homeless == partition) {
                    state.replicas = home;
                }
                leave_isr(state, id);
            });
        }
        Ok(())
    }

    /// Forgets what the disk of a node had. Its partitions are led by others, or anew and empty.
    pub(super) fn begin_anew(&mut self, id: NodeId) {
        for topic in self.topics_on(id) {
            self.alter_partitions(&topic, |_, state| leave_isr(state, id));
        }
    }

    /// The topics of the partitions of which no other node has everything, once for each.
    fn only_on(&self, id: NodeId) -> Vec<&Arc<Topic>> {
        let is_only = |state: &PartitionState| state.isr.iter().all(|other| *other == id);
        let held = self.held_by(id).filter(|(_, _, state)| is_only(state));
        held.map(|(topic, _, _)| topic).collect()
    }

    /// The partitions of a node for which this holds, by topic's name and index.
    fn held_where(&self, id: NodeId, holds: impl Fn(&PartitionState) -> bool) -> Vec<PartitionId> {
        let held = self.held_by(id).filter(|(_, _, state)| holds(state));
        let ids = held.map(|(topic, index, _)| PartitionId {
            topic: topic.id,
            index,
        });
        ids.collect()
    }

    fn topics_on(&self, id: NodeId) -> Vec<Arc<Topic>> {
        let mut seen = BTreeSet::new();
        let topics = self.held_by(id).map(|(topic, _, _)| topic);
        topics
            .filter(|topic| seen.insert(topic.id))
            .cloned()
            .collect()
    }

    /// Changes partitions of a topic, in the order of their indices, as part of the command whose
    /// revision is next.
    fn alter_partitions(
        &mut self,
        topic: &Topic,
        mut change: impl FnMut(PartitionId, &mut PartitionState),
    ) {
        let mut topic = topic.clone();
        for (index, before) in (0..).map(PartitionIndex).zip(&mut topic.partitions) {
            let mut state = PartitionState::clone(before);
            let partition = PartitionId {
                topic: topic.id,
                index,
            };
            change(partition, &mut state);
            if state != **before {
                state.epoch = state.epoch.saturating_add(1);
                *before = Arc::new(state);
            }
        }
        topic.changed = self.revision.saturating_add(1);
        self.put_topic(topic);
    }
}

/// What the node had of a partition is gone. If it alone had everything, another copy begins a new reign
/// with what it has; if there is no other, the same node with nothing.
fn leave_isr(state: &mut PartitionState, id: NodeId) {
    let was_in = state.isr.contains(&id);
    state.isr.retain(|replica| *replica != id);
    if state.isr.is_empty() {
        let other = state.replicas.iter().find(|replica| **replica != id);
        state.isr.extend(other.or_else(|| state.replicas.first()));
    }
    if was_in && state.leader.is_none_or(|leader| leader == id) {
        state.leader = state.isr.first().copied();
        state.leader_epoch = next(state.leader_epoch);
    }
}

pub(super) const fn next(epoch: LeaderEpoch) -> LeaderEpoch {
    LeaderEpoch(epoch.0.saturating_add(1))
}
