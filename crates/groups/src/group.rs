//! One group: its state, and what can be read off it. What changes it is split by occasion:
//! joins, rebalances, the life of a session, commits, storage.

mod commit;
mod join;
mod rebalance;
mod session;
mod storage;
mod sync;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use model::Instant;

use crate::commits::{Commits, Slot};
use crate::member::{Member, Members};
use crate::name::MemberIds;
use crate::outbox::Outbox;
use crate::record::{Assigner, Membership};
use crate::topics::Topics;
use crate::{
    Alive, Answer, Description, Error, Fence, FetchCommits, GroupName, MemberId, Options,
    StateName, Summary, Ticket,
};

/// What a group needs from its surroundings to react to one input.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) options: &'a Options,
    pub(crate) topics: &'a Topics,
    pub(crate) ids: &'a mut MemberIds,
    pub(crate) out: &'a mut Outbox,
}

#[derive(Debug)]
pub(crate) struct Group {
    name: GroupName,
    state: State,
    generation: u32,
    assigner: Assigner,
    protocol_type: Arc<str>,
    protocol: Option<Arc<str>>,
    leader: Option<MemberId>,
    members: Members,
    /// Ids that were given out but not used yet, and until when they are good.
    reserved: BTreeMap<MemberId, Instant>,
    commits: Commits,
    /// The membership as stored.
    stored: Slot<Arc<Membership>>,
    /// The latest write of the membership, while it is on its way. Nobody may be told what the
    /// group has become before it has ended.
    unwritten: Option<Ticket>,
    /// When [`Group::on_time`] is to be called; may be too early, never too late.
    wake: Option<Instant>,
    /// For the coordinator's list of timers: the entry there.
    pub(crate) armed: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No members. Forgotten when that has lasted for the retention time.
    Empty { since: Instant },
    /// Members are to join. Complete when all have and `earliest` has come, or at the deadline.
    Preparing {
        earliest: Instant,
        deadline: Instant,
        initial: bool,
    },
    /// The leader is to assign, until the deadline.
    Completing { deadline: Instant },
    /// Everybody has a share.
    Stable,
}

impl Group {
    /// A group that nobody has joined yet.
    pub(crate) fn new(name: GroupName, now: Instant) -> Self {
        Self {
            name,
            state: State::Empty { since: now },
            generation: 0,
            assigner: Assigner::Nobody,
            protocol_type: Arc::from(""),
            protocol: None,
            leader: None,
            members: Members::default(),
            reserved: BTreeMap::new(),
            commits: Commits::default(),
            stored: Slot::new(None),
            unwritten: None,
            wake: None,
            armed: None,
        }
    }

    /// Nothing would be lost by forgetting the group.
    pub(crate) fn is_vacant(&self) -> bool {
        let nobody = self.members.is_empty() && self.reserved.is_empty();
        nobody && self.commits.is_vacant() && self.stored.is_vacant()
    }

    pub(crate) const fn wake(&self) -> Option<Instant> {
        self.wake
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            group: self.name.clone(),
            state: self.state_name(),
            protocol_type: self.protocol_type.clone(),
            members: self.members.len(),
        }
    }

    pub(crate) fn describe(&self) -> Description {
        let protocol = self.protocol.as_deref();
        Description {
            group: self.name.clone(),
            state: self.state_name(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self
                .members
                .iter()
                .map(|member| member.describe(protocol))
                .collect(),
            commits: self.commits.iter().count(),
        }
    }

    pub(crate) fn fetch(&self, request: FetchCommits) -> Answer {
        Answer::Commits(match request.partitions {
            Some(partitions) => {
                let row = |partition| (partition, self.commits.get(partition).cloned());
                partitions.into_iter().map(row).collect()
            }
            None => self
                .commits
                .iter()
                .map(|(id, commit)| (id, Some(commit.clone())))
                .collect(),
        })
    }

    const fn state_name(&self) -> StateName {
        match self.state {
            State::Empty { .. } => StateName::Empty,
            State::Preparing { .. } => StateName::PreparingRebalance,
            State::Completing { .. } => StateName::CompletingRebalance,
            State::Stable => StateName::Stable,
        }
    }

    /// Whether the speaker is a member of the present generation.
    fn check(&self, fence: &Fence) -> Result<(), Error> {
        self.members.check(&fence.member, fence.instance.as_ref())?;
        if fence.generation == self.generation {
            Ok(())
        } else {
            Err(Error::IllegalGeneration)
        }
    }

    fn is_assigned_by_server(&self) -> bool {
        self.assigner == Assigner::Coordinator
    }

    fn is_leading_client(&self, id: &MemberId) -> bool {
        !self.is_assigned_by_server() && self.leader.as_ref() == Some(id)
    }

    fn alive(&self, member: &Member) -> Answer {
        Answer::Alive(Alive {
            generation: self.generation,
            partitions: member.assignment.partitions().cloned(),
        })
    }

    /// Makes sure to be called at `at`.
    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}
