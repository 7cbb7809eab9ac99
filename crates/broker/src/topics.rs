//! Which topics there are, as this node knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{TopicId, TopicName};
use parking_lot::RwLock;

use crate::topic::Topic;

/// The topics of users, by name and by id.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    maps: RwLock<Maps>,
}

#[derive(Debug, Default)]
struct Maps {
    by_name: BTreeMap<TopicName, Arc<Topic>>,
    by_id: BTreeMap<TopicId, Arc<Topic>>,
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

    pub(crate) fn insert(&self, topic: &Arc<Topic>) {
        let mut maps = self.maps.write();
        maps.by_id.insert(topic.id, Arc::clone(topic));
        let before = maps.by_name.insert(topic.name.clone(), Arc::clone(topic));
        debug_assert!(before.is_none(), "two topics of one name");
    }

    pub(crate) fn remove(&self, topic: &Topic) {
        let mut maps = self.maps.write();
        if maps.by_id.remove(&topic.id).is_some() {
            maps.by_name.remove(&topic.name);
        }
    }
}
