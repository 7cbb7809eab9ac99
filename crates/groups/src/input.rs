//! What the coordinator is told.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use model::limits::{GROUP_PROTOCOLS_PER_MEMBER_MAX, GROUP_TOPICS_PER_MEMBER_MAX};
use model::{PartitionId, TopicId, TopicName};

use crate::{Commit, GroupName, InstanceId, MemberId, Ticket};

/// Names one request; the reply carries it back. The host never uses one twice at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Everything that can happen to a coordinator.
#[derive(Debug, Clone)]
pub enum Input {
    /// Somebody asks for something. Each request is answered exactly once, maybe much later.
    Request {
        /// Comes back with the reply.
        token: Token,
        /// What is asked.
        request: Request,
    },
    /// A topic was made, got more partitions, or was deleted (`count` = 0), which also deletes its
    /// commits. Repeating what is known already does nothing.
    PartitionsChanged {
        /// The topic.
        topic: TopicId,
        /// Its name, which is what members subscribe to.
        name: TopicName,
        /// How many partitions it has now.
        count: u32,
    },
    /// The records of this ticket are on disk.
    Persisted {
        /// From [`Output::Persist`](crate::Output::Persist).
        ticket: Ticket,
    },
    /// The records of this ticket are not known to be on disk, and never will be.
    PersistFailed {
        /// From [`Output::Persist`](crate::Output::Persist).
        ticket: Ticket,
    },
    /// Only time has passed. Every other input does what this one does, first.
    Tick,
}

/// What can be asked of the coordinator.
#[derive(Debug, Clone)]
pub enum Request {
    /// Become a member, or take part in a rebalance: [`Answer::Joined`](crate::Answer::Joined).
    Join(Join),
    /// Learn one's assignment, or bring everybody's: [`Answer::Synced`](crate::Answer::Synced).
    Sync(Sync),
    /// Say that one lives: [`Answer::Alive`](crate::Answer::Alive).
    Heartbeat {
        /// The group.
        group: GroupName,
        /// Who lives.
        fence: Fence,
    },
    /// Stop being a member: [`Answer::Left`](crate::Answer::Left).
    Leave(Leave),
    /// Remember how far the group has read: [`Answer::Committed`](crate::Answer::Committed).
    Commit(CommitRequest),
    /// Ask how far the group has read: [`Answer::Commits`](crate::Answer::Commits).
    FetchCommits(FetchCommits),
    /// Ask for everything about a group: [`Answer::Description`](crate::Answer::Description).
    Describe(GroupName),
    /// Ask for all groups, by name: [`Answer::List`](crate::Answer::List).
    List,
    /// Forget an empty group and its commits: [`Answer::Deleted`](crate::Answer::Deleted).
    DeleteGroup(GroupName),
}

/// Asks to become or to stay a member.
#[derive(Debug, Clone)]
pub struct Join {
    /// The group; made when a new member joins it.
    pub group: GroupName,
    /// `None` for a process that is not a member yet.
    pub member: Option<MemberId>,
    /// Makes the member static.
    pub instance: Option<InstanceId>,
    /// What the client calls itself; begins its member id.
    pub client: Arc<str>,
    /// Where the client is, for people who look.
    pub host: Arc<str>,
    /// How long the member may be silent.
    pub session_timeout: Duration,
    /// How long a rebalance waits for this member to join again. Longer than
    /// [`REBALANCE_TIMEOUT_MAX`](model::limits::REBALANCE_TIMEOUT_MAX) is that.
    pub rebalance_timeout: Duration,
    /// What the member wants, and who assigns.
    pub assigns: Assigns,
    /// Whether a new dynamic member is first only given its id, by
    /// [`Error::MemberIdRequired`](crate::Error::MemberIdRequired). So a client whose first answer
    /// is lost does not leave a dead member behind.
    pub member_id_required: bool,
}

impl Join {
    /// About how many bytes the member takes in the group's stored record.
    pub(crate) fn size(&self) -> usize {
        self.client.len() + self.host.len() + self.assigns.size()
    }
}

