//! The engine's way to other nodes, over the seam [`Network`].
//!
//! All that a leader sends passes a gate. A leader that hears no quorum closes it for a while: its signs
//! of life would otherwise keep the others from electing, although it can lead nobody.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use catalog::RaftId;
use model::limits;
use openraft::errors::{
    NetworkError as EngineNetworkError, RPCError, ReplicationClosed, StreamingError, Timeout,
    Unreachable,
};
use openraft::impls::EmptyNode;
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use tokio::time::Instant;

use crate::engine::{Engine, Snapshot, Vote};
use crate::quiet::{Roster, Signs};
use crate::rpc::{Request, Response, SnapshotChunk};
use crate::{Network, NetworkError};

/// Whether the leader of this node may speak.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Lets nothing more out, or everything again; says how it was before.
    pub(crate) fn close(&self, closed: bool) -> bool {
        self.0.swap(closed, Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many times the wait for any other answer the largest snapshot may take to be installed.
pub(crate) const INSTALL_PATIENCE: u32 = 15;

/// Makes the engine's way to each node.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub(crate) me: RaftId,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) gate: Gate,
    /// The longest wait for an answer to entries or to a part of a snapshot.
    pub(crate) patience: Duration,
    pub(crate) roster: Roster,
    /// How long a learner is not told again what it knows.
    pub(crate) rest: Duration,
}

impl RaftNetworkFactory<Engine> for Ways {
    type Network = Way;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Way {
        Way {
            to: RaftId(target),
            ways: self.clone(),
            signs: None,
        }
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &EmptyNode) -> Way {
        Way {
            signs: Some(Signs::new(self.rest)),
            ..self.new_client(target, node).await
        }
    }
}

/// The engine's way to one node.
#[derive(Debug)]
pub(crate) struct Way {
    to: RaftId,
    ways: Ways,
    /// When it is for signs of life only.
    signs: Option<Signs>,
}

impl Way {
    /// Asks, and sorts what went wrong into the engine's kinds.
    async fn ask(
        &self,
        request: &Request,
        action: RPCTypes,
        deadline: Duration,
    ) -> Result<Response, RPCError<Engine>> {
        let call = self.ways.network.call(self.to, request.encode(), deadline);
        let answer = match tokio::time::timeout(deadline, call).await {
            Ok(answer) => answer,
            Err(_) => Err(NetworkError::TimedOut),
        };
        let bytes = answer.map_err(|error| match error {
            NetworkError::Unreachable(why) => RPCError::Unreachable(Unreachable::from_string(why)),
            NetworkError::TimedOut => RPCError::Timeout(Timeout {
                action,
                id: self.ways.me.0,
                target: self.to.0,
                timeout: deadline,
            }),
        })?;
        match Response::decode(bytes) {
            Ok(Response::Failed(why)) => Err(failed(why)),
            Ok(response) => Ok(response),
            Err(error) => Err(failed(error)),
        }
    }

    fn pass_gate(&self) -> Result<(), RPCError<Engine>> {
        if self.ways.gate.is_closed() {
            let why = "this leader hears no quorum and keeps silent";
            return Err(RPCError::Unreachable(Unreachable::from_string(why)));
        }
        Ok(())
    }

    /// Keeps back a sign of life that a learner does not need. It counts as one that did not arrive: only
    /// an answer of the other counts as one.
    fn spare(&self, request: &AppendEntriesRequest<Engine>) -> Result<(), RPCError<Engine>> {
        let signs = self.signs.as_ref();
        if signs.is_some_and(|signs| signs.is_spare(&self.ways.roster, self.to, request)) {
            let why = "a learner that has confirmed this just now is not told again";
            return Err(RPCError::Unreachable(Unreachable::from_string(why)));
        }
        Ok(())
    }

    /// Sends the contents in parts, from where the other node wants them, until it has installed them.
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: &Snapshot,
    ) -> Result<SnapshotResponse<Engine>, RPCError<Engine>> {
        let checksum = crc32c::crc32c(&snapshot.snapshot);
        let mut offset = 0;
        // Every part twice and a few more: the other node may have to begin again, but not for ever.
        let parts = snapshot.snapshot.len() / limits::SNAPSHOT_CHUNK_BYTES;
        for _ in 0..2 * parts + 8 {
            self.pass_gate()?;
            let bytes = chunk(&snapshot.snapshot, offset);
            let length = snapshot.snapshot.len() as u64;
            let patience = match offset.saturating_add(bytes.len() as u64) >= length {
                true => self.ways.patience * install_patience(snapshot.snapshot.len()),
                false => self.ways.patience,
            };
            let request = Request::Snapshot(SnapshotChunk {
                vote,
                meta: snapshot.meta.clone(),
                checksum,
                length,
                offset,
                bytes,
            });
            match self
                .ask(&request, RPCTypes::InstallSnapshot, patience)
                .await?
            {
                Response::SnapshotNext(next) => offset = next,
                Response::SnapshotInstalled(vote) => return Ok(SnapshotResponse::new(vote)),
                other => return Err(unexpected(&other)),
            }
        }
        Err(failed("the snapshot does not get through"))
    }
}

