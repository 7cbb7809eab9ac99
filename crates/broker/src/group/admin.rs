//! Groups as people see and change them.

use std::collections::BTreeMap;

use ::groups::{Answer, Description, GroupName, MemberDescription, Request, StateName};
use futures_util::future::join_all;
use model::{Offset, PartitionId, PartitionIndex, TopicId, TopicName};

use super::error::{refused, stopping};
use super::member::name;
use crate::api::{GroupCommit, GroupDescription, GroupMember, Start};
use crate::error::GroupError;
use crate::inner::Inner;

impl Inner {
    /// The groups that this node coordinates.
    pub(crate) async fn groups_here(&self) -> Vec<GroupDescription> {
        let mut described = Vec::new();
        for name in self.group_names() {
            // One that was deleted in between is left out.
            described.extend(self.describe_group(&name).await);
        }
        described
    }

    /// Their names, in order.
    pub(crate) fn group_names(&self) -> Vec<GroupName> {
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
        self.ask_description(&group)?;
        let topic = self.topic_to_read(topic).await?;
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

    pub(crate) async fn describe_group(
        &self,
        group: &GroupName,
    ) -> Result<GroupDescription, GroupError> {
        let description = self.ask_description(group)?;
        Ok(self.described(description).await)
    }

    fn ask_description(&self, group: &GroupName) -> Result<Description, GroupError> {
        match self.groups.ask_now(Request::Describe(group.clone())) {
            Some(Ok(Answer::Description(description))) => Ok(description),
            Some(Err(error)) => Err(refused(&error, group.as_str(), "")),
            Some(Ok(_)) | None => Err(stopping()),
        }
    }

    async fn described(&self, group: Description) -> GroupDescription {
        let commits = self.groups.commits(&group.group, None);
        let ends = self.ends_of(commits.keys().copied()).await;
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
        ends.extend(join_all(asked).await.into_iter().flatten());
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