/// What a member wants to read, and who gives it its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigns {
    /// A leader among the clients assigns, in a protocol that all clients know.
    ByClient {
        /// The kind of protocols, such as `consumer` or `connect`.
        protocol_type: Arc<str>,
        /// Names, the liked best first, each with bytes for the leader. Not empty.
        protocols: Vec<(Arc<str>, Bytes)>,
        /// The topics that the bytes speak of, read by the door; used when the coordinator assigns.
        topics: BTreeSet<TopicName>,
    },
    /// The coordinator assigns.
    ByServer {
        /// The topics to share; they need not exist yet.
        topics: BTreeSet<TopicName>,
    },
}

impl Assigns {
    /// The protocol type of members that leave assigning to the coordinator.
    pub const CONSUMER: &'static str = "consumer";

    /// The topics that the member wants.
    #[must_use]
    pub const fn topics(&self) -> &BTreeSet<TopicName> {
        match self {
            Self::ByClient { topics, .. } | Self::ByServer { topics } => topics,
        }
    }

    pub(crate) const fn is_by_server(&self) -> bool {
        matches!(self, Self::ByServer { .. })
    }

    pub(crate) fn protocol_type(&self) -> &str {
        match self {
            Self::ByClient { protocol_type, .. } => protocol_type,
            Self::ByServer { .. } => Self::CONSUMER,
        }
    }

    pub(crate) fn protocols(&self) -> &[(Arc<str>, Bytes)] {
        match self {
            Self::ByClient { protocols, .. } => protocols,
            Self::ByServer { .. } => &[],
        }
    }

    /// The same without second mentions of a protocol, which would count twice in the vote.
    pub(crate) fn deduplicated(mut self) -> Self {
        if let Self::ByClient { protocols, .. } = &mut self {
            let mut seen = BTreeSet::new();
            protocols.retain(|(name, _)| seen.insert(name.clone()));
        }
        self
    }

    /// What the member says to a leader that uses `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self
            .protocols()
            .iter()
            .find(|(name, _)| **name == *protocol);
        found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// About how many bytes this takes in the group's stored record.
    pub(crate) fn size(&self) -> usize {
        let topics: usize = self
            .topics()
            .iter()
            .map(|topic| topic.as_str().len() + 4)
            .sum();
        let of = |(name, bytes): &(Arc<str>, Bytes)| name.len() + bytes.len() + 8;
        let protocols: usize = self.protocols().iter().map(of).sum();
        self.protocol_type().len() + topics + protocols
    }

    /// Whether there are not too many topics and protocols.
    pub(crate) fn is_within_limits(&self) -> bool {
        self.topics().len() <= GROUP_TOPICS_PER_MEMBER_MAX
            && self.protocols().len() <= GROUP_PROTOCOLS_PER_MEMBER_MAX
    }
}

/// Who speaks, and of which generation.
#[derive(Debug, Clone)]
pub struct Fence {
    /// The member.
    pub member: MemberId,
    /// Given by static members, which learn by it that they were replaced.
    pub instance: Option<InstanceId>,
    /// The generation that the member believes in.
    pub generation: u32,
}

/// Asks for one's assignment after a join. The leader's brings everybody's.
#[derive(Debug, Clone)]
pub struct Sync {
    /// The group.
    pub group: GroupName,
    /// Who speaks.
    pub fence: Fence,
    /// Protocol type and name that the member believes in, if it says.
    pub protocol: Option<(Arc<str>, Arc<str>)>,
    /// From the leader: what each member gets. Ignored from anybody else.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// Members that stop.
#[derive(Debug, Clone)]
pub struct Leave {
    /// The group.
    pub group: GroupName,
    /// Who leaves; the answer has one result for each, in this order.
    pub members: Vec<Departure>,
}

/// One member that stops, named by its id, its instance id, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// `None` to name it by its instance id alone.
    pub member: Option<MemberId>,
    /// The static member's name.
    pub instance: Option<InstanceId>,
}

/// Asks that the group's position be remembered.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The group; made by a commit without a member.
    pub group: GroupName,
    /// The member that commits; `None` from outside, which only a group without members allows.
    pub fence: Option<Fence>,
    /// Where the group goes on in each partition.
    pub offsets: Vec<(PartitionId, Commit)>,
}

/// Asks for the group's position.
#[derive(Debug, Clone)]
pub struct FetchCommits {
    /// The group; one that does not exist has no commits.
    pub group: GroupName,
    /// Of which partitions; `None` for all that have a commit.
    pub partitions: Option<Vec<PartitionId>>,
}
