//! How long things take.

use std::time::Duration;

/// How long things take. The defaults are the product's; tests may shorten them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// Between two signs of life of the controller. Less than half of `election_min`.
    pub heartbeat: Duration,
    /// Shortest time that a voter waits for a controller after the lease of the last one has run out.
    pub election_min: Duration,
    /// The longest such time, and the length of the lease. After a controller dies, the next one is
    /// elected within twice this and a round trip.
    pub election_max: Duration,
    /// Between two looks of the controller at the state of the cluster.
    pub look: Duration,
    /// How long membership must have said that a node is down before it is fenced.
    pub fence_after: Duration,
    /// How long a node may be missing from membership altogether before it counts as down.
    pub unknown_after: Duration,
    /// How long a voter must have been alive and caught up before leadership is handed to it, and how
    /// long the present controller must have led.
    pub steady: Duration,
    /// Between two transfers of leadership.
    pub between_transfers: Duration,
    /// How long a leader may hear no quorum before it falls silent, so that others can elect.
    pub deaf: Duration,
    /// How long [`crate::Control::propose`] and [`crate::Control::fresh`] try.
    pub propose: Duration,
    /// The longest wait for one answer of another node.
    pub call: Duration,
}

impl Timings {
    /// Those of a cluster whose nodes are at most a few tens of milliseconds apart.
    #[must_use]
    pub const fn product() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(500),
            election_max: Duration::from_millis(1000),
            look: Duration::from_millis(250),
            fence_after: Duration::from_millis(2500),
            unknown_after: Duration::from_secs(10),
            steady: Duration::from_secs(30),
            between_transfers: Duration::from_secs(60),
            deaf: Duration::from_secs(3),
            propose: Duration::from_secs(10),
            call: Duration::from_secs(2),
        }
    }

    /// How long a learner that has answered a sign of life gets none that says the same. So it is heard
    /// again before `election_max` is over, after which it would count as one that does not answer.
    pub(crate) fn rest(&self) -> Duration {
        self.election_max.saturating_sub(self.heartbeat * 2)
    }
}

impl Default for Timings {
    fn default() -> Self {
        Self::product()
    }
}
