//! What goes wrong with a node as a whole.

use catalog::Refusal;
use model::NodeId;
use thiserror::Error;

use super::{Fault, TopicError, again, not_registered};
use crate::seams::ProposeError;

/// Why nothing was changed about a node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NodeError {
    /// No such node.
    #[error("there is no node {0}; list them with `hark node list`")]
    Unknown(NodeId),
    /// It holds what nobody else has, it runs, or it is the last one.
    #[error("{0}")]
    InUse(Refusal),
    /// The cluster did not answer. The change may have been made nonetheless.
    #[error("{}", again(.0))]
    Unavailable(String),
    /// The cluster has not registered this start of the node yet. Nothing was taken.
    #[error("{}", not_registered(.0))]
    NotRegistered(String),
}
codes!(NodeError {
    Self::Unknown(_) => "unknown_node", Missing;
    Self::InUse(_) => "node_in_use", Conflict;
    Self::Unavailable(_) => "cluster_unavailable", Busy;
    Self::NotRegistered(_) => "not_registered", Busy;
});

impl From<ProposeError> for NodeError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Refused(Refusal::UnknownNode(id) | Refusal::Removed(id)) => {
                Self::Unknown(id)
            }
            ProposeError::Refused(refusal) => Self::InUse(refusal),
            error @ ProposeError::Unavailable(_) => Self::Unavailable(error.to_string()),
        }
    }
}

/// Why a broker could not be started.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The records.
    #[error(transparent)]
    Store(#[from] seglog::StoreError),
    /// The control database.
    #[error("{what} in hark.db: {source}")]
    Control {
        /// A verb phrase: what was tried.
        what: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The defaults for topics are outside their bounds.
    #[error("defaults for topics: {0}")]
    Defaults(TopicError),
    /// `hark.db` is not that of this start of this node; with what to do.
    #[error("{0}")]
    Foreign(String),
    /// Something stored cannot be understood.
    #[error("{0}")]
    Corrupt(String),
}
