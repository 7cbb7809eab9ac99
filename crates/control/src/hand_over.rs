//! Leaving in good order: another voter becomes the controller before this one stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Node, NodeState, RaftId};
use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;

use crate::Control;
use crate::control::Running;
use crate::decide::LAG_MAX;
use crate::status::{Metrics, answering};

/// Between two looks at whether another one leads.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Control {
    /// When this node is the controller, hands that over to the voter that has the most of the log of those
    /// that answer, and returns once this node leads no more, or after `patience`. One that votes alone
    /// gives its vote to such a follower, so that the others go on without it. Without another that is
    /// alive nothing happens.
    pub async fn hand_over(&self, patience: Duration) {
        let Some(running) = self.inner.engine.get() else {
            return;
        };
        let metrics = || running.raft.metrics().borrow_watched().clone();
        let begin = metrics();
        let Some(heir) = self.heir(&begin) else {
            return;
        };
        let handed_over = async {
            hand_to(running, heir, votes_alone(&begin)).await?;
            while metrics().state.is_leader() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok::<(), String>(())
        };
        let to = heir.node();
        let handed_over = self.inner.scope.run(handed_over);
        match tokio::time::timeout(patience, handed_over).await {
            Ok(Ok(())) => tracing::info!(%to, "leadership is handed over"),
            Ok(Err(error)) => tracing::warn!(%to, error, "leadership is not handed over"),
            Err(_) => tracing::warn!(%to, "leadership was not taken over in time"),
        }
    }

    /// The best of those that could lead instead; nobody when this node does not. Who answers goes before
    /// who has more, for membership sees some that cannot be told anything, and overlooks some that can.
    fn heir(&self, metrics: &Metrics) -> Option<RaftId> {
        if !metrics.state.is_leader() {
            return None;
        }
        let answering = answering(metrics, self.inner.timings.election_max);
        let members = self.inner.seams.liveness.members();
        let is_seen = |id: RaftId| {
            let mut members = members.iter();
            members.any(|(node, is)| *node == id.node() && is.alive)
        };
        let voters = metrics.membership_config.membership();
        let takes_vote = votes_alone(metrics).then(|| self.may_vote(metrics.last_log_index));
        let others = metrics.replication.iter().flatten();
        let others = others.filter(|(id, _)| **id != metrics.id);
        let rated = others.map(|(id, position)| {
            let id = RaftId(*id);
            let has = position.as_ref().map(|it| it.index);
            (answering.contains(&id), has, id)
        });
        let heirs = rated.filter(|(answers, has, id)| match &takes_vote {
            // While the vote moves both are needed, and it does not come back from one that hears nothing.
            Some(takes_vote) => *answers && takes_vote(*id, *has),
            None => voters.voter_ids().any(|it| it == id.0) && (*answers || is_seen(*id)),
        });
        heirs.max().map(|(_, _, id)| id)
    }

    /// Tells of a follower whether it may have the only vote: it must be in full use, and lack little, for
    /// from then on nothing is agreed on before it has everything.
    fn may_vote(&self, last: Option<u64>) -> impl Fn(RaftId, Option<u64>) -> bool {
        let catalog = self.view();
        move |id, has| {
            let lag = last
                .unwrap_or_default()
                .checked_sub(has.unwrap_or_default());
            let node = catalog.node(id.node());
            let is_in_use = |node: &Arc<Node>| {
                node.raft_id() == id && node.state == NodeState::Active && !node.fenced
            };
            node.is_some_and(is_in_use) && lag.is_some_and(|lag| lag <= LAG_MAX)
        }
    }
}

fn votes_alone(metrics: &Metrics) -> bool {
    let mut voters = metrics.membership_config.membership().voter_ids();
    voters.all(|voter| voter == metrics.id)
}

/// With the only vote goes leadership, as soon as the change is agreed on.
async fn hand_to(running: &Running, heir: RaftId, with_vote: bool) -> Result<(), String> {
    if !with_vote {
        let asked = running.raft.trigger().transfer_leader(heir.0).await;
        return asked.map_err(|error| error.to_string());
    }
    let vote = ChangeMembers::ReplaceAllVoters(BTreeSet::from([heir.0]));
    let changed = running.raft.change_membership(vote, true).await;
    changed.map(drop).map_err(|error| error.to_string())
}
