//! What an operator may choose.

use core::time::Duration;

use model::limits;

/// The coordinator's settings; `default()` is what a node uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long the first rebalance of an empty group waits for more members, counted anew with
    /// each member that comes, up to the rebalance timeout. Zero in `default()`.
    pub initial_rebalance_delay: Duration,
    /// Shortest session timeout that a member may ask for.
    pub session_timeout_min: Duration,
    /// Longest session timeout that a member may ask for.
    pub session_timeout_max: Duration,
    /// How long an empty group keeps its commits.
    pub commit_retention: Duration,
    /// Most groups.
    pub groups_max: usize,
    /// Most members of one group.
    pub members_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::ZERO,
            session_timeout_min: limits::SESSION_TIMEOUT_MIN,
            session_timeout_max: limits::SESSION_TIMEOUT_MAX,
            commit_retention: limits::COMMIT_RETENTION_DEFAULT,
            groups_max: limits::GROUPS_MAX,
            members_max: limits::GROUP_MEMBERS_MAX,
        }
    }
}
