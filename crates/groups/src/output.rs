//! What the coordinator says.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use model::{PartitionId, TopicName};

use crate::{Commit, Departure, Error, GroupName, InstanceId, MemberId, StateRecord, Token};

/// Names one write; counts up from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub u64);

/// Everything a coordinator can want from its host.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Answer a request.
    Reply {
        /// The request's.
        token: Token,
        /// What to answer.
        result: Result<Answer, Error>,
    },
    /// Append these records to the internal topic, behind those of every earlier ticket, and
    /// report [`Input::Persisted`](crate::Input::Persisted) once they are on disk. Each ticket is
    /// reported once; a report that overtakes an earlier ticket's waits for it inside.
    Persist {
        /// Goes into the report.
        ticket: Ticket,
        /// Each stands for itself, so a long list may be split into batches.
        records: Vec<StateRecord>,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To a join.
    Joined(Joined),
    /// To a sync.
    Synced(Synced),
    /// To a heartbeat.
    Alive(Alive),
    /// To a leave: one result for each member named.
    Left(Vec<(Departure, Result<(), Error>)>),
    /// To a commit: one result for each partition named, in the same order.
    Committed(Vec<(PartitionId, Result<(), Error>)>),
    /// To a fetch of commits; `None` where the group has none.
    Commits(Vec<(PartitionId, Option<Commit>)>),
    /// To a describe.
    Description(Description),
    /// To a list, sorted by name.
    List(Vec<Summary>),
    /// To a delete.
    Deleted,
}

/// The member takes part in a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The member's id from now on.
    pub member: MemberId,
    /// The generation.
    pub generation: u32,
    /// The kind of protocols.
    pub protocol_type: Arc<str>,
    /// The protocol chosen among the clients; `None` when the group has no client that assigns.
    pub protocol: Option<Arc<str>>,
    /// The member that assigns. When the coordinator assigns, this is never a
    /// [`ByClient`](crate::Assigns::ByClient) member, so every client takes itself for a follower.
    pub leader: MemberId,
    /// For the leader: all members, itself among them. Empty for others.
    pub members: Vec<CandidateMember>,
    /// The member leads but must not assign: it is a restarted static member, and everybody's
    /// assignment stands. A protocol version that cannot say so names another leader instead.
    pub skip_assignment: bool,
    /// The member's partitions, when the coordinator assigns.
    pub partitions: Option<Arc<[PartitionId]>>,
}

/// What a leader is told about a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateMember {
    /// The member.
    pub member: MemberId,
    /// Its lasting name, if it has one.
    pub instance: Option<InstanceId>,
    /// Its bytes for the chosen protocol.
    pub metadata: Bytes,
}

/// The member's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The kind of protocols.
    pub protocol_type: Arc<str>,
    /// The protocol chosen among the clients.
    pub protocol: Option<Arc<str>>,
    /// What to read.
    pub assignment: Assignment,
}

/// What a member reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Assignment {
    /// Not known yet.
    #[default]
    None,
    /// As a leader wrote it.
    Opaque(Bytes),
    /// As the coordinator chose; sorted. A door encodes it for its client.
    Partitions(Arc<[PartitionId]>),
}

impl Assignment {
    /// The partitions, when the coordinator chose them.
    #[must_use]
    pub fn partitions(&self) -> Option<&Arc<[PartitionId]>> {
        match self {
            Self::Partitions(partitions) => Some(partitions),
            Self::None | Self::Opaque(_) => None,
        }
    }
}

/// The member is known and nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alive {
    /// The generation.
    pub generation: u32,
    /// The member's partitions, when the coordinator assigns.
    pub partitions: Option<Arc<[PartitionId]>>,
}

/// Where a group stands between rebalances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateName {
    /// No members; maybe commits.
    Empty,
    /// Waits for members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Every member has its share.
    Stable,
}

impl StateName {
    /// The word for it in every API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The group.
    pub group: GroupName,
    /// Where it stands.
    pub state: StateName,
    /// The kind of protocols; empty when the group never had members.
    pub protocol_type: Arc<str>,
    /// How many members it has.
    pub members: usize,
}

/// Everything about a group but its commits.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The group.
    pub group: GroupName,
    /// Where it stands.
    pub state: StateName,
    /// The last generation.
    pub generation: u32,
    /// The kind of protocols; empty when the group never had members.
    pub protocol_type: Arc<str>,
    /// The protocol chosen among the clients.
    pub protocol: Option<Arc<str>>,
    /// The member that assigns.
    pub leader: Option<MemberId>,
    /// The members, by id.
    pub members: Vec<MemberDescription>,
    /// How many partitions have a commit.
    pub commits: usize,
}

/// Everything about a member.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberDescription {
    /// The member.
    pub member: MemberId,
    /// Its lasting name, if it has one.
    pub instance: Option<InstanceId>,
    /// What the client calls itself.
    pub client: Arc<str>,
    /// Where the client is.
    pub host: Arc<str>,
    /// The topics it wants.
    pub topics: BTreeSet<TopicName>,
    /// Its bytes for the chosen protocol.
    pub metadata: Bytes,
    /// What it reads.
    pub assignment: Assignment,
}
