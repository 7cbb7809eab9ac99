//! Between nodes: connections with calls, certificates, and the gossip that tells who is alive.
//!
//! A connection carries calls one way: from the one who dialled to the one who answered. Before a call
//! there is a handshake: both sides show a certificate (unless told to do without), who they claim to
//! be, and that they hold the key of the cluster; each asks its [`Admission`] whether such a one may be
//! talked to. What a call says is not known here: [`Services`] answers it.
//!
//! Absent by design: what any service means, and any retry of a call that may have arrived.
//!
//! Where to start: [`Peers`] is everything that a node does with connections; [`pki`] makes what a
//! cluster's security rests on.

mod activity;
pub mod datagram;
mod error;
mod handshake;
mod incoming;
mod key;
pub mod membership;
mod numbered;
mod outbox;
mod outgoing;
mod peers;
pub mod pki;
pub mod protocol;
mod reader;
mod seams;
mod security;
mod service;
mod sockets;
mod sources;
mod sparing;
mod transport;

pub use error::{CallError, Delivery, Rejection, RejectionCode, Side, StartError};
pub use key::{ClusterKey, ClusterKeys, KeyError};
pub use peers::{PeerOptions, PeerTimings, Peers, Target};
pub use seams::{Admission, Caller, Services};
pub use security::{Security, SecurityError};
pub use service::{Lane, Service};
pub use sockets::bind;