/// How many times the wait for any other answer so many bytes may take: the last part is answered when all of
/// it is read and on the disk. Not more, for nothing else is sent there while an answer that is lost is waited for.
fn install_patience(length: usize) -> u32 {
    let share = limits::SNAPSHOT_BYTES_MAX / INSTALL_PATIENCE as usize;
    let more = u32::try_from(length / share).unwrap_or(u32::MAX);
    more.saturating_add(1).min(INSTALL_PATIENCE)
}

/// Up to a chunk's bytes from `offset` on.
fn chunk(contents: &Bytes, offset: u64) -> Bytes {
    let start = usize::try_from(offset).map_or(contents.len(), |at| at.min(contents.len()));
    let end = start.saturating_add(limits::SNAPSHOT_CHUNK_BYTES);
    contents.slice(start..end.min(contents.len()))
}

impl RaftNetworkV2<Engine> for Way {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Engine>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Engine>, RPCError<Engine>> {
        self.pass_gate()?;
        self.spare(&request)?;
        let begin = Instant::now();
        // A sign of life is worth nothing when it is late; entries need the time to reach the disk.
        let deadline = if request.entries.is_empty() {
            option.soft_ttl()
        } else {
            self.ways.patience
        };
        let asked = Request::Append(request.clone());
        match self.ask(&asked, RPCTypes::AppendEntries, deadline).await? {
            Response::Appended(response) => {
                if let (AppendEntriesResponse::Success, Some(signs)) = (&response, &mut self.signs)
                {
                    signs.note(&request, begin);
                }
                Ok(response)
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Engine>,
        option: RPCOption,
    ) -> Result<VoteResponse<Engine>, RPCError<Engine>> {
        let request = Request::Vote(request);
        match self
            .ask(&request, RPCTypes::Vote, option.soft_ttl())
            .await?
        {
            Response::Voted(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Engine>,
        option: RPCOption,
    ) -> Result<VoteResponse<Engine>, RPCError<Engine>> {
        let request = Request::PreVote(request);
        match self
            .ask(&request, RPCTypes::Vote, option.soft_ttl())
            .await?
        {
            Response::Voted(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Engine>, StreamingError<Engine>> {
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, &snapshot) => sent.map_err(StreamingError::from),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Engine>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Engine>, RPCError<Engine>> {
        let request = Request::Transfer(request);
        let deadline = option.soft_ttl();
        match self
            .ask(&request, RPCTypes::TransferLeader, deadline)
            .await?
        {
            Response::Noted => Ok(Ok(())),
            other => Err(unexpected(&other)),
        }
    }
}

fn failed(why: impl ToString) -> RPCError<Engine> {
    RPCError::Network(EngineNetworkError::from_string(why))
}

fn unexpected(response: &Response) -> RPCError<Engine> {
    failed(format!("an answer to another question: {response:?}"))
}
