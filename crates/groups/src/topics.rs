//! Which topics there are, as far as subscriptions need to know.

use alloc::collections::BTreeMap;

use model::{TopicId, TopicName};

/// The topics by name. A name means one topic at a time: the latest.
#[derive(Debug, Default)]
pub(crate) struct Topics(BTreeMap<TopicName, (TopicId, u32)>);

impl Topics {
    pub(crate) fn get(&self, name: &TopicName) -> Option<(TopicId, u32)> {
        self.0.get(name).copied()
    }

    /// Takes in what a topic has become; whether the name now means something else.
    pub(crate) fn set(&mut self, topic: TopicId, name: &TopicName, count: u32) -> bool {
        let known = self.get(name);
        if count > 0 {
            self.0.insert(name.clone(), (topic, count));
            known != Some((topic, count))
        } else if known.is_some_and(|(id, _)| id == topic) {
            self.0.remove(name);
            true
        } else {
            // Deleted, but its name already belongs to a newer topic or to none.
            false
        }
    }
}
