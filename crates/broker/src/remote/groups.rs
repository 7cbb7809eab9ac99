//! Groups, whichever node is asked: each has one coordinator, and everything about it happens there.
//!
//! The internal topic `__groups` says who that is: the leader of the partition that the group's name
//! hashes to. The topic is made when a group is first made and is there for that alone: a coordinator
//! keeps its groups in a log of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Command, Refusal, Topic};
use futures_util::future::join_all;
use model::limits::GROUPS_PARTITIONS;
use model::{Mode, NodeId, PartitionIndex, TopicId};
use tokio::time::timeout;

use super::message::{Ask, GroupAnswer, GroupAsk, Led, Response};
use super::{Remote, Trouble, nobody, unfitting};
use crate::admin::NO_MAJORITY;
use crate::api::{GroupDescription, TopicSettings};
use crate::budget::AnswerRoom;
use crate::error::{FetchError, GroupError};
use crate::group::GROUPS_TOPIC;
use crate::inner::Inner;
use crate::seams::ProposeError;

/// The identity of `__groups` in every cluster: two nodes that make it at once make one.
pub(super) const GROUPS_ID: TopicId = TopicId::from_bytes(*b"hark-__groups-at");
/// How long a coordinator has for what needs no wait.
const COORDINATOR_PATIENCE: Duration = Duration::from_secs(10);
/// How long the cluster has to agree on the topic of coordinators.
const MAKE_PATIENCE: Duration = Duration::from_secs(5);

/// Who coordinates a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coordinator {
    Here,
    There {
        node: NodeId,
        partition: Led,
        revision: u64,
    },
}

impl Inner {
    /// Asks the group's coordinator, which may be this node.
    pub(crate) async fn ask_group(
        self: &Arc<Self>,
        ask: GroupAsk,
    ) -> Result<GroupAnswer, GroupError> {
        match self.coordinator(&ask).await? {
            Coordinator::Here => self.answer_group(ask, &mut AnswerRoom::default()).await,
            there => Box::pin(self.ask_coordinator(there, ask)).await,
        }
    }

    /// What the coordinator answers, as the one. Records are not read before there is `room` for them.
    pub(crate) async fn answer_group(
        self: &Arc<Self>,
        ask: GroupAsk,
        room: &mut AnswerRoom,
    ) -> Result<GroupAnswer, GroupError> {
        if !matches!(ask, GroupAsk::Describe { .. }) {
            self.standing.check()?;
        }
        Ok(match ask {
            GroupAsk::Poll(poll) => GroupAnswer::Polled(self.group_poll(poll, room).await?),
            GroupAsk::Commit(commit) => {
                Box::pin(self.commit(commit)).await?;
                GroupAnswer::Done
            }
            GroupAsk::Subscribe(subscribe) => {
                GroupAnswer::Assigned(Box::pin(self.group_subscribe(subscribe)).await?)
            }
            GroupAsk::Unsubscribe { group, consumer } => {
                Box::pin(self.group_unsubscribe(&group, &consumer)).await?;
                GroupAnswer::Done
            }
            GroupAsk::Describe { group } => {
                GroupAnswer::Described(Box::pin(self.group(&group)).await?)
            }
            GroupAsk::Reset {
                group,
                topic,
                start,
            } => {
                let reset = Box::pin(self.reset_group(&group, &topic, &start)).await;
                GroupAnswer::Described(reset?)
            }
            GroupAsk::Delete { group } => {
                Box::pin(self.delete_group(&group)).await?;
                GroupAnswer::Done
            }
        })
    }

    /// The groups of all nodes that answer, by name.
    pub(crate) async fn all_groups(&self) -> Vec<GroupDescription> {
        let elsewhere = self.remote.groups_elsewhere().await;
        let (mine, _) = self.groups_here(None, usize::MAX).await;
        let all = elsewhere.into_iter().chain(mine);
        let all: BTreeMap<String, GroupDescription> =
            all.map(|group| (group.name.clone(), group)).collect();
        all.into_values().collect()
    }

