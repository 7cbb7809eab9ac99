//! What the coordinator's refusals mean to a caller of the broker.

use ::groups::Error;

use crate::error::GroupError;

/// `group` and `consumer` are who was spoken of.
pub(super) fn refused(error: &Error, group: &str, consumer: &str) -> GroupError {
    match error {
        Error::InvalidName(_) => GroupError::InvalidName,
        Error::UnknownMember => GroupError::NotMember(consumer.to_owned()),
        Error::IllegalGeneration
        | Error::RebalanceInProgress
        | Error::FencedInstance
        | Error::MemberIdRequired(_)
        | Error::NotOwner => GroupError::Rebalanced,
        Error::InvalidSessionTimeout => GroupError::SessionTimeout,
        Error::GroupNotEmpty => GroupError::NotEmpty,
        Error::GroupNotFound => GroupError::Unknown(group.to_owned()),
        Error::NotPersisted => GroupError::NotDurable(error.to_string()),
        Error::InconsistentProtocol
        | Error::GroupFull
        | Error::TooManyGroups
        | Error::TooLarge
        | Error::MetadataTooLarge
        | Error::TooManyCommits => GroupError::Limit(error.to_string()),
    }
}

/// The broker was closed before there was an answer.
pub(super) fn stopping() -> GroupError {
    GroupError::NotDurable("the node is stopping".to_owned())
}
