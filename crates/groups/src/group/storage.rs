//! What the group stores, and what it does when that has worked or failed.

use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{PartitionId, TopicId};

use super::{Context, Group, State};
use crate::commits::{Commits, Slot};
use crate::member::{Member, Waiting};
use crate::outbox::{Reply, Write};
use crate::record::{Assigner, Membership};
use crate::restore::StoredGroup;
use crate::{GroupName, StateRecord, Ticket};

impl Group {
    /// A group as it was stored. Its members have a whole session timeout to report.
    pub(crate) fn restore(cx: &Context<'_>, name: GroupName, stored: StoredGroup) -> Self {
        let mut group = Self::new(name, cx.now);
        group.commits = Commits::restore(stored.commits);
        group.stored = Slot::new(stored.membership.clone());
        if let Some(membership) = stored.membership {
            group.restore_membership(cx, &membership);
        }
        group.wake = group.next_wake(cx);
        group
    }

    fn restore_membership(&mut self, cx: &Context<'_>, membership: &Membership) {
        self.generation = membership.generation;
        self.assigner = membership.assigner;
        self.protocol_type = membership.protocol_type.clone();
        self.protocol = membership.protocol.clone();
        self.leader = membership.leader.clone();
        for stored in &membership.members {
            if self.members.get(&stored.member).is_none() {
                self.members.insert(Member::restore(stored, cx.now));
            }
        }
        self.state = match membership.assigner {
            _ if self.members.is_empty() => State::Empty { since: cx.now },
            Assigner::Nobody => State::Completing {
                deadline: cx.now.after(self.rebalance_timeout()),
            },
            Assigner::Leader | Assigner::Coordinator => State::Stable,
        };
    }

    /// Everything about the group that is on disk, for writing the topic anew.
    pub(crate) fn live_records(&self) -> impl Iterator<Item = StateRecord> {
        let membership = self
            .stored
            .value()
            .map(|membership| StateRecord::Membership {
                group: self.name.clone(),
                value: Some(membership.clone()),
            });
        let commits = self
            .commits
            .iter()
            .map(|(partition, commit)| StateRecord::Commit {
                group: self.name.clone(),
                partition,
                value: Some(commit.clone()),
            });
        membership.into_iter().chain(commits)
    }

    /// Stores the members as they are. The replies wait for that, and so does everybody who asks
    /// in the meantime.
    pub(super) fn store(&mut self, cx: &mut Context<'_>, replies: Vec<Reply>) -> Ticket {
        let membership = Membership {
            generation: self.generation,
            assigner: self.assigner,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(Member::store).collect(),
        };
        let group = self.name.clone();
        let value = Some(Arc::new(membership));
        let records = [StateRecord::Membership {
            group: group.clone(),
            value,
        }]
        .into();
        self.stored.propose();
        let ticket = cx.out.persist(Write {
            group,
            records,
            replies,
        });
        self.unwritten = Some(ticket);
        ticket
    }

    /// Deletes all that is stored, or on its way to be.
    pub(super) fn erase(&mut self, cx: &mut Context<'_>, replies: Vec<Reply>) {
        let mut records = self.deletions(self.commits.partitions());
        if !self.stored.is_vacant() {
            self.stored.propose();
            records.push(StateRecord::Membership {
                group: self.name.clone(),
                value: None,
            });
        }
        self.write_deletions(cx, records, replies);
    }

    /// A topic is gone, and with it every position in it.
    pub(crate) fn erase_topic(&mut self, cx: &mut Context<'_>, topic: TopicId) {
        let records = self.deletions(self.commits.partitions_of(topic));
        self.write_deletions(cx, records, Vec::new());
    }

    /// Topics that are not there after a restart: their deletion was not stored here in time.
    pub(crate) fn erase_lost_topics(
        &mut self,
        cx: &mut Context<'_>,
        is_lost: &dyn Fn(TopicId) -> bool,
    ) {
        let topics = self.commits.topics().into_iter();
        let lost = topics.filter(|topic| is_lost(*topic));
        lost.for_each(|topic| self.erase_topic(cx, topic));
    }

    fn deletions(&mut self, partitions: Vec<PartitionId>) -> Vec<StateRecord> {
        partitions
            .iter()
            .for_each(|partition| self.commits.propose(*partition));
        let deletion = |partition| {
            let group = self.name.clone();
            StateRecord::Commit {
                group,
                partition,
                value: None,
            }
        };
        partitions.into_iter().map(deletion).collect()
    }

    fn write_deletions(
        &self,
        cx: &mut Context<'_>,
        records: Vec<StateRecord>,
        replies: Vec<Reply>,
    ) {
        if records.is_empty() {
            replies
                .into_iter()
                .for_each(|reply| cx.out.reply_after(None, reply));
        } else {
            cx.out.persist(Write {
                group: self.name.clone(),
                records,
                replies,
            });
        }
    }

    /// The records of a ticket are on disk.
    pub(crate) fn written(&mut self, cx: &Context<'_>, ticket: Ticket, records: Vec<StateRecord>) {
        for record in records {
            match record {
                StateRecord::Commit {
                    partition, value, ..
                } => {
                    self.commits.settle(partition, value);
                }
                StateRecord::Membership { value, .. } => {
                    self.stored.settle(value);
                    self.release(cx, ticket);
                }
            }
        }
    }

    /// They are not. A generation that nobody was told of is void: the members join again.
    pub(crate) fn not_written(
        &mut self,
        cx: &mut Context<'_>,
        ticket: Ticket,
        records: Vec<StateRecord>,
    ) {
        let is_void = self.unwritten == Some(ticket);
        for record in records {
            match record {
                StateRecord::Commit { partition, .. } => self.commits.abandon(partition),
                StateRecord::Membership { .. } => {
                    self.stored.abandon();
                    self.release(cx, ticket);
                }
            }
        }
        if is_void && !self.members.is_empty() {
            self.prepare(cx);
            self.complete_if_joined(cx);
        }
    }

    /// Those whose answer goes out now can speak again.
    fn release(&mut self, cx: &Context<'_>, ticket: Ticket) {
        if self.unwritten == Some(ticket) {
            self.unwritten = None;
        }
        for id in self
            .members
            .ids_where(|member| member.waiting == Waiting::Write(ticket))
        {
            self.members.set_waiting(&id, Waiting::No);
            self.heard_from(&id, cx.now);
        }
    }
}
