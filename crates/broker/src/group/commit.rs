//! Commits: how far a group has read.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::groups::{
    Answer, Commit as GroupsCommit, CommitRequest, Error, Fence, FetchCommits, GroupName, Request,
};
use model::{Offset, PartitionId};
use wire::cursor::Cursor;

use super::Groups;
use super::error::refused;
use super::member::name;
use super::slot::{Membership, Slot};
use crate::api::Commit;
use crate::error::{FetchError, GroupError};
use crate::inner::Inner;
use crate::reader::is_to_come;
use crate::start::check_cursor;
use crate::topic::Topic;

/// Positions to commit.
pub(super) type Positions = Vec<(PartitionId, Offset)>;

impl Groups {
    /// Commits for a member, fenced by its generation, or for nobody.
    pub(super) async fn commit(
        &self,
        group: &GroupName,
        fence: Option<Fence>,
        positions: Positions,
    ) -> Result<(), Error> {
        if positions.is_empty() {
            return Ok(());
        }
        let count = positions.len();
        let offsets = positions.into_iter().map(|(partition, offset)| {
            let commit = GroupsCommit {
                offset,
                leader_epoch: None,
                metadata: Arc::from(""),
            };
            (partition, commit)
        });
        let request = Request::Commit(CommitRequest {
            group: group.clone(),
            fence,
            offsets: offsets.collect(),
        });
        match self.ask_with_room(request, count).await {
            Some(Ok(Answer::Committed(results))) => {
                results.into_iter().try_for_each(|(_, result)| result)
            }
            Some(Err(error)) => Err(error),
            // The broker was closed, or answered what was not asked.
            Some(Ok(_)) | None => Err(Error::NotPersisted),
        }
    }

    /// Commits for a consumer as the member that it was last known as.
    pub(super) async fn commit_as(
        &self,
        slot: &Slot,
        membership: &Membership,
        positions: Positions,
    ) -> Result<(), GroupError> {
        let fence = Some(slot.fence(membership));
        let committed = self.commit(&slot.group, fence, positions).await;
        committed.map_err(|error| {
            // It is a member no longer, or not as which it speaks.
            if matches!(error, Error::UnknownMember | Error::FencedInstance) {
                slot.forget(membership);
            }
            match error {
                Error::UnknownMember => GroupError::Rebalanced,
                other => slot.refused(&other),
            }
        })
    }

    /// What the group has committed.
    pub(super) fn commits(
        &self,
        group: &GroupName,
        partitions: Option<Vec<PartitionId>>,
    ) -> BTreeMap<PartitionId, Offset> {
        let fetch = FetchCommits {
            group: group.clone(),
            partitions,
        };
        match self.ask_now(Request::FetchCommits(fetch)) {
            Some(Ok(Answer::Commits(commits))) => {
                let known = |(partition, commit): (_, Option<GroupsCommit>)| {
                    commit.map(|commit| (partition, commit.offset))
                };
                commits.into_iter().filter_map(known).collect()
            }
            _ => BTreeMap::new(),
        }
    }
}

impl Inner {
    pub(crate) async fn commit(&self, commit: Commit) -> Result<(), GroupError> {
        let positions = positions_of(&*self.topic_of(&commit.cursor).await?, &commit.cursor);
        match &commit.consumer {
            Some(consumer) => {
                let slot = self.groups.known_slot(&commit.group, consumer)?;
                let membership = self.known_membership(&slot)?;
                self.commit_positions(&slot, &membership, positions).await
            }
            None => {
                let group = name::<GroupName>(&commit.group)?;
                let committed = self.groups.commit(&group, None, positions).await;
                committed.map_err(|error| refused(&error, &commit.group, ""))?;
                self.counts().commits.add(1);
                Ok(())
            }
        }
    }

    /// The topic that a cursor belongs to.
    async fn topic_of(&self, cursor: &Cursor) -> Result<Arc<Topic>, FetchError> {
        self.look_for(cursor.topic()).await?;
        let topic = self
            .topics
            .by_id(cursor.topic())
            .ok_or(FetchError::ForeignCursor)?;
        check_cursor(&topic, cursor)?;
        Ok(topic)
    }

    /// A consumer as a member. After a restart the coordinator still knows it by its name.
    pub(super) fn known_membership(&self, slot: &Slot) -> Result<Arc<Membership>, GroupError> {
        if let Some(known) = slot.membership() {
            return Ok(known);
        }
        let not_member = || GroupError::NotMember(slot.consumer.as_str().to_owned());
        let described = self.groups.ask_now(Request::Describe(slot.group.clone()));
        let Some(Ok(Answer::Description(group))) = described else {
            return Err(not_member());
        };
        let generation = group.generation;
        let mut members = group.members.into_iter();
        let found = members.find(|member| member.instance.as_ref() == Some(&slot.consumer));
        let member = found.ok_or_else(not_member)?;
        Ok(Arc::new(Membership {
            member: member.member,
            generation,
            // Only its identity is used: whoever wants more joins.
            session_timeout: std::time::Duration::ZERO,
            topics: member.topics,
            partitions: member.assignment.partitions().cloned().unwrap_or_default(),
        }))
    }

    /// Commits what a member has finished, before it reads on. A position behind the group's commit
    /// is passed over: whoever owned the partition meanwhile has read further, and finished what
    /// lies in between. So is one in a partition that is not the member's any more.
    pub(super) async fn commit_done(&self, slot: &Slot, done: &Cursor) -> Result<(), GroupError> {
        let topic = self.topic_of(done).await?;
        let membership = self.known_membership(slot)?;
        let mut positions = positions_of(&topic, done);
        let mine = |partition: &PartitionId| membership.partitions.binary_search(partition).is_ok();
        positions.retain(|(partition, _)| mine(partition));
        let asked = positions.iter().map(|(partition, _)| *partition).collect();
        let known = self.groups.commits(&slot.group, Some(asked));
        let is_news = |(partition, offset): &(PartitionId, Offset)| {
            known.get(partition).is_none_or(|known| offset > known)
        };
        positions.retain(is_news);
        self.commit_positions(slot, &membership, positions).await
    }

    /// Commits for a member, and counts it.
    pub(super) async fn commit_positions(
        &self,
        slot: &Slot,
        membership: &Membership,
        positions: Positions,
    ) -> Result<(), GroupError> {
        if positions.is_empty() {
            return Ok(());
        }
        self.groups.commit_as(slot, membership, positions).await?;
        self.counts().commits.add(1);
        Ok(())
    }
}

pub(super) fn positions_of(topic: &Topic, cursor: &Cursor) -> Positions {
    let id = |index| PartitionId {
        topic: topic.id,
        index,
    };
    // An end that is not known yet is nothing that anybody has read up to.
    let positions = cursor.positions().iter().filter(|(_, at)| !is_to_come(*at));
    positions
        .map(|(index, offset)| (id(*index), *offset))
        .collect()
}
