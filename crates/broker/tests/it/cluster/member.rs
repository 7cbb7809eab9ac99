//! The cluster as one node sees it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use broker::seams::{CallError, Cluster, ClusterError, ClusterOverview, ProposeError};
use bytes::Bytes;
use catalog::{Catalog, Command, Outcome};
use futures_util::future::BoxFuture;
use model::NodeId;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Hub;

/// The cluster as one of its nodes sees it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) me: NodeId,
    pub(super) hub: Arc<Hub>,
}

impl Member {
    fn is_cut(&self) -> bool {
        self.hub.state.lock().cut.contains(&self.me)
    }

    /// Waits for a majority, for ever if there is none.
    async fn majority(&self) {
        if self.hub.state.lock().minority.contains(&self.me) {
            pending::<()>().await;
        }
    }
}

impl Cluster for Member {
    fn me(&self) -> NodeId {
        self.me
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.changes().borrow())
    }

    fn changes(&self) -> watch::Receiver<Arc<Catalog>> {
        self.hub.state.lock().views[&self.me].subscribe()
    }

    fn fresh(&self) -> BoxFuture<'_, Result<Arc<Catalog>, ClusterError>> {
        Box::pin(async {
            self.majority().await;
            if self.is_cut() {
                return Err(ClusterError::Unavailable("cut off".to_owned()));
            }
            self.hub.state.lock().tell(self.me);
            Ok(self.catalog())
        })
    }

    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Outcome, ProposeError>> {
        Box::pin(async move {
            self.majority().await;
            if self.is_cut() {
                return Err(ProposeError::Unavailable("cut off".to_owned()));
            }
            let outcome = self.hub.agree(&command)?;
            self.hub.state.lock().tell(self.me);
            Ok(outcome)
        })
    }

    fn call(
        &self,
        to: NodeId,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, CallError>> {
        Box::pin(async move {
            let broker = self.hub.state.lock().reached(self.me, to)?;
            if self.hub.state.lock().mute.contains(&to) {
                sleep(deadline).await;
                return Err(CallError::TimedOut);
            }
            let answer = timeout(deadline, async {
                let answer = broker.serve_peer(self.me, request).await;
                self.hub.send(to, answer).await
            });
            let answer = answer.await;
            if self.hub.state.lock().loses_answer(to) {
                return Err(CallError::Broken("the answer is lost".to_owned()));
            }
            answer.map_err(|_| CallError::TimedOut)
        })
    }

    fn waits_for(&self) -> Option<String> {
        let unregistered = self.hub.state.lock().unregistered.contains(&self.me);
        unregistered.then(|| "a majority of the voters: 000".to_owned())
    }

    fn overview(&self) -> ClusterOverview {
        let catalog = self.catalog();
        ClusterOverview {
            cluster: catalog.cluster(),
            me: self.me,
            controller: None,
            term: 1,
            revision: catalog.revision(),
            nodes: Vec::new(),
        }
    }
}
