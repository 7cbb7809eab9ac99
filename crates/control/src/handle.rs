//! Answers to what the controls of other nodes ask.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Command, RaftId, Registration};
use model::{BootId, limits};
use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};

use crate::control::{Inner, Running};
use crate::engine::{Proposal, Snapshot, Vote};
use crate::incoming::{Incoming, Progress};
use crate::rpc::{Request, Response, SnapshotChunk};
use crate::runtime::compute;
use crate::{Control, Status, snapshot};

/// How long the holder of an id has to show that it lives.
const WHO_PATIENCE: Duration = Duration::from_millis(500);

impl Control {
    /// Answers a request of another node's control. `from`, and that it is its start `boot` that asks,
    /// must be proven, by the connection.
    pub async fn handle(&self, from: RaftId, boot: BootId, request: Bytes) -> Bytes {
        let response = match Request::decode(request) {
            Ok(request) => self.inner.answer(from, boot, request).await,
            Err(error) => Response::Failed(error.to_string()),
        };
        response.encode()
    }
}

impl Inner {
    pub(crate) async fn answer(
        self: &Arc<Self>,
        from: RaftId,
        boot: BootId,
        request: Request,
    ) -> Response {
        match &request {
            Request::Who => return Response::ItIs(self.boot),
            Request::Status => return Response::Status(Box::new(Status::of(self))),
            _ => {}
        }
        let Some(running) = self.engine.get() else {
            return Response::Failed("this node has not joined a cluster yet".to_owned());
        };
        if let Some(vote) = request.vote()
            && let Some(refusal) = self.suspect(running, from, boot, vote).await
        {
            tracing::error!(%refusal, from = from.0, "a request for the agreement is refused");
            return Response::Failed(refusal);
        }
        self.scope
            .run(self.answer_member(running, from, request))
            .await
    }

    /// Why a vote cannot be that of the node that sends it, or must not be answered by this process.
    async fn suspect(
        self: &Arc<Self>,
        running: &Running,
        from: RaftId,
        boot: BootId,
        vote: &Vote,
    ) -> Option<String> {
        if let Some(impossible) = impossible(running, from, vote) {
            return Some(impossible);
        }
        let (theirs, ours) = futures_util::join!(
            self.is_twin(from, boot),
            self.is_twin(running.me, self.boot)
        );
        let twin = [(theirs, from), (ours, running.me)]
            .into_iter()
            .find_map(|(is_twin, node)| is_twin.then_some(node.node()))?;
        Some(format!(
            "node {twin} runs already, and this is another process on a copy of its data directory"
        ))
    }

    async fn answer_member(&self, running: &Running, from: RaftId, request: Request) -> Response {
        let raft = &running.raft;
        match request {
            Request::Append(request) => {
                reply(raft.append_entries(request).await, Response::Appended)
            }
            Request::Vote(request) => reply(raft.vote(request).await, Response::Voted),
            Request::PreVote(request) => reply(raft.pre_vote(request).await, Response::Voted),
            Request::Snapshot(chunk) => self.take_chunk(running, from, chunk).await,
            Request::Transfer(request) => {
                *self.transfer_seen.lock() = Some(self.seams.clock.now());
                match raft.handle_transfer_leader(request).await {
                    Ok(Ok(())) => Response::Noted,
                    Ok(Err(error)) => Response::Failed(error.to_string()),
                    Err(error) => Response::Failed(error.to_string()),
                }
            }
            Request::Propose(proposal) => self.take_proposal(running, proposal).await,
            Request::Read => self.confirm_lead(running).await,
            Request::Who | Request::Status => Response::Failed("asked already".to_owned()),
        }
    }

    async fn take_chunk(&self, running: &Running, from: RaftId, chunk: SnapshotChunk) -> Response {
        let vote = running.raft.server_metrics().borrow_watched().vote;
        if chunk.vote < vote {
            // Of a leader that was replaced, which learns it now and not after the last part.
            return Response::SnapshotInstalled(vote);
        }
        let now = self.seams.clock.now();
        let progress = Incoming::take(&mut self.incoming.lock(), now, from, &chunk);
        let contents = match progress {
            Progress::Next(offset) => return Response::SnapshotNext(offset),
            Progress::Damaged => return Response::Failed("the snapshot is damaged".to_owned()),
            Progress::Whole(contents) => contents,
        };
        let read = compute(|| snapshot::decode_contents(contents.clone()));
        if let Err(error) = read {
            return Response::Failed(format!("the snapshot cannot be read: {error}"));
        }
        let snapshot = Snapshot {
            meta: chunk.meta,
            snapshot: contents,
        };
        let installed = running.raft.install_full_snapshot(chunk.vote, snapshot);
        reply(installed.await, |response| {
            Response::SnapshotInstalled(response.vote)
        })
    }

