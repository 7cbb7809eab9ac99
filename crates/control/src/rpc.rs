//! What the controls of two nodes say to each other: one request, one answer.
//!
//! The first byte is the kind; then, with the encodings of `codec`:
//!
//! | kind | request | |
//! |---|---|---|
//! | 1 | append | vote, previous position (optional), agreed position (optional), count `u32`, entries |
//! | 2, 3 | vote, pre-vote | vote, last position (optional), by transfer `u8` |
//! | 4 | snapshot | vote, position (optional) and membership, CRC-32C of all contents `u32`, their length `u64`, offset `u64`, `bytes` |
//! | 5 | transfer | vote, to node `u64`, last position (optional) |
//! | 6 | propose | proposal id 16 bytes, command `bytes` |
//! | 7 | read | |
//! | 8 | who | |
//! | 9 | status | |
//!
//! | kind | answer | |
//! |---|---|---|
//! | 0 | failed | reason `bytes` |
//! | 1 | appended | 0 all; 1 part: position (optional); 2 conflict; 3 higher vote: vote |
//! | 2 | voted | vote, granted `u8`, last position (optional) |
//! | 3 | snapshot goes on | next offset `u64` |
//! | 4 | snapshot installed | vote |
//! | 5 | taken note | |
//! | 6 | proposed | index `u64`, result `bytes` |
//! | 7 | read from | index `u64` |
//! | 8 | it is I | boot id 16 bytes |
//! | 9 | status | see `status` |
//! | 10 | not the leader | leader `u64` (optional) |

use bytes::Bytes;
use catalog::{Outcome, RaftId, Refusal};
use model::{BootId, limits};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};

use crate::Status;
use crate::codec::{DecodeError, Reader, Writer};
use crate::engine::{Engine, Proposal, SnapshotMeta, Vote};
use crate::snapshot::{read_meta, write_meta};

/// What one node asks of another.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Append(AppendEntriesRequest<Engine>),
    Vote(VoteRequest<Engine>),
    PreVote(VoteRequest<Engine>),
    Snapshot(SnapshotChunk),
    Transfer(TransferLeaderRequest<Engine>),
    /// Get a command into the log.
    Propose(Proposal),
    /// From which position on a read sees everything that was acknowledged before it.
    Read,
    /// Which start of the node is it that answers.
    Who,
    Status,
}

/// A part of a snapshot on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotChunk {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    /// CRC-32C of the whole contents.
    pub(crate) checksum: u32,
    /// Length of the whole contents.
    pub(crate) length: u64,
    /// Where these bytes belong.
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Response {
    Failed(String),
    Appended(AppendEntriesResponse<Engine>),
    Voted(VoteResponse<Engine>),
    SnapshotNext(u64),
    SnapshotInstalled(Vote),
    Noted,
    Proposed(u64, Result<Outcome, Refusal>),
    ReadFrom(u64),
    ItIs(BootId),
    Status(Box<Status>),
    NotLeader(Option<RaftId>),
}

impl Request {
    /// The vote under which it is made, when it is one of the engine's.
    pub(crate) fn vote(&self) -> Option<&Vote> {
        match self {
            Self::Append(request) => Some(&request.vote),
            Self::Vote(request) | Self::PreVote(request) => Some(&request.vote),
            Self::Snapshot(chunk) => Some(&chunk.vote),
            Self::Transfer(request) => Some(request.from_leader()),
            Self::Propose(_) | Self::Read | Self::Who | Self::Status => None,
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        match self {
            Self::Append(request) => write_append(w.u8(1), request),
            Self::Vote(request) => write_vote(w.u8(2), request),
            Self::PreVote(request) => write_vote(w.u8(3), request),
            Self::Snapshot(chunk) => write_chunk(w.u8(4), chunk),
            Self::Transfer(request) => {
                w.u8(5)
                    .vote(request.from_leader())
                    .u64(*request.to_node_id())
                    .position_or_none(request.last_log_id());
            }
            Self::Propose(proposal) => {
                w.u8(6).proposal(proposal);
            }
            Self::Read => {
                w.u8(7);
            }
            Self::Who => {
                w.u8(8);
            }
            Self::Status => {
                w.u8(9);
            }
        }
        w.finish().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Reader::one(bytes, |r| {
            let error = r.error();
            Ok(match r.u8()? {
                1 => Self::Append(read_append(r)?),
                2 => Self::Vote(read_vote(r)?),
                3 => Self::PreVote(read_vote(r)?),
                4 => Self::Snapshot(read_chunk(r)?),
                5 => Self::Transfer(TransferLeaderRequest::new(
                    r.vote()?,
                    r.u64()?,
                    r.position_or_none()?,
                )),
                6 => Self::Propose(r.proposal()?),
                7 => Self::Read,
                8 => Self::Who,
                9 => Self::Status,
                _ => return Err(error),
            })
        })
    }
}

impl Response {
    pub(crate) fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        match self {
            Self::Failed(why) => {
                w.u8(0).text(why);
            }
            Self::Appended(response) => write_appended(w.u8(1), response),
            Self::Voted(response) => {
                w.u8(2)
                    .vote(&response.vote)
                    .flag(response.vote_granted)
                    .position_or_none(response.last_log_id.as_ref());
            }
            Self::SnapshotNext(offset) => {
                w.u8(3).u64(*offset);
            }
            Self::SnapshotInstalled(vote) => {
                w.u8(4).vote(vote);
            }
            Self::Noted => {
                w.u8(5);
            }
            Self::Proposed(index, result) => {
                w.u8(6).u64(*index).bytes(&catalog::encode_result(result));
            }
            Self::ReadFrom(index) => {
                w.u8(7).u64(*index);
            }
            Self::ItIs(boot) => {
                w.u8(8).raw(boot.as_bytes());
            }
            Self::Status(status) => status.write(w.u8(9)),
            Self::NotLeader(leader) => {
                w.u8(10).option(*leader, |w, leader| {
                    w.u64(leader.0);
                });
            }
        }
        w.finish().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Reader::one(bytes, |r| {
            let error = r.error();
            Ok(match r.u8()? {
                0 => Self::Failed(r.text()?),
                1 => Self::Appended(read_appended(r)?),
                2 => Self::Voted(VoteResponse {
                    vote: r.vote()?,
                    vote_granted: r.flag()?,
                    last_log_id: r.position_or_none()?,
                }),
                3 => Self::SnapshotNext(r.u64()?),
                4 => Self::SnapshotInstalled(r.vote()?),
                5 => Self::Noted,
                6 => Self::Proposed(r.u64()?, read_result(r)?),
                7 => Self::ReadFrom(r.u64()?),
                8 => Self::ItIs(BootId::from_bytes(r.array()?)),
                9 => Self::Status(Box::new(Status::read(r)?)),
                10 => Self::NotLeader(r.option(Reader::u64)?.map(RaftId)),
                _ => return Err(error),
            })
        })
    }
}

