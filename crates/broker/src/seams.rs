//! What the broker takes from the world, so that a test or the simulator can give it another.

mod cluster;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{Instant, Timestamp};

pub use catalog::{Addresses, NodeState};

pub use self::cluster::{
    CallError, Cluster, ClusterError, ClusterOverview, Liveness, NodeOverview, ProposeError, Role,
};

/// The two clocks.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Monotonic, for deadlines.
    fn now(&self) -> Instant;
    /// Civil, for records and retention.
    fn wall(&self) -> Timestamp;
}

/// Random bytes.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's clocks. The monotonic one begins when this value is made.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// A clock that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::ZERO.after(self.origin.elapsed())
    }

    /// A machine that believes to be before 1970 reads as 1970.
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since.map_or(0, |since| since.as_millis());
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)).unwrap_or_default()
    }
}

/// The operating system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// # Panics
    /// When the operating system has no random source: nothing safe can be done without identities.
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(
            clippy::expect_used,
            reason = "a kernel without a random source cannot run a node; there is no way on"
        )]
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
