//! Why a request was refused.

use thiserror::Error;

use crate::{MemberId, NameError};

/// Why a request was refused. [`Error::code`] never changes; [`Error::is_retriable`] says whether
/// the same request may succeed later without the caller changing anything.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// The name is empty or too long.
    #[error("{0}")]
    InvalidName(#[from] NameError),
    /// The group has no such member: it never joined, left, or was silent for too long. The
    /// caller joins again without a member id.
    #[error("the group has no such member")]
    UnknownMember,
    /// The member speaks of another generation than the group's. The caller joins again.
    #[error("the generation is not the group's")]
    IllegalGeneration,
    /// A rebalance has begun. The caller joins again, under its member id.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// Another process has taken this instance id. The caller must stop.
    #[error("another process has taken this instance id")]
    FencedInstance,
    /// The member shares no assignment protocol with the rest of the group.
    #[error("no assignment protocol is common to all members")]
    InconsistentProtocol,
    /// The session timeout is out of bounds.
    #[error("the session timeout is out of bounds")]
    InvalidSessionTimeout,
    /// The group has as many members, or as many bytes of them, as it may.
    #[error("the group is full")]
    GroupFull,
    /// The node has as many groups as it may.
    #[error("the node has as many groups as it may")]
    TooManyGroups,
    /// A member's subscription or protocols, or a leader's assignment, is over its limit.
    #[error("a subscription or assignment is over its limit")]
    TooLarge,
    /// The caller joins again under this member id, which is kept for one session timeout.
    #[error("join again under the member id {0}")]
    MemberIdRequired(MemberId),
    /// The group has members: it can be neither deleted nor committed to from outside.
    #[error("the group has members")]
    GroupNotEmpty,
    /// There is no such group.
    #[error("there is no such group")]
    GroupNotFound,
    /// The partition belongs to another member of this generation. For one partition of a commit.
    #[error("the partition is assigned to another member")]
    NotOwner,
    /// The commit's note is too long. For one partition of a commit.
    #[error("the metadata of a commit is too long")]
    MetadataTooLarge,
    /// The group keeps commits of as many partitions as it may. For one partition of a commit.
    #[error("the group has as many commits as it may")]
    TooManyCommits,
    /// The change could not be stored. It may or may not survive a restart.
    #[error("the change could not be stored")]
    NotPersisted,
}

impl Error {
    /// A word for programs, the same in every release.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidName(_) => "invalid_name",
            Self::UnknownMember => "unknown_member",
            Self::IllegalGeneration => "illegal_generation",
            Self::RebalanceInProgress => "rebalance_in_progress",
            Self::FencedInstance => "fenced_instance",
            Self::InconsistentProtocol => "inconsistent_protocol",
            Self::InvalidSessionTimeout => "invalid_session_timeout",
            Self::GroupFull => "group_full",
            Self::TooManyGroups => "too_many_groups",
            Self::TooLarge => "too_large",
            Self::MemberIdRequired(_) => "member_id_required",
            Self::GroupNotEmpty => "group_not_empty",
            Self::GroupNotFound => "group_not_found",
            Self::NotOwner => "not_owner",
            Self::MetadataTooLarge => "metadata_too_large",
            Self::TooManyCommits => "too_many_commits",
            Self::NotPersisted => "not_persisted",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retriable(&self) -> bool {
        matches!(
            self,
            Self::NotPersisted | Self::GroupFull | Self::TooManyGroups
        )
    }
}