fn write_append(w: &mut Writer, request: &AppendEntriesRequest<Engine>) {
    w.vote(&request.vote)
        .position_or_none(request.prev_log_id.as_ref())
        .position_or_none(request.leader_commit.as_ref())
        .u32(u32::try_from(request.entries.len()).unwrap_or(u32::MAX));
    for entry in &request.entries {
        w.entry(entry);
    }
}

/// The shortest entry: a position and its kind.
const ENTRY_BYTES_MIN: usize = 25;

fn read_append(r: &mut Reader) -> Result<AppendEntriesRequest<Engine>, DecodeError> {
    let vote = r.vote()?;
    let prev_log_id = r.position_or_none()?;
    let leader_commit = r.position_or_none()?;
    let count = r.u32()? as usize;
    let count = r.count(count, ENTRY_BYTES_MIN)?;
    let error = r.error();
    let entries = (0..count)
        .map(|_| r.entry())
        .collect::<Result<Vec<_>, _>>()?;
    let mut expected = prev_log_id.map_or(Some(0), |prev| prev.index.checked_add(1));
    for entry in &entries {
        if expected != Some(entry.log_id.index) {
            return Err(error);
        }
        expected = entry.log_id.index.checked_add(1);
    }
    Ok(AppendEntriesRequest {
        vote,
        prev_log_id,
        entries,
        leader_commit,
    })
}

fn write_vote(w: &mut Writer, request: &VoteRequest<Engine>) {
    w.vote(&request.vote)
        .position_or_none(request.last_log_id.as_ref())
        .flag(request.leadership_transfer);
}

fn read_vote(r: &mut Reader) -> Result<VoteRequest<Engine>, DecodeError> {
    Ok(VoteRequest {
        vote: r.vote()?,
        last_log_id: r.position_or_none()?,
        leadership_transfer: r.flag()?,
    })
}

fn write_chunk(w: &mut Writer, chunk: &SnapshotChunk) {
    w.vote(&chunk.vote);
    write_meta(w, &chunk.meta);
    w.u32(chunk.checksum)
        .u64(chunk.length)
        .u64(chunk.offset)
        .bytes(&chunk.bytes);
}

fn read_chunk(r: &mut Reader) -> Result<SnapshotChunk, DecodeError> {
    let vote = r.vote()?;
    let meta = read_meta(r)?;
    let error = r.error();
    let chunk = SnapshotChunk {
        vote,
        meta,
        checksum: r.u32()?,
        length: r.u64()?,
        offset: r.u64()?,
        bytes: r.bytes()?,
    };
    let end = chunk.offset.saturating_add(chunk.bytes.len() as u64);
    let fits = end <= chunk.length && chunk.length <= limits::SNAPSHOT_BYTES_MAX as u64;
    fits.then_some(chunk).ok_or(error)
}

fn write_appended(w: &mut Writer, response: &AppendEntriesResponse<Engine>) {
    match response {
        AppendEntriesResponse::Success => w.u8(0),
        AppendEntriesResponse::PartialSuccess(position) => {
            w.u8(1).position_or_none(position.as_ref())
        }
        AppendEntriesResponse::Conflict => w.u8(2),
        AppendEntriesResponse::HigherVote(vote) => w.u8(3).vote(vote),
    };
}

fn read_appended(r: &mut Reader) -> Result<AppendEntriesResponse<Engine>, DecodeError> {
    let error = r.error();
    Ok(match r.u8()? {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(r.position_or_none()?),
        2 => AppendEntriesResponse::Conflict,
        3 => AppendEntriesResponse::HigherVote(r.vote()?),
        _ => return Err(error),
    })
}

fn read_result(r: &mut Reader) -> Result<Result<Outcome, Refusal>, DecodeError> {
    let error = r.error();
    catalog::decode_result(&r.bytes()?).map_err(|_| error)
}

#[cfg(test)]
mod tests;
