//! Looking things up in a catalog.

use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{ClusterId, NodeId, PartitionId, PartitionIndex, StorageId, TopicId, TopicName};

use crate::{AclEntry, Catalog, Load, Node, PartitionState, Topic, User};

impl Catalog {
    /// The cluster, once it was founded.
    #[must_use]
    pub const fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// Grows by one with every command that changed anything.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The registered nodes, by id. Those that were removed are not among them.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// The node that registered with this data directory.
    #[must_use]
    pub fn node_of_storage(&self, storage: StorageId) -> Option<&Arc<Node>> {
        self.nodes.values().find(|node| node.storage == storage)
    }

    /// Whether this id was removed for ever.
    #[must_use]
    pub fn is_removed(&self, id: NodeId) -> bool {
        self.removed.contains_key(&id)
    }

    /// The topics, by name; internal ones too.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// One topic.
    #[must_use]
    pub fn topic(&self, name: &TopicName) -> Option<&Arc<Topic>> {
        self.topics.get(name.as_str())
    }

    /// One topic.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics_by_id.get(&id)
    }

    /// Whether a topic of this identity was deleted.
    #[must_use]
    pub fn is_deleted(&self, id: TopicId) -> bool {
        self.deleted.contains(&id)
    }

    /// One partition.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<PartitionState>> {
        self.topic_by_id(id.topic)?.partition(id.index)
    }

    /// All partitions, by topic's name and index.
    pub fn partitions(
        &self,
    ) -> impl Iterator<Item = (&Arc<Topic>, PartitionIndex, &Arc<PartitionState>)> {
        self.topics().flat_map(|topic| {
            let indexed = (0..).map(PartitionIndex).zip(&topic.partitions);
            indexed.map(move |(index, state)| (topic, index, state))
        })
    }

    /// The partitions of which this node keeps a copy.
    pub fn held_by(
        &self,
        node: NodeId,
    ) -> impl Iterator<Item = (&Arc<Topic>, PartitionIndex, &Arc<PartitionState>)> {
        self.partitions()
            .filter(move |(_, _, state)| state.is_held_by(node))
    }

    /// The partitions that this node leads.
    pub fn led_by(
        &self,
        node: NodeId,
    ) -> impl Iterator<Item = (&Arc<Topic>, PartitionIndex, &Arc<PartitionState>)> {
        self.partitions()
            .filter(move |(_, _, state)| state.is_led_by(node))
    }

    /// What a node has.
    #[must_use]
    pub fn load(&self, node: NodeId) -> Load {
        self.loads.of(node)
    }

    /// What each node has, by id; those that have nothing are there too.
    pub fn loads(&self) -> impl Iterator<Item = (NodeId, Load)> {
        self.nodes.keys().map(|id| (*id, self.load(*id)))
    }

    /// How many partitions all topics have together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.loads.partitions()
    }

    /// The users, by name.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// One user.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// The rules about who may do what, in their order.
    pub fn acls(&self) -> impl Iterator<Item = &AclEntry> {
        self.acls.iter()
    }
}

impl Topic {
    /// One partition.
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&Arc<PartitionState>> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// The nodes that lead partitions of it, each once, from the lowest.
    #[must_use]
    pub fn leaders(&self) -> Vec<NodeId> {
        let mut leaders: Vec<_> = self.partitions.iter().filter_map(|p| p.leader).collect();
        leaders.sort_unstable();
        leaders.dedup();
        leaders
    }
}

impl PartitionState {
    /// Who leads it by preference.
    #[must_use]
    pub fn home(&self) -> Option<NodeId> {
        self.replicas.first().copied()
    }

    /// Whether this node takes appends to it.
    #[must_use]
    pub fn is_led_by(&self, node: NodeId) -> bool {
        self.leader == Some(node)
    }

    /// Whether this node keeps a copy.
    #[must_use]
    pub fn is_held_by(&self, node: NodeId) -> bool {
        self.replicas.contains(&node)
    }

    /// Whether its leader and its ISR can be these.
    pub(crate) fn can_be(&self, leader: Option<NodeId>, isr: &[NodeId]) -> bool {
        let is_first =
            |(place, id): (usize, &NodeId)| !isr.iter().take(place).any(|other| other == id);
        !isr.is_empty()
            && isr.len() <= self.replicas.len()
            && isr.iter().all(|id| self.is_held_by(*id))
            && isr.iter().enumerate().all(is_first)
            && leader.is_none_or(|leader| isr.contains(&leader))
    }
}
