//! Groups as people see and change them.

use std::collections::{BTreeMap, BTreeSet};

use ::groups::{Answer, Description, GroupName, MemberDescription, Request, StateName};
use futures_util::{StreamExt, stream};
use model::{Offset, PartitionId, PartitionIndex, TopicId, TopicName};

use super::error::{refused, stopping};
use super::member::name;
use crate::api::{GroupCommit, GroupDescription, GroupMember, Start};
use crate::error::GroupError;
use crate::inner::Inner;

/// The ends of so many topics are asked for at once.
const ASKED_AT_ONCE: usize = 16;

/// A group as the coordinator knows it.
struct FoundGroup {
    description: Description,
    commits: BTreeMap<PartitionId, Offset>,
}

impl Inner {
    /// The groups that this node coordinates, in the order of their names, after this one and up to about
    /// so many bytes; and whether there are more.
    pub(crate) async fn groups_here(
        &self,
        after: Option<&str>,
        bytes_max: usize,
    ) -> (Vec<GroupDescription>, bool) {
        let mut names = self.group_names();
        names.retain(|name| after.is_none_or(|after| name.as_str() > after));
        let (mut found, mut size, mut more) = (Vec::new(), 0_usize, false);
        for name in names {
            if size > bytes_max {
                more = true;
                break;
            }
            // One that was deleted in between is left out.
            if let Ok(group) = self.find_group(&name) {
                size += 64 + 300 * (group.description.members.len() + group.commits.len());
                found.push(group);
            }
        }
        (self.described(found).await, more)
    }

    /// Their names, in order.
    fn group_names(&self) -> Vec<GroupName> {
        let Some(Ok(Answer::List(list))) = self.groups.ask_now(Request::List) else {
            return Vec::new();
        };
        let mut names: Vec<_> = list.into_iter().map(|summary| summary.group).collect();
        names.sort_unstable();
        names
    }

    pub(crate) async fn group(&self, group: &str) -> Result<GroupDescription, GroupError> {
        self.describe_group(&name::<GroupName>(group)?).await
    }

    pub(crate) async fn reset_group(
        &self,
        group: &str,
        topic: &TopicName,
        start: &Start,
    ) -> Result<GroupDescription, GroupError> {
        let group = name::<GroupName>(group)?;
        self.find_group(&group)?;
        let topic = self.topic_to_read_from(topic, start).await?;
        let partitions: Vec<_> = topic.indexes().collect();
        let positions = self.all_positions(&topic, &partitions, start).await?;
        let positions = positions.into_iter().map(|(index, at)| {
            let topic = topic.id;
            (PartitionId { topic, index }, at)
        });
        let committed = self.groups.commit(&group, None, positions.collect()).await;
        committed.map_err(|error| refused(&error, group.as_str(), ""))?;
        self.describe_group(&group).await
    }

    pub(crate) async fn delete_group(&self, group: &str) -> Result<(), GroupError> {
        let group = name::<GroupName>(group)?;
        let deleted = self.groups.ask(Request::DeleteGroup(group.clone())).await;
        match deleted.ok_or_else(stopping)? {
            Ok(_) => Ok(()),
            Err(error) => Err(refused(&error, group.as_str(), "")),
        }
    }

    async fn describe_group(&self, group: &GroupName) -> Result<GroupDescription, GroupError> {
        let found = vec![self.find_group(group)?];
        let described = self.described(found).await.pop();
        described.ok_or_else(|| GroupError::Unknown(group.as_str().to_owned()))
    }

    fn find_group(&self, group: &GroupName) -> Result<FoundGroup, GroupError> {
        let description = match self.groups.ask_now(Request::Describe(group.clone())) {
            Some(Ok(Answer::Description(description))) => description,
            Some(Err(error)) => return Err(refused(&error, group.as_str(), "")),
            Some(Ok(_)) | None => return Err(stopping()),
        };
        Ok(FoundGroup {
            description,
            commits: self.groups.commits(group, None),
        })
    }

    /// All of them with one question to each leader and topic, however many groups there are.
    async fn described(&self, groups: Vec<FoundGroup>) -> Vec<GroupDescription> {
        let committed = groups.iter().flat_map(|group| group.commits.keys());
        let committed: BTreeSet<PartitionId> = committed.copied().collect();
        let ends = self.ends_of(committed.into_iter()).await;
        let described = groups.into_iter().map(|group| self.describe(group, &ends));
        described.collect()
    }

    fn describe(
        &self,
        FoundGroup {
            description: group,
            commits,
        }: FoundGroup,
        ends: &BTreeMap<PartitionId, Offset>,
    ) -> GroupDescription {
        let commits = commits.into_iter().filter_map(|(id, offset)| {
            let topic = self.topics.by_id(id.topic)?;
            topic.seat(id.index)?;
            Some(GroupCommit {
                topic: topic.name.clone(),
                partition: id.index,
                offset,
                lag: ends.get(&id).map(|end| end.since(offset)),
            })
        });
        let mut commits: Vec<GroupCommit> = commits.collect();
        commits.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        GroupDescription {
            name: group.group.as_str().to_owned(),
            state: state(group.state),
            generation: group.generation,
            members: group.members.into_iter().map(|m| self.member(m)).collect(),
            commits,
        }
    }

    /// Where partitions end, as far as their leaders answer.
    async fn ends_of(
        &self,
        partitions: impl Iterator<Item = PartitionId>,
    ) -> BTreeMap<PartitionId, Offset> {
        let mut ends = BTreeMap::new();
        let mut afar: BTreeMap<TopicId, Vec<PartitionIndex>> = BTreeMap::new();
        for id in partitions {
            let topic = self.topics.by_id(id.topic);
            let Some(seat) = topic.as_ref().and_then(|topic| topic.seat(id.index)) else {
                continue;
            };
            match seat.led() {
                Some(partition) => drop(ends.insert(id, partition.end())),
                None => afar.entry(id.topic).or_default().push(id.index),
            }
        }
        let asked = afar.into_iter().map(|(topic, partitions)| async move {
            let extents = self.remote.extents(topic, partitions).await;
            let ends = extents.into_iter();
            ends.map(move |(index, extent)| (PartitionId { topic, index }, extent.end))
        });
        let asked = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
        ends.extend(asked.collect::<Vec<_>>().await.into_iter().flatten());
        ends
    }

    fn member(&self, member: MemberDescription) -> GroupMember {
        let partitions = member.assignment.partitions();
        let partitions = partitions.map(|p| self.by_topic(p)).unwrap_or_default();
        GroupMember {
            member_id: member.member.as_str().to_owned(),
            consumer: member.instance.map(|name| name.as_str().to_owned()),
            partitions,
        }
    }
}

const fn state(state: StateName) -> &'static str {
    match state {
        StateName::Empty => "empty",
        StateName::PreparingRebalance => "preparing_rebalance",
        StateName::CompletingRebalance => "completing_rebalance",
        StateName::Stable => "stable",
    }
}
