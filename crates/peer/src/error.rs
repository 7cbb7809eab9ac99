//! What goes wrong between nodes, and whose fault it is.

use std::fmt;
use std::net::SocketAddr;

use catalog::Refusal;
use model::limits;
use thiserror::Error;

use crate::SecurityError;
use crate::numbered::numbered;

/// A call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// There is no connection.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// Who was dialled.
        address: String,
        /// Why not.
        reason: String,
    },
    /// There was a connection, and one side did not want the other.
    #[error(transparent)]
    Refused(#[from] Rejection),
    /// The deadline has passed.
    #[error("no answer in time")]
    TimedOut {
        /// Whether the request may have arrived.
        delivery: Delivery,
    },
    /// The connection broke while the answer was awaited.
    #[error("the connection was lost: {reason}")]
    Lost {
        /// How.
        reason: String,
        /// Whether the request may have arrived.
        delivery: Delivery,
    },
    /// The request is larger than a frame.
    #[error(
        "a request of {0} bytes is too large; a frame has {max} at most",
        max = limits::PEER_FRAME_BYTES_MAX
    )]
    TooLarge(usize),
    /// The other side is at one of its limits, or about to stop, and has not looked at the request.
    #[error("the other node did not take the request: {0}")]
    NotTaken(String),
    /// The other side could not answer.
    #[error("the other node failed to answer: {0}")]
    Failed(String),
    /// This node is stopping.
    #[error("this node is stopping")]
    Closed,
}

impl CallError {
    /// Whether the request may have arrived.
    #[must_use]
    pub const fn delivery(&self) -> Delivery {
        match self {
            Self::TimedOut { delivery } | Self::Lost { delivery, .. } => *delivery,
            Self::Failed(_) => Delivery::Unknown,
            Self::Unreachable { .. }
            | Self::Refused(_)
            | Self::TooLarge(_)
            | Self::NotTaken(_)
            | Self::Closed => Delivery::NotSent,
        }
    }
}

/// Whether a request without an answer may have had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// No: it never left, or was turned away unread. Safe to send again, to anybody.
    NotSent,
    /// Perhaps.
    Unknown,
}

/// One side of a handshake, or of a connection, does not want the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why, for programs.
    pub code: RejectionCode,
    /// Why, for people: what to do about it.
    pub reason: String,
    /// Who said so.
    pub by: Side,
}

impl Rejection {
    /// This side does not want the other.
    pub(crate) fn ours(code: RejectionCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            by: Side::Us,
        }
    }

    /// The other side does not want this one.
    pub(crate) const fn theirs(code: RejectionCode, reason: String) -> Self {
        Self {
            code,
            reason,
            by: Side::Them,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            Side::Us => f.write_str(&self.reason),
            Side::Them => write!(f, "the other node says: {}", self.reason),
        }
    }
}

impl std::error::Error for Rejection {}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::OtherCluster { .. } => RejectionCode::OtherCluster,
            Refusal::OldCopy(_) | Refusal::AlreadyRunning(..) => RejectionCode::OldCopy,
            Refusal::Removed(_) => RejectionCode::Removed,
            Refusal::OtherDisk { .. } | Refusal::DiskForgotten(_) => RejectionCode::OtherDisk,
            _ => RejectionCode::NotAdmitted,
        };
        Self::ours(code, refusal.to_string())
    }
}

/// Who said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This node.
    Us,
    /// The other one.
    Them,
}

numbered! {
    /// Why a node is not wanted. The numbers travel.
    pub enum RejectionCode {
        /// The bytes were not those of this protocol.
        Protocol = 1,
        /// There is no version of the protocol that both know.
        Version = 2,
        /// The cluster key is missing or another one.
        Key = 3,
        /// The certificate is missing, of another authority, or names another node.
        Certificate = 4,
        /// A node of another cluster.
        OtherCluster = 5,
        /// The process runs on an old copy of a data directory, or is not the newest of its id.
        OldCopy = 6,
        /// The id was removed from the cluster.
        Removed = 7,
        /// The id belongs to another data directory.
        OtherDisk = 8,
        /// Another node answered than the one that was dialled.
        OtherNode = 9,
        /// Not admitted for another reason, which the text has.
        NotAdmitted = 10,
        /// The node is stopping.
        Closing = 11,
        /// TLS on one side only, or addresses for which plain connections are not allowed.
        Transport = 12,
    }
}

impl RejectionCode {
    /// The code of this number; those that a later version may send read as [`Self::NotAdmitted`].
    pub(crate) fn received(number: u8) -> Self {
        Self::from_number(number).unwrap_or(Self::NotAdmitted)
    }
}

/// The node cannot take part.
#[derive(Debug, Error)]
pub enum StartError {
    /// No TLS on an address that others reach.
    #[error(
        "{0} can be reached from other machines, and connections between nodes would not be protected; give the node its certificate (see `hark init`), or listen on 127.0.0.1"
    )]
    PlainBeyondLoopback(SocketAddr),
    /// Certificates or keys.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The socket.
    #[error("cannot listen for other nodes: {0}")]
    Listen(#[from] std::io::Error),
}
