//! Topics that are made, changed and deleted.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use model::limits::{
    PARTITIONS_PER_CLUSTER_MAX, PARTITIONS_PER_NODE_MAX, PARTITIONS_PER_TOPIC_MAX, TOPICS_EVER_MAX,
    TOPICS_MAX,
};
use model::{
    LeaderEpoch, Mode, NodeId, PartitionId, PartitionIndex, Timestamp, TopicId, TopicName,
};
use overlay::placement::{Candidate, Member, place};

use super::{check_count, limit, loss::next};
use crate::{
    Catalog, NodeState, Outcome, PartitionState, Refusal, Topic, TopicChanges, TopicSettings,
};

/// A topic that is asked for, as [`crate::Command::CreateTopic`] has it.
#[derive(Debug)]
pub(super) struct NewTopic<'a> {
    pub(super) id: TopicId,
    pub(super) name: &'a TopicName,
    pub(super) partitions: u32,
    pub(super) copies: u16,
    pub(super) mode: Mode,
    pub(super) settings: &'a TopicSettings,
    pub(super) created: Timestamp,
    pub(super) home: Option<NodeId>,
}

impl Catalog {
    /// On which nodes the partitions of a new topic would be placed now: for each those that keep a
    /// copy, the home first.
    ///
    /// # Errors
    /// [`Refusal::Partitions`], [`Refusal::NoPlace`] or [`Refusal::Limit`].
    pub fn preview(
        &self,
        topic: TopicId,
        partitions: u32,
        copies: u16,
    ) -> Result<Vec<Vec<NodeId>>, Refusal> {
        if partitions > PARTITIONS_PER_TOPIC_MAX {
            return Err(Refusal::Partitions(partitions));
        }
        let indices = (0..partitions).map(PartitionIndex);
        let all: Vec<_> = indices.map(|index| PartitionId { topic, index }).collect();
        self.places(&all, copies, None)
    }

    pub(super) fn create(&mut self, new: &NewTopic<'_>) -> Result<Outcome, Refusal> {
        if let Some(present) = self.topic_by_id(new.id) {
            return made_already(present, new);
        }
        if self.is_deleted(new.id) {
            return Err(Refusal::Stale);
        }
        if self.topic(new.name).is_some() {
            return Err(Refusal::TopicExists(new.name.to_string()));
        }
        new.check()?;
        self.check_room(new.partitions)?;
        let places = match new.home {
            Some(home) if self.node(home).is_none() => return Err(Refusal::UnknownNode(home)),
            Some(home) => (0..new.partitions).map(|_| vec![home]).collect(),
            None => self.preview(new.id, new.partitions, new.copies)?,
        };
        let partitions = places.into_iter().map(first_state).map(Arc::new);
        let topic = Topic {
            id: new.id,
            name: new.name.clone(),
            mode: new.mode,
            created: new.created,
            settings: new.settings.clone(),
            changed: self.changed(),
            partitions: partitions.collect(),
        };
        Ok(Outcome::Topic(self.put_topic(topic)))
    }

    pub(super) fn delete(&mut self, id: TopicId) -> Result<Outcome, Refusal> {
        if self.is_deleted(id) {
            return Ok(Outcome::Done);
        }
        let topic = self.topic_by_id(id).cloned().ok_or(Refusal::UnknownTopic)?;
        Arc::make_mut(&mut self.loads).remove(&topic);
        Arc::make_mut(&mut self.topics).remove(topic.name.as_str());
        Arc::make_mut(&mut self.topics_by_id).remove(&id);
        Arc::make_mut(&mut self.deleted).insert(id);
        self.changed();
        Ok(Outcome::Done)
    }

    pub(super) fn configure(
        &mut self,
        id: TopicId,
        changes: &TopicChanges,
    ) -> Result<Outcome, Refusal> {
        let topic = self.topic_by_id(id).cloned().ok_or(Refusal::UnknownTopic)?;
        let settings = topic.settings.with(changes);
        settings.check()?;
        if settings == topic.settings {
            return Ok(Outcome::Topic(topic));
        }
        let topic = Topic {
            settings,
            changed: self.changed(),
            ..Topic::clone(&topic)
        };
        Ok(Outcome::Topic(self.put_topic(topic)))
    }

