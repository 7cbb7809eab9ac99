//! What can go wrong, and whose fault it is.

use catalog::Refusal;
use model::NodeId;
use thiserror::Error;

use crate::StoreError;

/// Control could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The consensus engine could not start on what the database holds.
    #[error("the log of the cluster cannot be used: {0}")]
    Engine(String),
}

/// A step in a node's life could not be taken.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The cluster, or the node, has been made already.
    #[error("this data directory already belongs to a node of a cluster")]
    AlreadyMember,
    /// The node has joined no cluster yet.
    #[error("this node has not joined a cluster yet")]
    NotMember,
    /// The cluster has given up on this data directory, or it is of another cluster.
    #[error(
        "the cluster has given up on this data directory of node {0}; empty it and start again"
    )]
    Abandoned(NodeId),
    /// The cluster does not take the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer within the deadline.
    #[error("{0}")]
    Unavailable(String),
    /// The database failed. The node must stop.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The consensus engine could not start on what the database holds.
    #[error("the log of the cluster cannot be used: {0}")]
    Engine(String),
}

/// A command was not agreed on, or a fresh view not had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// The catalog does not take it. Nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody could say within the deadline; a command may yet take effect.
    #[error("{0}")]
    Unavailable(String),
}

impl From<OpenError> for ControlError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => Self::Store(error),
            OpenError::Engine(why) => Self::Engine(why),
        }
    }
}

impl From<ProposeError> for ControlError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Refused(refusal) => Self::Refused(refusal),
            ProposeError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