    async fn take_proposal(&self, running: &Running, proposal: Proposal) -> Response {
        if leader_of(running) != Some(running.me) {
            return Response::NotLeader(leader_of(running));
        }
        let proposal = match self.complete(running, proposal).await {
            Ok(proposal) => proposal,
            Err(answer) => return answer,
        };
        let write = running.raft.client_write(proposal);
        let Ok(written) = tokio::time::timeout(self.timings.call, write).await else {
            return Response::Failed("no quorum in time".to_owned());
        };
        match written {
            Ok(response) => match response.data {
                Some(result) => Response::Proposed(response.log_id.index, result),
                None => Response::Failed("the entry carried no command".to_owned()),
            },
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Response::NotLeader(forward.leader_id.map(RaftId))
            }
            Err(error) => Response::Failed(error.to_string()),
        }
    }

    /// Fills in what only the controller can know, or answers at once: when it does not know it now, or
    /// when nobody must get this into the log.
    async fn complete(&self, running: &Running, proposal: Proposal) -> Result<Proposal, Response> {
        let Ok(command) = Command::decode(&proposal.command) else {
            return Err(Response::Failed("the command cannot be read".to_owned()));
        };
        if let Some(refusal) = self.objection(running, &command) {
            // Of no position: a refusal waits for none.
            return Err(Response::Proposed(0, Err(refusal)));
        }
        let Command::Register(mut registration) = command else {
            return Ok(proposal);
        };
        let is_alive = self.holder_is_alive(running.me, &registration).await;
        registration.holder_is_alive = is_alive.map_err(Response::Failed)?;
        registration.at = self.seams.clock.wall();
        Ok(Proposal {
            command: Command::Register(registration).encode().into(),
            ..proposal
        })
    }

    /// Whether the process that holds the wanted id, or the same disk, still runs. Membership may not
    /// have noticed yet that it ended, so it is asked who it is. One that does not answer may be either;
    /// whoever registers asks again, and membership will know.
    async fn holder_is_alive(
        &self,
        me: RaftId,
        registration: &Registration,
    ) -> Result<bool, String> {
        let catalog = self.views.catalog.borrow().clone();
        let of_disk = || {
            catalog
                .nodes()
                .find(|node| node.storage == registration.storage)
        };
        let holder = match registration.id {
            Some(id) => catalog.node(id),
            None => of_disk(),
        };
        let Some(holder) = holder.filter(|holder| holder.boot != registration.boot) else {
            return Ok(false);
        };
        if holder.raft_id() == me {
            return Ok(registration.boot != self.boot);
        }
        let members = self.seams.liveness.members();
        let seen = members.iter().find(|(id, _)| *id == holder.id);
        // Membership that has just begun has not met everybody: only what it says counts, or, where it
        // says nothing, what the controller has made of that.
        if seen.is_some_and(|(_, is)| !is.alive) {
            return Ok(false);
        }
        match self
            .ask(holder.raft_id(), &Request::Who, WHO_PATIENCE)
            .await
        {
            Ok(Response::ItIs(boot)) => Ok(boot == holder.boot),
            _ if seen.is_none() && holder.fenced => Ok(false),
            _ => Err(format!(
                "whether node {} at {} still runs is not known yet",
                holder.id, holder.addresses.peer
            )),
        }
    }

    /// From where on a read sees everything, after a quorum has said that this node still leads.
    async fn confirm_lead(&self, running: &Running) -> Response {
        if leader_of(running) != Some(running.me) {
            return Response::NotLeader(leader_of(running));
        }
        let read = running.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        let Ok(read) = tokio::time::timeout(self.timings.call, read).await else {
            return Response::Failed("no quorum in time".to_owned());
        };
        match read {
            Ok(linearizer) => Response::ReadFrom(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Response::NotLeader(forward.leader_id.map(RaftId))
            }
            Err(error) => Response::Failed(error.to_string()),
        }
    }
}

/// Why nobody would send such a vote.
fn impossible(running: &Running, from: RaftId, vote: &Vote) -> Option<String> {
    let named = vote.leader_id.node_id;
    if named != from.0 {
        return Some(format!("node {} speaks for {named}", from.0));
    }
    let term = running.raft.metrics().borrow_watched().current_term;
    let asked = vote.leader_id.term;
    (asked > term.saturating_add(limits::TERM_AHEAD_MAX))
        .then(|| format!("term {asked} is impossibly far ahead of {term}"))
}

/// Who leads, as far as this node knows.
pub(crate) fn leader_of(running: &Running) -> Option<RaftId> {
    let metrics = running.raft.server_metrics();
    let leader = metrics.borrow_watched().current_leader;
    leader.map(RaftId)
}

fn reply<T, E: std::fmt::Display>(
    outcome: Result<T, E>,
    respond: impl FnOnce(T) -> Response,
) -> Response {
    match outcome {
        Ok(answer) => respond(answer),
        Err(error) => Response::Failed(error.to_string()),
    }
}
