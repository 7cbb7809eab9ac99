//! Getting commands agreed on, and views that are fresh, from any node.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Catalog, Command, Outcome, RaftId, Refusal};
use model::limits;
use openraft::async_runtime::WatchReceiver;
use tokio::time::Instant;

use crate::control::{Inner, Running};
use crate::engine::Proposal;
use crate::handle::leader_of;
use crate::quiet::ServerMetrics;
use crate::rpc::{Request, Response};
use crate::{Control, ProposeError, Status};

impl Control {
    /// Gets a command agreed on, whoever leads, and returns when the catalog of this node holds it.
    ///
    /// The command takes effect once, however often it had to be sent. After
    /// [`ProposeError::Unavailable`] it may still take effect.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let encoded = command.encode();
        if encoded.len() > limits::COMMAND_BYTES_MAX {
            let max = limits::COMMAND_BYTES_MAX;
            let why = format!(
                "the command has {} bytes, and at most {max} are taken",
                encoded.len()
            );
            return Err(ProposeError::Refused(Refusal::Limit(why)));
        }
        let request = Request::Propose(Proposal {
            id: self.inner.draw(),
            command: encoded.into(),
        });
        match self.inner.ask_leader(request).await? {
            Response::Proposed(index, result) => {
                // A refusal has changed nothing that would have to arrive here; nor may it ever, for a
                // node that is refused because it is not the one that the others talk to.
                let outcome = result?;
                self.inner.catch_up(index).await?;
                Ok(outcome)
            }
            other => Err(ProposeError::Unavailable(unexpected(&other))),
        }
    }

    /// A catalog that holds everything that was agreed on before this call. The leader makes sure, by
    /// asking a quorum, that it still leads; no clock is trusted.
    pub async fn fresh(&self) -> Result<Arc<Catalog>, ProposeError> {
        match self.inner.ask_leader(Request::Read).await? {
            Response::ReadFrom(index) => {
                self.inner.catch_up(index).await?;
                Ok(self.view())
            }
            other => Err(ProposeError::Unavailable(unexpected(&other))),
        }
    }

    /// What another node knows of the agreement.
    pub async fn status_of(&self, node: RaftId) -> Result<Status, ProposeError> {
        let patience = self.inner.timings.call;
        let answer = self.inner.ask(node, &Request::Status, patience).await;
        match answer.map_err(ProposeError::Unavailable)? {
            Response::Status(status) => Ok(*status),
            other => Err(ProposeError::Unavailable(unexpected(&other))),
        }
    }
}

impl Inner {
    /// Asks whoever leads, until one answers or the time is over.
    async fn ask_leader(self: &Arc<Self>, request: Request) -> Result<Response, ProposeError> {
        let Some(running) = self.engine.get() else {
            let why = "this node has not joined a cluster yet".to_owned();
            return Err(ProposeError::Unavailable(why));
        };
        let deadline = Instant::now() + self.timings.propose;
        let mut changes = running.raft.server_metrics();
        let mut why = "no controller is known".to_owned();
        let mut hint = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let patience = self.timings.propose;
                let why = format!("no controller took it within {patience:?}: {why}");
                return Err(ProposeError::Unavailable(why));
            }
            let hinted = hint.take();
            let was_hinted = hinted.is_some();
            if let Some(leader) = hinted.or_else(|| leader_of(running)) {
                let patience = left.min(self.timings.call);
                match self.ask_either(running, leader, &request, patience).await {
                    Ok(Response::NotLeader(other)) => {
                        why = format!("node {} does not lead", leader.node());
                        hint = other.filter(|other| *other != leader && !was_hinted);
                    }
                    Ok(Response::Failed(told)) | Err(told) => {
                        why = format!("node {}: {told}", leader.node());
                    }
                    Ok(answer) => return Ok(answer),
                }
            }
            if hint.is_none() {
                self.pause(&mut changes, left).await?;
            }
        }
    }

    /// Asks this node itself, or another one.
    async fn ask_either(
        self: &Arc<Self>,
        running: &Running,
        node: RaftId,
        request: &Request,
        patience: Duration,
    ) -> Result<Response, String> {
        if node == running.me {
            let answer = self.answer(node, self.boot, request.clone());
            return tokio::time::timeout(patience, answer)
                .await
                .map_err(|_| "no quorum in time".to_owned());
        }
        self.ask(node, request, patience).await
    }

    /// Asks another node.
    pub(crate) async fn ask(
        &self,
        node: RaftId,
        request: &Request,
        patience: Duration,
    ) -> Result<Response, String> {
        let call = self.seams.network.call(node, request.encode(), patience);
        let answer = tokio::time::timeout(patience, call).await;
        let bytes: Bytes = match answer {
            Ok(answer) => answer.map_err(|error| error.to_string())?,
            Err(_) => return Err("no answer in time".to_owned()),
        };
        Response::decode(bytes).map_err(|error| error.to_string())
    }

    /// Waits for a better time to ask again: until something has changed here, but not for long.
    async fn pause(&self, changes: &mut ServerMetrics, left: Duration) -> Result<(), ProposeError> {
        let moment = left.min(self.timings.heartbeat / 2);
        let changed = tokio::time::timeout(moment, changes.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            let why = "the agreement has stopped on this node".to_owned();
            return Err(ProposeError::Unavailable(why));
        }
        Ok(())
    }

    async fn catch_up(&self, index: u64) -> Result<(), ProposeError> {
        if self.wait_applied(index, self.timings.propose).await {
            return Ok(());
        }
        let why = format!("it is agreed on, but this node has not heard of entry {index} yet");
        Err(ProposeError::Unavailable(why))
    }
}

fn unexpected(response: &Response) -> String {
    format!("an answer to another question: {response:?}")
}
