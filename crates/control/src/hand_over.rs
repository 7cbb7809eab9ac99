//! Leaving in good order: another voter becomes the controller before this one stops.

use std::time::Duration;

use catalog::RaftId;
use openraft::async_runtime::WatchReceiver;

use crate::Control;
use crate::status::Metrics;

/// Between two looks at whether another one leads.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Control {
    /// When this node is the controller, hands that over to the voter that has the most of the log, and
    /// returns once this node leads no more, or after `patience`. Without a voter that is alive nothing
    /// happens.
    pub async fn hand_over(&self, patience: Duration) {
        let Some(running) = self.inner.engine.get() else {
            return;
        };
        let metrics = || running.raft.metrics().borrow_watched().clone();
        let Some(heir) = self.heir(&metrics()) else {
            return;
        };
        if let Err(error) = running.raft.trigger().transfer_leader(heir.0).await {
            tracing::warn!(%error, "leadership is not handed over");
            return;
        }
        let handed_over = async {
            while metrics().state.is_leader() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let in_time = tokio::time::timeout(patience, handed_over).await.is_ok();
        tracing::info!(to = %heir.node(), in_time, "leadership is handed over");
    }

    /// The best of those that could lead instead; nobody when this node does not.
    fn heir(&self, metrics: &Metrics) -> Option<RaftId> {
        if !metrics.state.is_leader() {
            return None;
        }
        let alive = self.inner.seams.liveness.members();
        let lives = |voter: RaftId| {
            let seen = alive.iter().find(|(node, _)| *node == voter.node());
            seen.is_some_and(|(_, liveliness)| liveliness.alive)
        };
        let matched = metrics.replication.iter().flatten();
        let voters = metrics.membership_config.membership();
        let is_voter = |id: u64| voters.voter_ids().any(|voter| voter == id);
        matched
            .filter(|(id, _)| **id != metrics.id && is_voter(**id) && lives(RaftId(**id)))
            .max_by_key(|(id, position)| (position.as_ref().map(|position| position.index), **id))
            .map(|(id, _)| RaftId(*id))
    }
}
