//! Groups as people see and change them.

use std::sync::Arc;

use ::groups::{Answer, Description, GroupName, MemberDescription, Request, StateName};
use model::{PartitionId, TopicName};

use super::error::{refused, stopping};
use super::member::name;
use crate::api::{GroupCommit, GroupDescription, GroupMember, Start};
use crate::error::GroupError;
use crate::inner::Inner;

impl Inner {
    pub(crate) fn groups(&self) -> Vec<GroupDescription> {
        let Some(Ok(Answer::List(list))) = self.groups.ask_now(Request::List) else {
            return Vec::new();
        };
        let described = list
            .into_iter()
            .map(|summary| self.describe_group(&summary.group));
        // One that was deleted in between is left out.
        described.filter_map(Result::ok).collect()
    }

    pub(crate) fn group(&self, group: &str) -> Result<GroupDescription, GroupError> {
        self.describe_group(&name::<GroupName>(group)?)
    }

    pub(crate) async fn reset_group(
        &self,
        group: &str,
        topic: &TopicName,
        start: &Start,
    ) -> Result<GroupDescription, GroupError> {
        let group = name::<GroupName>(group)?;
        self.describe_group(&group)?;
        let topic = self.topic_to_read(topic)?;
        let partitions: Vec<_> = topic.indexes().collect();
        let positions = self.positions(&topic, &partitions, start).await?;
        let positions = positions.into_iter().map(|(index, at)| {
            let topic = topic.id;
            (PartitionId { topic, index }, at)
        });
        let committed = self.groups.commit(&group, None, positions.collect()).await;
        committed.map_err(|error| refused(&error, group.as_str(), ""))?;
        self.describe_group(&group)
    }

    pub(crate) async fn delete_group(&self, group: &str) -> Result<(), GroupError> {
        let group = name::<GroupName>(group)?;
        let deleted = self.groups.ask(Request::DeleteGroup(group.clone())).await;
        match deleted.ok_or_else(stopping)? {
            Ok(_) => Ok(()),
            Err(error) => Err(refused(&error, group.as_str(), "")),
        }
    }

    fn describe_group(&self, group: &GroupName) -> Result<GroupDescription, GroupError> {
        match self.groups.ask_now(Request::Describe(group.clone())) {
            Some(Ok(Answer::Description(description))) => Ok(self.described(description)),
            Some(Err(error)) => Err(refused(&error, group.as_str(), "")),
            Some(Ok(_)) | None => Err(stopping()),
        }
    }

    fn described(&self, group: Description) -> GroupDescription {
        let commits = self.groups.commits(&group.group, None).into_iter();
        let commits = commits.filter_map(|(id, offset)| {
            let topic = self.topics.by_id(id.topic)?;
            let partition = Arc::clone(topic.partition(id.index)?);
            Some(GroupCommit {
                topic: topic.name.clone(),
                partition: id.index,
                offset,
                lag: partition.end().since(offset),
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