    pub(super) fn alter(
        &mut self,
        partition: PartitionId,
        expected_epoch: u64,
        leader: Option<NodeId>,
        isr: &[NodeId],
    ) -> Result<Outcome, Refusal> {
        let topic = self.topic_by_id(partition.topic).cloned();
        let mut topic = Topic::clone(&*topic.ok_or(Refusal::UnknownTopic)?);
        let index = usize::try_from(partition.index.0).ok();
        let state = index.and_then(|index| topic.partitions.get_mut(index));
        let state = Arc::make_mut(state.ok_or(Refusal::UnknownTopic)?);
        if state.epoch != expected_epoch {
            return Err(Refusal::Stale);
        }
        if !state.can_be(leader, isr) {
            return Err(Refusal::InvalidPartition);
        }
        if state.leader == leader && state.isr == isr {
            return Ok(Outcome::Topic(Arc::new(topic)));
        }
        if state.leader != leader {
            state.leader = leader;
            state.leader_epoch = next(state.leader_epoch);
        }
        state.isr = isr.to_vec();
        state.epoch = state.epoch.saturating_add(1);
        topic.changed = self.changed();
        Ok(Outcome::Topic(self.put_topic(topic)))
    }

    /// Where these partitions would be placed, by the nodes' present loads.
    pub(super) fn places(
        &self,
        partitions: &[PartitionId],
        copies: u16,
        without: Option<NodeId>,
    ) -> Result<Vec<Vec<NodeId>>, Refusal> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let candidates = self.candidates(without);
        if candidates.is_empty() {
            return Err(Refusal::NoPlace);
        }
        place(partitions, copies.into(), &candidates).ok_or_else(|| {
            let more = partitions.len();
            limit(format!(
                "the nodes have no room for {more} more partitions: each holds at most {PARTITIONS_PER_NODE_MAX}"
            ))
        })
    }

    fn candidates(&self, without: Option<NodeId>) -> Vec<Candidate<'_>> {
        let nodes = self.nodes().filter(|node| Some(node.id) != without);
        let willing = nodes.filter(|node| node.state == NodeState::Active);
        let up = willing.filter(|node| !node.fenced && !node.awaits_disk);
        up.map(|node| {
            let load = self.load(node.id);
            Candidate {
                member: Member {
                    id: node.id,
                    rack: node.rack.as_deref(),
                },
                leads: load.homes,
                holds: load.holds,
                room: PARTITIONS_PER_NODE_MAX.saturating_sub(load.holds),
            }
        })
        .collect()
    }

    fn check_room(&self, partitions: u32) -> Result<(), Refusal> {
        check_count("topics", self.topics.len(), TOPICS_MAX)?;
        let ever = self.topics.len() + self.deleted.len();
        if ever >= TOPICS_EVER_MAX {
            return Err(limit(format!(
                "this cluster has made {ever} topics in its life and cannot remember more"
            )));
        }
        let present = self.partition_count();
        let after = present.saturating_add(usize::try_from(partitions).unwrap_or(usize::MAX));
        if after > PARTITIONS_PER_CLUSTER_MAX {
            return Err(limit(format!(
                "a cluster has at most {PARTITIONS_PER_CLUSTER_MAX} partitions, and there are {present}"
            )));
        }
        Ok(())
    }

    pub(super) fn put_topic(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let name = topic.name.as_str().into();
        Arc::make_mut(&mut self.topics).insert(name, Arc::clone(&topic));
        let topics_by_id = Arc::make_mut(&mut self.topics_by_id);
        let before = topics_by_id.insert(topic.id, Arc::clone(&topic));
        if before.as_ref().map(|before| &before.partitions) != Some(&topic.partitions) {
            let loads = Arc::make_mut(&mut self.loads);
            loads.add(&topic);
            before.iter().for_each(|before| loads.remove(before));
        }
        topic
    }
}

impl NewTopic<'_> {
    fn check(&self) -> Result<(), Refusal> {
        if self.partitions == 0 || self.partitions > PARTITIONS_PER_TOPIC_MAX {
            return Err(Refusal::Partitions(self.partitions));
        }
        if self.copies != 1 {
            return Err(Refusal::Replication(self.copies));
        }
        if self.mode == Mode::Gossip {
            return Err(Refusal::Mode);
        }
        self.settings.check()
    }
}

/// The same command has come before, or another one that drew the same identity.
fn made_already(present: &Arc<Topic>, new: &NewTopic<'_>) -> Result<Outcome, Refusal> {
    if present.name == *new.name {
        Ok(Outcome::Topic(Arc::clone(present)))
    } else {
        Err(Refusal::TopicExists(present.name.to_string()))
    }
}

/// A partition as it begins: empty, so all of its nodes have everything.
fn first_state(replicas: Vec<NodeId>) -> PartitionState {
    PartitionState {
        isr: replicas.clone(),
        leader: replicas.first().copied(),
        replicas,
        leader_epoch: LeaderEpoch(0),
        epoch: 0,
    }
}
