//! A whole catalog, and what must hold in each.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::limits::REPLICAS_MAX;
use model::{NodeId, Slot};

use super::DecodeError;
use super::bytes::{Coded, Reader, write_list};
use crate::load::Loads;
use crate::{Catalog, Node, PartitionState, Topic, User};

impl Coded for Catalog {
    fn write(&self, to: &mut Vec<u8>) {
        self.cluster.write(to);
        self.revision.write(to);
        write_list(self.nodes.values(), to);
        self.removed.len().write(to);
        self.removed.iter().for_each(|(id, slot)| {
            id.write(to);
            slot.write(to);
        });
        write_list(self.topics.values(), to);
        write_list(self.deleted.iter(), to);
        self.next_slot.write(to);
        self.next_producer_id.write(to);
        write_list(self.users.values(), to);
        write_list(self.acls.iter(), to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let cluster = Coded::read(from)?;
        let revision = Coded::read(from)?;
        let nodes = read_map(from, |node: &Arc<Node>| node.id)?;
        let removed = read_map(from, |(id, _): &(NodeId, Slot)| *id)?;
        let topics = read_map(from, |topic: &Arc<Topic>| topic.name.as_str().into())?;
        let mut loads = Loads::default();
        topics.values().for_each(|topic| loads.add(topic));
        let catalog = Self {
            cluster,
            revision,
            nodes: Arc::new(nodes),
            removed: Arc::new(
                removed
                    .into_iter()
                    .map(|(id, (_, slot))| (id, slot))
                    .collect(),
            ),
            topics_by_id: Arc::new(topics.values().map(|t| (t.id, Arc::clone(t))).collect()),
            topics: Arc::new(topics),
            loads: Arc::new(loads),
            deleted: Arc::new(read_set(from)?),
            next_slot: Coded::read(from)?,
            next_producer_id: Coded::read(from)?,
            users: Arc::new(read_map(from, |user: &Arc<User>| user.name.clone())?),
            acls: Arc::new(read_set(from)?),
        };
        if catalog.is_sound() {
            Ok(catalog)
        } else {
            Err(from.invalid())
        }
    }
}

impl Coded for PartitionState {
    fn write(&self, to: &mut Vec<u8>) {
        self.replicas.write(to);
        self.isr.write(to);
        self.leader.write(to);
        self.leader_epoch.write(to);
        self.epoch.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let state = Self {
            replicas: Coded::read(from)?,
            isr: Coded::read(from)?,
            leader: Coded::read(from)?,
            leader_epoch: Coded::read(from)?,
            epoch: Coded::read(from)?,
        };
        if state.replicas.len() <= REPLICAS_MAX
            && are_distinct(state.replicas.iter())
            && state.can_be(state.leader, &state.isr)
        {
            Ok(state)
        } else {
            Err(from.invalid())
        }
    }
}

impl Catalog {
    /// What holds after any commands, and is not written down by the form of the encoding alone.
    fn is_sound(&self) -> bool {
        let mut topic_ids = self.topics_by_id.keys();
        let slots = self.nodes.values().map(|node| &node.slot);
        let slots = slots.chain(self.removed.values());
        let mut removed = self.removed.keys();
        self.topics_by_id.len() == self.topics.len()
            && topic_ids.all(|id| !self.deleted.contains(id))
            && removed.all(|id| !self.nodes.contains_key(id))
            && slots.clone().all(|slot| slot.0 < self.next_slot)
            && are_distinct(slots)
            && are_distinct(self.nodes.values().map(|node| &node.storage))
    }
}

fn are_distinct<'a, T: Ord + 'a>(mut things: impl Iterator<Item = &'a T>) -> bool {
    let mut seen = BTreeSet::new();
    things.all(|thing| seen.insert(thing))
}

/// A list as a map. The keys must be ascending.
fn read_map<K: Ord, V: Coded>(
    from: &mut Reader<'_>,
    key: impl Fn(&V) -> K,
) -> Result<BTreeMap<K, V>, DecodeError> {
    let mut map = BTreeMap::new();
    let mut ascends = true;
    from.list(|value| {
        let key = key(&value);
        ascends &= map.last_key_value().is_none_or(|(last, _)| *last < key);
        map.insert(key, value);
    })?;
    if ascends {
        Ok(map)
    } else {
        Err(from.invalid())
    }
}

/// A list as a set. The elements must be ascending.
fn read_set<T: Coded + Ord>(from: &mut Reader<'_>) -> Result<BTreeSet<T>, DecodeError> {
    let mut set = BTreeSet::new();
    let mut ascends = true;
    from.list(|element| {
        ascends &= set.last().is_none_or(|last| *last < element);
        set.insert(element);
    })?;
    if ascends {
        Ok(set)
    } else {
        Err(from.invalid())
    }
}
