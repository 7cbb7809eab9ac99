//! Whether a process that speaks for a node is the one that the cluster means by it.
//!
//! A copy of a live voter's directory knows the registered start just as the node itself does when it
//! starts again, so no claim tells the two apart; and the engine runs before a start is registered, for
//! a cluster that starts again as a whole could register nobody otherwise. What tells them apart is
//! whether the registered start still answers where it was registered. It is asked only while a process
//! of another start speaks, which is for the moment between a start and its registration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::RaftId;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use model::{BootId, Instant};
use parking_lot::Mutex;

use crate::BoxFuture;
use crate::control::Inner;
use crate::rpc::{Request, Response};

/// How long the registered start has to answer. Less than a candidate waits for a vote.
const WHO_PATIENCE: Duration = Duration::from_millis(300);
/// How long an answer, or none, counts. More than an election takes, so that who was let in can win.
const OUTCOME_LASTS: Duration = Duration::from_secs(2);

/// What was found out lately. One inquiry for each node at most, and only for those of the catalog.
#[derive(Debug, Default)]
pub(crate) struct Twins(Mutex<BTreeMap<RaftId, Inquiry>>);

/// Whether the registered start of a node runs beside another one.
#[derive(Debug)]
struct Inquiry {
    speaker: BootId,
    registered: BootId,
    begun: Instant,
    outcome: Shared<BoxFuture<'static, bool>>,
}

impl Inner {
    /// Whether the start `speaker` of a node takes part beside the one that is registered, as far as can
    /// be seen from here. Takes [`WHO_PATIENCE`] at most, and no time for the registered start itself.
    pub(crate) async fn is_twin(self: &Arc<Self>, node: RaftId, speaker: BootId) -> bool {
        let registered = {
            let catalog = self.views.catalog.borrow();
            let known = catalog.node(node.node());
            let known = known.filter(|known| known.raft_id() == node);
            known.map(|known| known.boot)
        };
        match registered {
            Some(registered) if registered != speaker => {
                self.inquire(node, speaker, registered).await
            }
            _ => false,
        }
    }

    /// The inquiry that is under way or has just ended, or a new one.
    fn inquire(
        self: &Arc<Self>,
        node: RaftId,
        speaker: BootId,
        registered: BootId,
    ) -> Shared<BoxFuture<'static, bool>> {
        let now = self.seams.clock.now();
        let mut inquiries = self.twins.0.lock();
        let known = inquiries.get(&node).filter(|known| {
            (known.speaker, known.registered) == (speaker, registered)
                && now.since(known.begun) < OUTCOME_LASTS
        });
        if let Some(known) = known {
            return known.outcome.clone();
        }
        let outcome = self.runs(node, registered);
        let inquiry = Inquiry {
            speaker,
            registered,
            begun: now,
            outcome: outcome.clone(),
        };
        inquiries.insert(node, inquiry);
        outcome
    }

    /// Asks in a task of its own: whoever waits for the outcome may give up before it is there, and comes
    /// back for it.
    fn runs(
        self: &Arc<Self>,
        node: RaftId,
        registered: BootId,
    ) -> Shared<BoxFuture<'static, bool>> {
        let inner = Arc::clone(self);
        let asking = self.scope.spawn(async move {
            let answer = inner.ask(node, &Request::Who, WHO_PATIENCE).await;
            matches!(answer, Ok(Response::ItIs(boot)) if boot == registered)
        });
        // It is lost only with this node itself, which says yes to nobody any more.
        let outcome = async move { asking.await.unwrap_or(true) };
        outcome.boxed().shared()
    }
}
