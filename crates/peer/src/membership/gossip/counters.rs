//! What is counted.

use crate::datagram::DatagramCounters;
use crate::membership::SwimCounters;

/// Datagrams, messages and claims, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GossipCounters {
    /// Bytes sent, without the headers of UDP and IP.
    pub bytes_sent: u64,
    /// Bytes received, without the headers of UDP and IP.
    pub bytes_received: u64,
    /// Datagrams that the system did not take.
    pub unsent: u64,
    /// Datagrams dropped: from another machine, while this cluster has no key.
    pub not_from_here: u64,
    /// Sealing and opening.
    pub datagrams: DatagramCounters,
    /// The protocol.
    pub swim: SwimCounters,
}
