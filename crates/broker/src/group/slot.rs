//! What is known of consumers between their calls.
//!
//! A consumer's slot says which member it was last known as. It is only a memory: the coordinator
//! decides, and a slot that is lost or wrong costs one more question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ::groups::{Error, Fence, GroupName, InstanceId, MemberId};
use model::limits::SESSION_TIMEOUT_MAX;
use model::{Instant, PartitionId, TopicName};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::refused;
use crate::error::GroupError;

/// Consumers by group and name.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<BTreeMap<GroupName, GroupSlots>>);

#[derive(Debug, Default)]
struct GroupSlots {
    bell: Arc<Notify>,
    consumers: BTreeMap<InstanceId, Arc<Slot>>,
}

/// One consumer.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) group: GroupName,
    pub(super) consumer: InstanceId,
    /// Rung when somebody joined or left the group, or a topic changed.
    pub(super) bell: Arc<Notify>,
    /// Held by whoever joins.
    pub(super) joining: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// As the coordinator last said; `None` when it said that there is no such member.
    membership: Option<Arc<Membership>>,
    heard: Instant,
}

/// What a consumer is as a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) member: MemberId,
    pub(super) generation: u32,
    pub(super) session_timeout: Duration,
    pub(super) topics: BTreeSet<TopicName>,
    /// In order.
    pub(super) partitions: Arc<[PartitionId]>,
}

impl Slots {
    /// The slot of a consumer that is known; else one that nobody else sees, to speak once.
    pub(super) fn known(
        &self,
        group: &GroupName,
        consumer: &InstanceId,
        now: Instant,
    ) -> Arc<Slot> {
        let groups = self.0.lock();
        let slots = groups.get(group);
        match slots.and_then(|slots| slots.consumers.get(consumer)) {
            Some(slot) => Arc::clone(slot),
            None => {
                let bell = slots
                    .map(|slots| Arc::clone(&slots.bell))
                    .unwrap_or_default();
                Arc::new(Slot::new(group, consumer, bell, now))
            }
        }
    }

    /// The slot of a consumer that joins.
    pub(super) fn slot(&self, group: &GroupName, consumer: &InstanceId, now: Instant) -> Arc<Slot> {
        let mut groups = self.0.lock();
        let slots = groups.entry(group.clone()).or_default();
        let bell = &slots.bell;
        let new = || Arc::new(Slot::new(group, consumer, Arc::clone(bell), now));
        let slot = slots.consumers.entry(consumer.clone()).or_insert_with(new);
        slot.state.lock().heard = now;
        Arc::clone(slot)
    }

    pub(super) fn ring_all(&self) {
        let groups = self.0.lock();
        groups
            .values()
            .for_each(|slots| slots.bell.notify_waiters());
    }

    /// Drops a consumer that is no member.
    pub(super) fn remove(&self, slot: &Slot) {
        slot.state.lock().membership = None;
        let mut groups = self.0.lock();
        let Some(slots) = groups.get_mut(&slot.group) else {
            return;
        };
        let known = slots.consumers.get(&slot.consumer);
        if known.is_some_and(|known| std::ptr::eq(&**known, slot)) {
            slots.consumers.remove(&slot.consumer);
        }
        if slots.consumers.is_empty() {
            groups.remove(&slot.group);
        }
    }

    /// How many consumers are remembered.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let groups = self.0.lock();
        groups.values().map(|slots| slots.consumers.len()).sum()
    }

    /// Drops consumers that cannot be members any more: whoever was silent longer than the longest
    /// session has expired.
    pub(super) fn forget_silent(&self, now: Instant) {
        let is_recent = |slot: &Arc<Slot>| {
            Arc::strong_count(slot) > 1 || now.since(slot.state.lock().heard) < SESSION_TIMEOUT_MAX
        };
        let mut groups = self.0.lock();
        groups.retain(|_, slots| {
            slots.consumers.retain(|_, slot| is_recent(slot));
            !slots.consumers.is_empty()
        });
    }
}

impl Slot {
    fn new(group: &GroupName, consumer: &InstanceId, bell: Arc<Notify>, now: Instant) -> Self {
        Self {
            group: group.clone(),
            consumer: consumer.clone(),
            bell,
            joining: Arc::default(),
            state: Mutex::new(State {
                membership: None,
                heard: now,
            }),
        }
    }

    pub(super) fn membership(&self) -> Option<Arc<Membership>> {
        self.state.lock().membership.clone()
    }

    /// Forgets what the coordinator no longer takes; what another call has learned since stays.
    pub(super) fn forget(&self, refused: &Membership) {
        let mut state = self.state.lock();
        let same = |known: &Arc<Membership>| {
            known.member == refused.member && known.generation == refused.generation
        };
        state.membership.take_if(|known| same(known));
    }

    pub(super) fn remember(&self, membership: Membership) -> Arc<Membership> {
        let membership = Arc::new(membership);
        self.state.lock().membership = Some(Arc::clone(&membership));
        membership
    }

    pub(super) fn fence(&self, membership: &Membership) -> Fence {
        Fence {
            member: membership.member.clone(),
            instance: Some(self.consumer.clone()),
            generation: membership.generation,
        }
    }

    pub(super) fn refused(&self, error: &Error) -> GroupError {
        refused(error, self.group.as_str(), self.consumer.as_str())
    }
}
