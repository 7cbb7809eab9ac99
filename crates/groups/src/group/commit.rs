//! How far the group has read.

use alloc::vec::Vec;

use model::PartitionId;
use model::limits::{COMMIT_METADATA_BYTES_MAX, GROUP_COMMITS_MAX};

use super::session::retention;
use super::{Context, Group, State};
use crate::outbox::Write;
use crate::{Answer, Commit, CommitRequest, Error, Fence, StateRecord, Token};

impl Group {
    /// Remembers where the group goes on, and answers when it is on disk.
    pub(crate) fn commit(&mut self, cx: &mut Context<'_>, token: Token, request: CommitRequest) {
        let fence = request.fence.as_ref();
        if let Err(error) = self.check_committer(cx, fence) {
            return cx.out.refuse(token, error);
        }
        let mut results = Vec::with_capacity(request.offsets.len());
        let mut records = Vec::new();
        for (partition, commit) in request.offsets {
            let result = self.check_commit(fence, partition, &commit);
            if result.is_ok() {
                self.commits.propose(partition);
                let group = self.name.clone();
                records.push(StateRecord::Commit {
                    group,
                    partition,
                    value: Some(commit),
                });
            }
            results.push((partition, result));
        }
        self.write_commits(cx, token, records, Answer::Committed(results));
    }

    fn write_commits(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        records: Vec<StateRecord>,
        answer: Answer,
    ) {
        if records.is_empty() {
            cx.out.reply(token, Ok(answer));
        } else {
            let replies = [(token, answer)].into();
            cx.out.persist(Write {
                group: self.name.clone(),
                records,
                replies,
            });
        }
    }

    fn check_committer(&mut self, cx: &Context<'_>, fence: Option<&Fence>) -> Result<(), Error> {
        match (fence, self.state) {
            (None, State::Empty { .. }) => {
                self.state = State::Empty { since: cx.now };
                self.wake_at(cx.now.after(retention(cx)));
                Ok(())
            }
            (None, _) => Err(Error::GroupNotEmpty),
            (Some(fence), state) => {
                self.check(fence)?;
                // A member that has joined but not synced does not know what it may commit.
                if matches!(state, State::Completing { .. }) {
                    return Err(Error::RebalanceInProgress);
                }
                self.heard_from(&fence.member, cx.now);
                Ok(())
            }
        }
    }

    fn check_commit(
        &self,
        fence: Option<&Fence>,
        partition: PartitionId,
        commit: &Commit,
    ) -> Result<(), Error> {
        if fence.is_some_and(|fence| !self.may_commit(fence, partition)) {
            Err(Error::NotOwner)
        } else if commit.metadata.len() > COMMIT_METADATA_BYTES_MAX {
            Err(Error::MetadataTooLarge)
        } else if !self.commits.has_room_for(partition, GROUP_COMMITS_MAX) {
            Err(Error::TooManyCommits)
        } else {
            Ok(())
        }
    }

    /// A leader's assignment cannot be read here, so its members are taken at their word.
    fn may_commit(&self, fence: &Fence, partition: PartitionId) -> bool {
        let member = self.members.get(&fence.member);
        let owned = member.and_then(|member| member.assignment.partitions());
        owned.is_none_or(|owned| owned.binary_search(&partition).is_ok())
    }
}
