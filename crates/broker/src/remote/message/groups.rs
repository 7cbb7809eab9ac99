//! What is said about one group.

use std::time::Duration;

use model::TopicName;
use model::limits::{POLL_TIMEOUT_MAX, SESSION_TIMEOUT_MAX};

use crate::api::{
    Assignment, Commit, GroupDescription, GroupPoll, GroupPolled, GroupSubscribe, Start,
};
use crate::error::GroupError;
use crate::remote::codec::{Coded, Malformed, Reader, Writer, coded};

/// What is asked of a group's coordinator: the calls of the API, whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GroupAsk {
    /// 1
    Subscribe(GroupSubscribe),
    /// 2
    Unsubscribe { group: String, consumer: String },
    /// 3
    Poll(GroupPoll),
    /// 4
    Commit(Commit),
    /// 5
    Describe { group: String },
    /// 6
    Reset {
        group: String,
        topic: TopicName,
        start: Start,
    },
    /// 7
    Delete { group: String },
}

/// What a coordinator answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GroupAnswer {
    /// 1
    Done,
    /// 2
    Assigned(Assignment),
    /// 3
    Polled(GroupPolled),
    /// 4
    Described(GroupDescription),
}

impl GroupAsk {
    /// The group that is spoken of.
    pub(crate) fn group(&self) -> &str {
        match self {
            Self::Subscribe(subscribe) => &subscribe.group,
            Self::Poll(poll) => &poll.group,
            Self::Commit(commit) => &commit.group,
            Self::Unsubscribe { group, .. }
            | Self::Describe { group }
            | Self::Reset { group, .. }
            | Self::Delete { group } => group,
        }
    }

    /// Whether it may make the group.
    pub(crate) const fn makes_group(&self) -> bool {
        match self {
            Self::Subscribe(_) | Self::Poll(_) => true,
            // A member has made it before.
            Self::Commit(commit) => commit.consumer.is_none(),
            _ => false,
        }
    }

    /// How long the answer may take by its nature.
    pub(crate) fn wait(&self) -> Duration {
        match self {
            Self::Poll(poll) => poll.wait.min(POLL_TIMEOUT_MAX),
            // The other members have as long to join again.
            Self::Subscribe(subscribe) => subscribe.session_timeout.min(SESSION_TIMEOUT_MAX),
            _ => Duration::ZERO,
        }
    }
}

impl GroupAnswer {
    pub(crate) fn done(self) -> Result<(), GroupError> {
        match self {
            Self::Done => Ok(()),
            _ => Err(wrong_answer()),
        }
    }

    pub(crate) fn assigned(self) -> Result<Assignment, GroupError> {
        match self {
            Self::Assigned(assignment) => Ok(assignment),
            _ => Err(wrong_answer()),
        }
    }

    pub(crate) fn polled(self) -> Result<GroupPolled, GroupError> {
        match self {
            Self::Polled(polled) => Ok(polled),
            _ => Err(wrong_answer()),
        }
    }

    pub(crate) fn described(self) -> Result<GroupDescription, GroupError> {
        match self {
            Self::Described(description) => Ok(description),
            _ => Err(wrong_answer()),
        }
    }
}

fn wrong_answer() -> GroupError {
    GroupError::CoordinatorUnavailable("it answered another question".to_owned())
}

coded!(enum GroupAsk {
    1 => Subscribe(subscribe: GroupSubscribe),
    2 => Unsubscribe { group: String, consumer: String },
    3 => Poll(poll: GroupPoll),
    4 => Commit(commit: Commit),
    5 => Describe { group: String },
    6 => Reset { group: String, topic: TopicName, start: Start },
    7 => Delete { group: String },
});
coded!(enum GroupAnswer {
    1 => Done,
    2 => Assigned(assignment: Assignment),
    3 => Polled(polled: GroupPolled),
    4 => Described(description: GroupDescription),
});
