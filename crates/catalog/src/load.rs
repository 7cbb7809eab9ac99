//! How much each node has: counted with each change, because counting anew would visit every partition
//! of the cluster for each topic that is made.

use alloc::collections::BTreeMap;

use model::NodeId;

use crate::Topic;

/// How much a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// How many partitions it is the home of.
    pub homes: usize,
    /// How many it leads now.
    pub leads: usize,
    /// How many copies it keeps.
    pub holds: usize,
}

/// The loads of all nodes that have anything, and the number of partitions. Follows from the topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Loads {
    nodes: BTreeMap<NodeId, Load>,
    partitions: usize,
}

impl Loads {
    pub(crate) fn of(&self, node: NodeId) -> Load {
        self.nodes.get(&node).copied().unwrap_or_default()
    }

    /// Of all topics together.
    pub(crate) const fn partitions(&self) -> usize {
        self.partitions
    }

    pub(crate) fn add(&mut self, topic: &Topic) {
        self.partitions += topic.partitions.len();
        self.count(topic, |count| *count += 1);
    }

    pub(crate) fn remove(&mut self, topic: &Topic) {
        self.partitions -= topic.partitions.len();
        self.count(topic, |count| *count -= 1);
        self.nodes.retain(|_, load| *load != Load::default());
    }

    fn count(&mut self, topic: &Topic, change: impl Fn(&mut usize)) {
        for state in &topic.partitions {
            for id in &state.replicas {
                change(&mut self.nodes.entry(*id).or_default().holds);
            }
            if let Some(home) = state.home() {
                change(&mut self.nodes.entry(home).or_default().homes);
            }
            if let Some(leader) = state.leader {
                change(&mut self.nodes.entry(leader).or_default().leads);
            }
        }
    }
}
