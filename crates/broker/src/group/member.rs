//! Members: how a consumer joins a group, stays and leaves.
//!
//! A consumer's name is its instance id, so the coordinator knows it even after a restart of the
//! node. A join runs in a task of its own: a caller that goes away does not leave the consumer half
//! joined, and the next call finds it a member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ::groups::{
    Alive, Answer, Assigns, Departure, Error, GroupName, InstanceId, Join, Leave, Request,
};
use model::limits::{SESSION_TIMEOUT_MAX, SESSION_TIMEOUT_MIN};
use model::{PartitionId, TopicName};

use super::Groups;
use super::error::stopping;
use super::slot::{Membership, Slot};
use crate::api::{Assignment, GroupSubscribe};
use crate::error::GroupError;
use crate::inner::Inner;

impl Groups {
    /// A consumer that need not be known, whose name and whose group's name must be possible.
    pub(super) fn known_slot(&self, group: &str, consumer: &str) -> Result<Arc<Slot>, GroupError> {
        let group = name::<GroupName>(group)?;
        let consumer = name::<InstanceId>(consumer)?;
        Ok(self.slots.known(&group, &consumer, self.clock.now()))
    }

    /// The same for a consumer that is going to join.
    pub(super) fn slot(&self, group: &str, consumer: &str) -> Result<Arc<Slot>, GroupError> {
        let group = name::<GroupName>(group)?;
        let consumer = name::<InstanceId>(consumer)?;
        Ok(self.slots.slot(&group, &consumer, self.clock.now()))
    }

    /// Says that the member lives. `Ok(None)` when it must join (again).
    pub(super) async fn heartbeat(
        &self,
        slot: &Slot,
        membership: &Arc<Membership>,
    ) -> Result<Option<Arc<Membership>>, GroupError> {
        let beat = Request::Heartbeat {
            group: slot.group.clone(),
            fence: slot.fence(membership),
        };
        match self.ask(beat).await.ok_or_else(stopping)? {
            Ok(Answer::Alive(alive)) => Ok(Some(updated(slot, membership, alive))),
            Ok(_) | Err(Error::RebalanceInProgress) => Ok(None),
            Err(Error::UnknownMember | Error::IllegalGeneration | Error::FencedInstance) => {
                slot.forget(membership);
                Ok(None)
            }
            Err(error) => Err(slot.refused(&error)),
        }
    }

    /// Makes the consumer a member that reads at least `topics`, or confirms that it is one. To be
    /// called by whoever holds [`Slot::joining`].
    async fn join(
        &self,
        slot: &Slot,
        topics: BTreeSet<TopicName>,
        session_timeout: Duration,
        replace_topics: bool,
    ) -> Result<Arc<Membership>, GroupError> {
        let known = slot.membership();
        let topics = match &known {
            Some(known) if !replace_topics => known.topics.union(&topics).cloned().collect(),
            _ => topics,
        };
        if let Some(known) = &known
            && known.topics == topics
            && known.session_timeout == session_timeout
            && let Some(alive) = self.heartbeat(slot, known).await?
        {
            return Ok(alive);
        }
        self.join_now(slot, topics, session_timeout).await
    }

    async fn join_now(
        &self,
        slot: &Slot,
        topics: BTreeSet<TopicName>,
        session_timeout: Duration,
    ) -> Result<Arc<Membership>, GroupError> {
        let answer = self.request(Request::Join(Join {
            group: slot.group.clone(),
            member: slot.membership().map(|known| known.member.clone()),
            instance: Some(slot.consumer.clone()),
            client: Arc::from(slot.consumer.as_str()),
            host: Arc::from(""),
            session_timeout,
            rebalance_timeout: session_timeout,
            assigns: Assigns::ByServer {
                topics: topics.clone(),
            },
            member_id_required: false,
        }));
        // The others have to join again, and should not find out only at their next heartbeat.
        slot.bell.notify_waiters();
        match answer.await.map_err(|_| stopping())? {
            Ok(Answer::Joined(joined)) => Ok(slot.remember(Membership {
                member: joined.member,
                generation: joined.generation,
                session_timeout,
                topics,
                partitions: joined.partitions.unwrap_or_default(),
            })),
            Ok(_) => Err(GroupError::Rebalanced),
            Err(error) => {
                self.slots.remove(slot);
                Err(slot.refused(&error))
            }
        }
    }

