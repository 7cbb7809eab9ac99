use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::expect;
use openraft::vote::RaftLeaderId;
use proptest::prelude::*;

use super::*;
use crate::Role;
use crate::engine::{Entry, LeaderId, Payload, Position};

fn position(term: u64, index: u64) -> Position {
    Position {
        leader_id: LeaderId::new(term, 2),
        index,
    }
}

fn requests() -> Vec<Request> {
    let vote = Vote::new_committed(3, 2);
    let ask = VoteRequest {
        vote,
        last_log_id: Some(position(2, 8)),
        leadership_transfer: true,
    };
    let proposal = Proposal {
        id: [5; 16],
        command: Bytes::from_static(b"make a topic"),
    };
    let entry = |index, payload| Entry {
        log_id: position(3, index),
        payload,
    };
    vec![
        Request::Append(AppendEntriesRequest {
            vote,
            prev_log_id: Some(position(2, 8)),
            entries: vec![
                entry(9, Payload::Blank),
                entry(10, Payload::Normal(proposal.clone())),
            ],
            leader_commit: None,
        }),
        Request::Vote(ask.clone()),
        Request::PreVote(ask),
        Request::Snapshot(SnapshotChunk {
            vote,
            meta: SnapshotMeta::default(),
            checksum: 7,
            length: 9,
            offset: 4,
            bytes: Bytes::from_static(b"parts"),
        }),
        Request::Transfer(TransferLeaderRequest::new(vote, 9, Some(position(3, 10)))),
        Request::Propose(proposal),
        Request::Read,
        Request::Who,
        Request::Status,
    ]
}

fn responses() -> Vec<Response> {
    let vote = Vote::new(3, 2);
    vec![
        Response::Failed("no".to_owned()),
        Response::Appended(AppendEntriesResponse::Success),
        Response::Appended(AppendEntriesResponse::PartialSuccess(Some(position(1, 1)))),
        Response::Appended(AppendEntriesResponse::Conflict),
        Response::Appended(AppendEntriesResponse::HigherVote(vote)),
        Response::Voted(VoteResponse::new(vote, Some(position(1, 1)), true)),
        Response::SnapshotNext(17),
        Response::SnapshotInstalled(vote),
        Response::Noted,
        Response::Proposed(11, Ok(Outcome::Done)),
        Response::Proposed(12, Err(Refusal::NoPlace)),
        Response::ReadFrom(13),
        Response::ItIs(BootId::from_bytes([3; 16])),
        Response::Status(Box::new(status())),
        Response::NotLeader(Some(RaftId(4))),
        Response::NotLeader(None),
    ]
}

fn status() -> Status {
    Status {
        me: Some(RaftId(1)),
        role: Role::Leader,
        term: 4,
        controller: Some(RaftId(1)),
        voters: BTreeSet::from([RaftId(1), RaftId(2)]),
        learners: BTreeSet::from([RaftId(3)]),
        settled: true,
        last: Some(10),
        committed: Some(9),
        applied: Some(8),
        snapshot: None,
        purged: None,
        quorum_heard: Some(Duration::from_millis(40)),
        revision: 5,
        fingerprint: 6,
        failure: Some("why".to_owned()),
    }
}

#[test]
fn everything_reads_back_and_nothing_reads_cut() {
    for request in requests() {
        let bytes = request.encode();
        let again = Request::decode(bytes.clone()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{request:?}"));
        for cut in 0..bytes.len() {
            assert!(Request::decode(bytes.slice(..cut)).is_err(), "{request:?}");
        }
    }
    for response in responses() {
        let bytes = response.encode();
        let again = Response::decode(bytes.clone()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{response:?}"));
        for cut in 0..bytes.len() {
            assert!(
                Response::decode(bytes.slice(..cut)).is_err(),
                "{response:?}"
            );
        }
    }
}

#[test]
fn a_vote_request_byte_for_byte() {
    let hex: String = requests()[1]
        .encode()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    expect![
        "02000000000000000300000000000000020101000000000000000200000000000000020000000000000008\
        01"
    ]
    .assert_eq(&hex);
}

#[test]
fn entries_that_do_not_follow_each_other_are_refused() {
    let Request::Append(mut append) = requests().remove(0) else {
        unreachable!("the first is an append");
    };
    append.entries[1].log_id.index = 11;
    assert!(Request::decode(Request::Append(append.clone()).encode()).is_err());
    append.entries.remove(0);
    assert!(Request::decode(Request::Append(append).encode()).is_err());
}

#[test]
fn a_snapshot_beyond_the_limit_is_refused() {
    let Request::Snapshot(mut chunk) = requests().remove(3) else {
        unreachable!("the fourth is a snapshot");
    };
    chunk.length = limits::SNAPSHOT_BYTES_MAX as u64 + 1;
    assert!(Request::decode(Request::Snapshot(chunk.clone()).encode()).is_err());
    chunk.length = 8;
    assert!(Request::decode(Request::Snapshot(chunk).encode()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        kind in 0..12u8,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = bytes;
        bytes.insert(0, kind);
        let bytes = Bytes::from(bytes);
        let _ = Request::decode(bytes.clone());
        let _ = Response::decode(bytes);
    }

    #[test]
    fn a_flipped_bit_never_panics(at in 0..200usize, bit in 0..8u8, which in 0..9usize) {
        let mut bytes = requests()[which].encode().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = Request::decode(bytes.into());
    }
}
