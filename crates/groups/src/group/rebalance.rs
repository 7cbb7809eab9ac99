//! From one generation to the next.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use model::limits::SESSION_TIMEOUT_MIN;
use model::{PartitionId, TopicId};

use super::session::retention;
use super::{Context, Group, State};
use crate::assign::{Subscriber, assign};
use crate::member::{Member, Waiting};
use crate::outbox::Reply;
use crate::record::Assigner;
use crate::topics::Topics;
use crate::{Assignment, MemberId};

/// The wire writes a generation as a signed 32-bit number.
const GENERATION_MAX: u32 = i32::MAX as u32;

impl Group {
    /// Begins a rebalance, unless one has begun.
    pub(super) fn prepare(&mut self, cx: &mut Context<'_>) {
        let initial = match self.state {
            State::Preparing { .. } => return,
            State::Empty { .. } => true,
            State::Completing { .. } | State::Stable => false,
        };
        for id in self
            .members
            .ids_where(|member| matches!(member.waiting, Waiting::Sync(_)))
        {
            self.wait(cx, &id, Waiting::No);
            self.heard_from(&id, cx.now);
        }
        let deadline = cx.now.after(self.rebalance_timeout());
        self.state = State::Preparing {
            earliest: cx.now,
            deadline,
            initial,
        };
        self.wake_at(deadline);
    }

    /// The first rebalance of an empty group waits a little after each member that comes, because
    /// more will follow.
    pub(super) fn delay_initial(&mut self, cx: &Context<'_>) {
        let State::Preparing {
            deadline,
            initial: true,
            ..
        } = self.state
        else {
            return;
        };
        let earliest = cx
            .now
            .after(cx.options.initial_rebalance_delay)
            .min(deadline);
        self.state = State::Preparing {
            earliest,
            deadline,
            initial: true,
        };
        if earliest > cx.now {
            self.wake_at(earliest);
        }
    }

    /// Ends the join phase when nobody is missing.
    pub(super) fn complete_if_joined(&mut self, cx: &mut Context<'_>) {
        let State::Preparing {
            earliest, deadline, ..
        } = self.state
        else {
            return;
        };
        let all = self.members.joining() == self.members.len();
        let expected = !self.reserved.is_empty() && !self.members.is_empty();
        if all && self.members.is_empty() || all && !expected && cx.now >= earliest {
            self.complete(cx);
        } else if cx.now >= deadline {
            self.complete_without_laggards(cx);
        }
    }

    /// Topics were made, deleted or enlarged: rebalances if the assignment no longer fits.
    pub(crate) fn on_topics_changed(&mut self, cx: &mut Context<'_>) {
        if self.is_assigned_by_server() && self.assigned() != self.assignable(cx.topics) {
            self.prepare(cx);
            self.complete_if_joined(cx);
        }
    }

    /// How many partitions of each topic are assigned.
    fn assigned(&self) -> BTreeMap<TopicId, u32> {
        let mut counts = BTreeMap::new();
        let shares = self
            .members
            .iter()
            .filter_map(|member| member.assignment.partitions());
        for partition in shares.flat_map(|share| share.iter()) {
            *counts.entry(partition.topic).or_insert(0) += 1;
        }
        counts
    }

    /// How many partitions of each topic that somebody wants there are.
    fn assignable(&self, topics: &Topics) -> BTreeMap<TopicId, u32> {
        let wanted = self
            .members
            .iter()
            .flat_map(|member| member.assigns.topics());
        wanted.filter_map(|name| topics.get(name)).collect()
    }

    /// Static members may be slow: they keep their place until their session ends.
    fn complete_without_laggards(&mut self, cx: &mut Context<'_>) {
        let laggards = self
            .members
            .ids_where(|m| !m.is_joining() && m.instance.is_none());
        laggards.iter().for_each(|id| self.remove(cx, id));
        if self.members.joining() > 0 || self.members.is_empty() {
            self.complete(cx);
        } else {
            let deadline = cx.now.after(self.rebalance_timeout());
            self.state = State::Preparing {
                earliest: cx.now,
                deadline,
                initial: false,
            };
            self.wake_at(deadline);
        }
    }