    async fn leave(&self, slot: &Slot) -> Result<(), GroupError> {
        let leave = Request::Leave(Leave {
            group: slot.group.clone(),
            members: vec![Departure {
                member: None,
                instance: Some(slot.consumer.clone()),
            }],
        });
        let answer = self.ask(leave).await.ok_or_else(stopping)?;
        self.slots.remove(slot);
        slot.bell.notify_waiters();
        match answer {
            Ok(Answer::Left(results)) => {
                let refusal = results.into_iter().find_map(|(_, result)| result.err());
                refusal.map_or(Ok(()), |error| Err(slot.refused(&error)))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(slot.refused(&error)),
        }
    }
}

impl Inner {
    pub(crate) async fn group_subscribe(
        self: &Arc<Self>,
        subscribe: GroupSubscribe,
    ) -> Result<Assignment, GroupError> {
        check_session_timeout(subscribe.session_timeout)?;
        let slot = self.groups.slot(&subscribe.group, &subscribe.consumer)?;
        let topics = subscribe.topics.into_iter().collect();
        let membership = self
            .join_group(&slot, topics, subscribe.session_timeout, true)
            .await?;
        Ok(self.assignment(&membership))
    }

    pub(crate) async fn group_unsubscribe(
        &self,
        group: &str,
        consumer: &str,
    ) -> Result<(), GroupError> {
        let slot = self.groups.known_slot(group, consumer)?;
        self.groups.leave(&slot).await
    }

    /// Joins to the end even if the caller goes away. Of several calls for one consumer the first
    /// joins; the others wait for it here, where they can still go away, and find it a member.
    pub(super) async fn join_group(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        topics: BTreeSet<TopicName>,
        session_timeout: Duration,
        replace_topics: bool,
    ) -> Result<Arc<Membership>, GroupError> {
        let joining = Arc::clone(&slot.joining).lock_owned().await;
        let (this, slot) = (Arc::clone(self), Arc::clone(slot));
        let join = tokio::spawn(async move {
            let _joining = joining;
            let groups = &this.groups;
            groups
                .join(&slot, topics, session_timeout, replace_topics)
                .await
        });
        join.await.map_err(|_| stopping())?
    }

    /// What a member has been given, by name; topics deleted a moment ago are left out.
    pub(super) fn assignment(&self, membership: &Membership) -> Assignment {
        Assignment {
            generation: membership.generation,
            partitions: self.by_topic(&membership.partitions),
        }
    }

    /// Partitions sorted by their topics' names.
    pub(super) fn by_topic(
        &self,
        partitions: &[PartitionId],
    ) -> Vec<(TopicName, Vec<model::PartitionIndex>)> {
        let mut by_topic: BTreeMap<TopicName, Vec<_>> = BTreeMap::new();
        for partition in partitions {
            if let Some(topic) = self.topics.by_id(partition.topic) {
                by_topic
                    .entry(topic.name.clone())
                    .or_default()
                    .push(partition.index);
            }
        }
        by_topic.into_iter().collect()
    }
}

/// The name of a group or a consumer. Control characters would reach terminals and logs.
pub(super) fn name<N: std::str::FromStr>(text: &str) -> Result<N, GroupError> {
    if text.chars().any(char::is_control) {
        return Err(GroupError::InvalidName);
    }
    text.parse().map_err(|_| GroupError::InvalidName)
}

pub(super) fn check_session_timeout(timeout: Duration) -> Result<(), GroupError> {
    if (SESSION_TIMEOUT_MIN..=SESSION_TIMEOUT_MAX).contains(&timeout) {
        Ok(())
    } else {
        Err(GroupError::SessionTimeout)
    }
}

/// A heartbeat's answer may bring news of the assignment.
fn updated(slot: &Slot, membership: &Arc<Membership>, alive: Alive) -> Arc<Membership> {
    let partitions = alive.partitions.unwrap_or_default();
    if alive.generation == membership.generation && partitions == membership.partitions {
        return Arc::clone(membership);
    }
    slot.remember(Membership {
        generation: alive.generation,
        partitions,
        ..Membership::clone(membership)
    })
}
