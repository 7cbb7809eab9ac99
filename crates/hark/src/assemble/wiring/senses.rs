//! Clocks and chance: the same for all parts of a node.

use broker::seams::{Clock as _, Entropy as _, OsEntropy, SystemClock};
use model::{Instant, Timestamp};

/// The clocks and the random source of this machine, for control and for gossip. The broker takes the
/// same clock by itself: an instant means the same everywhere in the process.
#[derive(Debug, Clone, Copy)]
pub(in crate::assemble) struct Senses(pub SystemClock);

impl control::Clock for Senses {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall(&self) -> Timestamp {
        self.0.wall()
    }
}

impl control::Entropy for Senses {
    fn fill(&self, bytes: &mut [u8]) {
        OsEntropy.fill(bytes);
    }
}

impl peer::membership::Clock for Senses {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall(&self) -> Timestamp {
        self.0.wall()
    }
}

impl Senses {
    /// A number that no other node draws.
    pub(in crate::assemble) fn seed(self) -> u64 {
        let mut bytes = [0; 8];
        OsEntropy.fill(&mut bytes);
        u64::from_ne_bytes(bytes)
    }
}