    fn complete(&mut self, cx: &mut Context<'_>) {
        self.generation = if self.generation >= GENERATION_MAX {
            1
        } else {
            self.generation + 1
        };
        self.protocol = self.vote();
        if self.members.is_empty() {
            self.become_empty(cx);
        } else if self.members.want_server() {
            self.assign_all(cx);
        } else {
            self.elect(cx);
        }
    }

    fn become_empty(&mut self, cx: &mut Context<'_>) {
        self.state = State::Empty { since: cx.now };
        self.leader = None;
        self.assigner = Assigner::Nobody;
        self.wake_at(cx.now.after(retention(cx)));
        self.store(cx, Vec::new());
    }

    /// The coordinator assigns. The leader is one that assigns nothing.
    fn assign_all(&mut self, cx: &mut Context<'_>) {
        self.state = State::Stable;
        self.assigner = Assigner::Coordinator;
        self.leader = self
            .members
            .iter()
            .find(|m| m.assigns.is_by_server())
            .map(|m| m.id.clone());
        for (id, partitions) in self.computed(cx) {
            self.members
                .set_assignment(&id, Assignment::Partitions(partitions));
        }
        self.tell_all_joined(cx);
    }

    /// One of the clients is to assign: the last leader, if it is still here.
    fn elect(&mut self, cx: &mut Context<'_>) {
        let deadline = cx.now.after(self.rebalance_timeout());
        self.state = State::Completing { deadline };
        self.wake_at(deadline);
        self.assigner = Assigner::Nobody;
        let here = |id: &MemberId| self.members.get(id).is_some_and(Member::is_joining);
        if !self.leader.as_ref().is_some_and(here) {
            self.leader = self
                .members
                .iter()
                .find(|m| m.is_joining())
                .map(|m| m.id.clone());
        }
        for id in self.members.ids_where(|_| true) {
            self.members.set_assignment(&id, Assignment::None);
        }
        self.tell_all_joined(cx);
    }

    /// Stores the new generation, and then tells it to everybody who has joined.
    fn tell_all_joined(&mut self, cx: &mut Context<'_>) {
        if let Some(member) = self.members.iter().next() {
            self.protocol_type = Arc::from(member.assigns.protocol_type());
        }
        let joining = self.members.iter().filter(|member| member.is_joining());
        let replies: Vec<Reply> = joining
            .filter_map(|member| Some((member.waiting.token()?, self.joined(&member.id, false))))
            .collect();
        let joined = self.members.ids_where(Member::is_joining);
        let ticket = self.store(cx, replies);
        for id in &joined {
            self.members.set_waiting(id, Waiting::Write(ticket));
        }
    }

    /// The protocol that all clients know and most like best; of equals the first by name.
    pub(super) fn vote(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = self
            .members
            .common_protocols()
            .map(|name| (name, 0))
            .collect();
        for member in self.members.iter() {
            let mut known = member.assigns.protocols().iter().map(|(name, _)| name);
            if let Some(first) = known.find(|name| votes.contains_key(name)) {
                votes.entry(first).and_modify(|count| *count += 1);
            }
        }
        let most = votes.values().max().copied()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.clone())
    }

    /// The coordinator's assignment.
    fn computed(&self, cx: &Context<'_>) -> Vec<(MemberId, Arc<[PartitionId]>)> {
        let ids = |member: &Member| {
            let found = member
                .assigns
                .topics()
                .iter()
                .filter_map(|name| cx.topics.get(name));
            found.map(|(id, _)| id).collect()
        };
        let wanted: Vec<BTreeSet<TopicId>> = self.members.iter().map(ids).collect();
        let held = self
            .members
            .iter()
            .map(|member| member.assignment.partitions());
        let subscribers: Vec<Subscriber<'_>> = wanted
            .iter()
            .zip(held)
            .map(|(topics, held)| Subscriber {
                topics,
                held: held.map_or(&[], |held| held),
            })
            .collect();
        let counts = self.assignable(cx.topics);
        let assigned = assign(&counts, &subscribers).into_iter().map(Arc::from);
        self.members
            .iter()
            .map(|member| member.id.clone())
            .zip(assigned)
            .collect()
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members
            .iter()
            .map(|member| member.rebalance_timeout)
            .max()
            .unwrap_or_default()
            .max(SESSION_TIMEOUT_MIN)
    }
}
