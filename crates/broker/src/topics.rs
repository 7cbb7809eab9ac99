//! Which topics there are.
//!
//! A topic exists once it stands in `hark.db`. Making one tells the store first and `hark.db` then,
//! deleting one the other way round: a crash in between leaves partitions that no topic names, and
//! those are dropped at the next start. Changes are made one after the other, each in a task of its
//! own: a caller that goes away does not leave one half done.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::limits::PARTITIONS_PER_NODE_MAX;
use model::{TopicId, TopicName};
use parking_lot::RwLock;

use crate::error::TopicError;
use crate::topic::Topic;

/// The topics of users, by name and by id.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    maps: RwLock<Maps>,
    /// Held while a topic is made, changed or deleted.
    pub(crate) changes: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Maps {
    by_name: BTreeMap<TopicName, Arc<Topic>>,
    by_id: BTreeMap<TopicId, Arc<Topic>>,
    partitions: usize,
}

impl Topics {
    pub(crate) fn by_name(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.maps.read().by_name.get(name).cloned()
    }

    pub(crate) fn by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.maps.read().by_id.get(&id).cloned()
    }

    /// All topics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.maps.read().by_name.values().cloned().collect()
    }

    /// How many topics and partitions there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let maps = self.maps.read();
        (maps.by_name.len(), maps.partitions)
    }

    /// Whether a topic of that name and size may be made.
    pub(crate) fn check_room(&self, name: &TopicName, partitions: u32) -> Result<(), TopicError> {
        let maps = self.maps.read();
        if maps.by_name.contains_key(name) {
            return Err(TopicError::Exists(name.to_string()));
        }
        if maps.partitions + partitions as usize > PARTITIONS_PER_NODE_MAX {
            return Err(TopicError::TooMany);
        }
        Ok(())
    }

    pub(crate) fn insert(&self, topic: &Arc<Topic>) {
        let mut maps = self.maps.write();
        maps.by_id.insert(topic.id, Arc::clone(topic));
        maps.partitions += topic.partitions.len();
        let before = maps.by_name.insert(topic.name.clone(), Arc::clone(topic));
        debug_assert!(before.is_none(), "two topics of one name");
    }

    pub(crate) fn remove(&self, topic: &Topic) {
        let mut maps = self.maps.write();
        if maps.by_id.remove(&topic.id).is_some() {
            maps.by_name.remove(&topic.name);
            maps.partitions -= topic.partitions.len();
        }
    }
}
