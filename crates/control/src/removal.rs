//! What the controller proposes to nobody: to remove a voter without which nothing more is agreed on.

use catalog::{Command, RaftId, Refusal};
use model::NodeId;
use openraft::async_runtime::WatchReceiver;

use crate::control::{Inner, Running};
use crate::status::answering;

impl Inner {
    /// Why a command must not be proposed by this controller, whatever the catalog would say to it.
    pub(crate) fn objection(&self, running: &Running, command: &Command) -> Option<Refusal> {
        match command {
            Command::RemoveNode { id, .. } => self.is_needed(running, *id).then(|| {
                Refusal::Invalid(format!(
                    "node {id} votes, and without it too few of the voters are up to agree on anything; \
                     drain it first and wait until another node votes, or start those that are down"
                ))
            }),
            _ => None,
        }
    }

    /// Whether the voters have a live majority with this node, and none without it. Nobody talks to a node
    /// that is removed, so its vote could not even be given to another one.
    fn is_needed(&self, running: &Running, id: NodeId) -> bool {
        let catalog = self.views.catalog.borrow().clone();
        let is_last = catalog.nodes().count() <= 1;
        let Some(node) = catalog.node(id).filter(|_| !is_last) else {
            return false;
        };
        let metrics = running.raft.metrics().borrow_watched().clone();
        let answering = answering(&metrics, self.timings.election_max);
        let members = self.seams.liveness.members();
        let lives = |voter: RaftId| {
            let seen = members.iter().find(|(id, _)| *id == voter.node());
            voter == running.me
                || answering.contains(&voter)
                || seen.is_some_and(|(_, is)| is.alive)
        };
        let voters = metrics.membership_config.membership().voter_ids();
        let voters: Vec<RaftId> = voters.map(RaftId).collect();
        let live = voters.iter().filter(|voter| lives(**voter)).count();
        let is_live_voter = voters.contains(&node.raft_id()) && lives(node.raft_id());
        is_live_voter && live.saturating_sub(1) * 2 <= voters.len()
    }
}