    /// Makes the topic of coordinators, if there is none. A node that holds groups from a time when
    /// nobody asked who coordinates them stays the coordinator of all.
    pub(crate) async fn make_groups_topic(&self) -> Result<(), ProposeError> {
        let cluster = &self.cluster;
        if cluster.catalog().topic_by_id(GROUPS_ID).is_some() {
            return Ok(());
        }
        let home = (self.groups.count() > 0).then(|| cluster.me());
        let made = cluster.propose(Command::CreateTopic {
            id: GROUPS_ID,
            name: GROUPS_TOPIC
                .parse()
                .map_err(|_| ProposeError::Refused(Refusal::UnknownTopic))?,
            partitions: GROUPS_PARTITIONS,
            replication_factor: 1,
            mode: Mode::Leader,
            settings: TopicSettings::default(),
            created: self.clock.wall(),
            home,
        });
        match made.await {
            // Somebody else has made it a moment ago.
            Err(ProposeError::Refused(Refusal::TopicExists(_))) => {
                if home.is_some() {
                    tracing::error!(
                        "the cluster has groups of its own; those of this node are kept and not served"
                    );
                }
                self.remote.refresh().await;
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Who coordinates the group that is spoken of.
    async fn coordinator(&self, ask: &GroupAsk) -> Result<Coordinator, GroupError> {
        match self.remote.coordinator(ask.group()) {
            Some(known) => known.map_err(unavailable),
            None => Box::pin(self.first_coordinator(ask)).await,
        }
    }

    /// The same as long as this node knows of no group at all.
    async fn first_coordinator(&self, ask: &GroupAsk) -> Result<Coordinator, GroupError> {
        let group = ask.group();
        self.look_again().await.map_err(FetchError::from)?;
        if let Some(known) = self.remote.coordinator(group) {
            return known.map_err(unavailable);
        }
        if !ask.makes_group() {
            // There is none in the whole cluster, and this node says so as well as any.
            return Ok(Coordinator::Here);
        }
        let made = timeout(MAKE_PATIENCE, self.make_groups_topic()).await;
        let why = match made {
            Ok(Ok(())) => "the cluster has not told this node who it is".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => NO_MAJORITY.to_owned(),
        };
        let known = self.remote.coordinator(group);
        known
            .unwrap_or(Err(Trouble::Unavailable(why)))
            .map_err(unavailable)
    }

    async fn ask_coordinator(
        self: &Arc<Self>,
        first: Coordinator,
        ask: GroupAsk,
    ) -> Result<GroupAnswer, GroupError> {
        match self.remote.ask_coordinator(first, ask.clone()).await {
            Err(Trouble::Moved(_)) => self.remote.refresh().await,
            other => return other.unwrap_or_else(|trouble| Err(unavailable(trouble))),
        }
        match self.coordinator(&ask).await? {
            Coordinator::Here => self.answer_group(ask, &mut AnswerRoom::default()).await,
            there => {
                let asked = self.remote.ask_coordinator(there, ask).await;
                asked.unwrap_or_else(|trouble| Err(unavailable(trouble)))
            }
        }
    }
}

impl Remote {
    /// Who coordinates a group; `None` while the topic that says so does not exist.
    fn coordinator(&self, group: &str) -> Option<Result<Coordinator, Trouble>> {
        let catalog = self.cluster.catalog();
        let topic = catalog.topic_by_id(GROUPS_ID)?;
        let index = partition_of(topic, group);
        let state = topic.partition(index)?;
        Some(match state.leader {
            None => Err(nobody()),
            Some(node) if node == self.cluster.me() => Ok(Coordinator::Here),
            Some(node) => Ok(Coordinator::There {
                node,
                partition: Led {
                    index,
                    epoch: state.leader_epoch,
                },
                revision: catalog.revision(),
            }),
        })
    }

    async fn ask_coordinator(
        &self,
        who: Coordinator,
        ask: GroupAsk,
    ) -> Result<Result<GroupAnswer, GroupError>, Trouble> {
        let Coordinator::There {
            node,
            partition: coordinator,
            revision,
        } = who
        else {
            return Err(nobody());
        };
        let patience = ask.wait() + COORDINATOR_PATIENCE.min(self.patience(node) * 2);
        let ask = Ask::Group { coordinator, ask };
        match self.ask(node, revision, ask, patience).await? {
            Response::Group(answer) => Ok(Ok(answer)),
            Response::GroupFailed(error) => Ok(Err(error)),
            _ => Err(unfitting(node)),
        }
    }

    /// The groups that other nodes coordinate; those of a node that does not answer are missing.
    async fn groups_elsewhere(&self) -> Vec<GroupDescription> {
        let catalog = self.cluster.catalog();
        let states = catalog.topic_by_id(GROUPS_ID);
        let states = states
            .map(|topic| topic.partitions.as_slice())
            .unwrap_or_default();
        let mut nodes: Vec<NodeId> = states.iter().filter_map(|state| state.leader).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.retain(|node| *node != self.cluster.me());
        let asked = nodes
            .into_iter()
            .map(|node| self.groups_of(node, catalog.revision()));
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn groups_of(&self, node: NodeId, revision: u64) -> Vec<GroupDescription> {
        let mut all: Vec<GroupDescription> = Vec::new();
        loop {
            let after = all.last().map(|group| group.name.clone());
            let asked = self.ask(node, revision, Ask::Groups { after }, self.patience(node));
            match asked.await {
                Ok(Response::Groups { groups, more }) => {
                    let more = more && !groups.is_empty();
                    all.extend(groups);
                    if !more {
                        return all;
                    }
                }
                Ok(_) => return all,
                Err(trouble) => {
                    let why = trouble.into_text();
                    tracing::warn!(%node, why, "the groups of a node are missing in a list");
                    return all;
                }
            }
        }
    }
}

/// The partition whose leader coordinates a group.
fn partition_of(topic: &Topic, group: &str) -> PartitionIndex {
    let count = u32::try_from(topic.partitions.len()).unwrap_or(1);
    wire::partition_for_key(group.as_bytes(), count.max(1))
}

fn unavailable(trouble: Trouble) -> GroupError {
    GroupError::CoordinatorUnavailable(trouble.into_text())
}
