//! The control loop: on every node it watches whether the leader must fall silent, and on the
//! controller it does what [`decide`] says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use catalog::{Command, RaftId};
use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use openraft::impls::EmptyNode;
use tokio::task::JoinHandle;

use crate::control::{Inner, Running};
use crate::decide::{Action, Facts, Leading, Memory, NodeFacts, decide};
use crate::incoming::Incoming;
use crate::network::INSTALL_PATIENCE;
use crate::status::{heard, is_half_done, is_settled, quorum_heard};
use crate::{Control, ProposeError};

/// Everything that the loop wakes for.
enum Event {
    /// It is time to look again.
    Look,
    /// The actions that were under way are done.
    Done,
}

/// The longest that one change of the voters may take.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);

/// Looks after the cluster until the node is gone.
pub(crate) async fn run(inner: Weak<Inner>) {
    let mut memory = Memory::default();
    let mut work: Option<JoinHandle<()>> = None;
    loop {
        let Some(look) = inner.upgrade().map(|inner| inner.timings.look) else {
            return;
        };
        match next(&mut work, look).await {
            Event::Look => {}
            Event::Done => work = None,
        }
        let Some(inner) = inner.upgrade() else {
            return;
        };
        inner.forget_stale_snapshot();
        // A node that starts again without a majority knows what it had written down.
        inner.log.flush_soon();
        let Some(facts) = inner.facts() else {
            return;
        };
        let actions = decide(&mut memory, &inner.timings, &facts, work.is_some());
        let actions = inner.silence(actions);
        if !actions.is_empty() {
            work = Some(inner.scope.spawn(act(Arc::downgrade(&inner), actions)));
        }
    }
}

async fn next(work: &mut Option<JoinHandle<()>>, look: Duration) -> Event {
    let Some(work) = work else {
        tokio::time::sleep(look).await;
        return Event::Look;
    };
    tokio::select! {
        biased;
        _ = work => Event::Done,
        () = tokio::time::sleep(look) => Event::Look,
    }
}

impl Inner {
    /// What is seen from here; nothing once the engine has stopped.
    fn facts(&self) -> Option<Facts> {
        let running = self.engine.get()?;
        let metrics = running.raft.metrics().borrow_watched().clone();
        metrics.running_state.as_ref().ok()?;
        let membership = metrics.membership_config.membership();
        let leading = metrics.state.is_leader().then(|| Leading {
            term: metrics.current_term,
            quorum_heard: quorum_heard(running.me, &metrics),
            last: metrics.last_log_index.unwrap_or_default(),
            matched: matched(metrics.replication.as_ref()),
            heard: heard(&metrics),
        });
        Some(Facts {
            now: self.seams.clock.now(),
            me: running.me,
            leading,
            nodes: self.node_facts(),
            members: self.seams.liveness.members().into_iter().collect(),
            voters: membership.voter_ids().map(RaftId).collect(),
            learners: membership.learner_ids().map(RaftId).collect(),
            settled: is_settled(&metrics),
            half_done: is_half_done(&metrics),
            transfer_seen: *self.transfer_seen.lock(),
        })
    }

    fn node_facts(&self) -> Vec<NodeFacts> {
        let catalog = self.views.catalog.borrow().clone();
        let facts = catalog.nodes().map(|node| NodeFacts {
            id: node.id,
            raft_id: node.raft_id(),
            incarnation: node.incarnation,
            rack: node.rack.clone(),
            state: node.state,
            fenced: node.fenced,
            awaits_disk: node.awaits_disk,
        });
        facts.collect()
    }

    /// Frees what came of a snapshot whose sender is gone.
    fn forget_stale_snapshot(&self) {
        let patience = self.timings.call.saturating_mul(INSTALL_PATIENCE);
        Incoming::forget_stale(&mut self.incoming.lock(), self.seams.clock.now(), patience);
    }

    /// Opens or closes the leader's gate at once, and gives back what takes time.
    fn silence(&self, mut actions: Vec<Action>) -> Vec<Action> {
        actions.retain(|action| match action {
            Action::Silence(silent) => {
                let before = self.gate.close(*silent);
                match (before, *silent) {
                    (false, true) => tracing::warn!("this leader cannot lead and falls silent"),
                    (true, false) => tracing::info!("this node's leader speaks again"),
                    _ => {}
                }
                false
            }
            _ => true,
        });
        actions
    }
}

fn matched(
    replication: Option<&BTreeMap<u64, Option<crate::engine::Position>>>,
) -> BTreeMap<RaftId, u64> {
    let known = replication.into_iter().flatten();
    known
        .filter_map(|(node, position)| Some((RaftId(*node), position.as_ref()?.index)))
        .collect()
}

/// Does these things one after the other, up to the first that fails: without a quorum each of the others
/// would only take its time to fail. What is left is decided anew at the next look.
async fn act(inner: Weak<Inner>, actions: Vec<Action>) {
    for action in actions {
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let Some(running) = inner.engine.get().cloned() else {
            return;
        };
        tracing::info!(?action, "the controller acts");
        let done = tokio::time::timeout(CHANGE_PATIENCE, perform(inner, &running, action)).await;
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error, "the controller's action failed");
                return;
            }
            Err(_) => {
                tracing::warn!("the controller's action takes too long");
                return;
            }
        }
    }
}

async fn perform(inner: Arc<Inner>, running: &Running, action: Action) -> Result<(), String> {
    let changes = match action {
        Action::Silence(_) => return Ok(()),
        Action::Fence {
            id,
            incarnation,
            fenced,
        } => {
            let command = Command::Fence {
                id,
                incarnation,
                fenced,
            };
            return match (Control { inner }).propose(command).await {
                // It was decided on what has changed since; the others have not.
                Ok(_) | Err(ProposeError::Refused(_)) => Ok(()),
                Err(error @ ProposeError::Unavailable(_)) => Err(error.to_string()),
            };
        }
        Action::Transfer(to) => {
            let asked = running.raft.trigger().transfer_leader(to.0).await;
            return asked.map_err(|error| error.to_string());
        }
        Action::Follow(nodes) => {
            let nodes = nodes.into_iter().map(|node| (node.0, EmptyNode::new()));
            ChangeMembers::AddNodes(nodes.collect())
        }
        Action::Forget(nodes) => ChangeMembers::RemoveNodes(numbers(nodes)),
        Action::Vote(voters) => ChangeMembers::ReplaceAllVoters(numbers(voters)),
        // A change of nothing: the engine goes on to the newer of the two sets.
        Action::Finish => ChangeMembers::AddVoterIds(BTreeSet::new()),
    };
    let changed = running.raft.change_membership(changes, true).await;
    changed.map(drop).map_err(|error| error.to_string())
}

fn numbers(nodes: BTreeSet<RaftId>) -> BTreeSet<u64> {
    nodes.into_iter().map(|node| node.0).collect()
}
