//! What is too large is refused, and a refusal changes nothing.

use std::time::Duration;

use bytes::Bytes;
use groups::{
    Answer, Assigns, Commit, CommitRequest, Coordinator, Error, Input, Join, Options, Output,
    Request, Restoring, Token,
};
use model::limits::{
    COMMIT_METADATA_BYTES_MAX, GROUP_BYTES_MAX, GROUP_MEMBER_BYTES_MAX,
    GROUP_PROTOCOLS_PER_MEMBER_MAX, GROUP_TOPICS_PER_MEMBER_MAX,
};
use model::{Instant, Offset, PartitionId, PartitionIndex, TopicId};

fn coordinator() -> Coordinator {
    Restoring::new().start(Instant::ZERO, Options::default(), 1, [])
}

/// The answer to `request`, with a disk that never fails.
fn ask(coordinator: &mut Coordinator, request: Request) -> Option<Result<Answer, Error>> {
    coordinator.handle(
        Instant::ZERO,
        Input::Request {
            token: Token(1),
            request,
        },
    );
    let mut answer = None;
    while let Some(output) = coordinator.poll() {
        match output {
            Output::Persist { ticket, .. } => {
                coordinator.handle(Instant::ZERO, Input::Persisted { ticket });
            }
            Output::Reply { result, .. } => answer = Some(result),
        }
    }
    answer
}

fn join(client: &str, assigns: Assigns) -> Request {
    Request::Join(Join {
        group: "g".parse().unwrap(),
        member: None,
        instance: None,
        client: client.into(),
        host: "".into(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::MAX,
        assigns,
        member_id_required: false,
    })
}

fn by_client(protocols: usize, bytes: usize) -> Assigns {
    let protocol = |number: usize| (format!("p{number}").into(), Bytes::from(vec![0; bytes]));
    Assigns::ByClient {
        protocol_type: "consumer".into(),
        protocols: (0..protocols).map(protocol).collect(),
        topics: [].into(),
    }
}

#[test]
fn oversized_joins_are_refused() {
    let topics = |count: usize| Assigns::ByServer {
        topics: (0..count)
            .map(|number| format!("t{number}").parse().unwrap())
            .collect(),
    };
    let long_name = "x".repeat(GROUP_MEMBER_BYTES_MAX);
    let cases = [
        (join("c", topics(GROUP_TOPICS_PER_MEMBER_MAX)), None),
        (
            join("c", topics(GROUP_TOPICS_PER_MEMBER_MAX + 1)),
            Some(Error::TooLarge),
        ),
        (
            join("c", by_client(GROUP_PROTOCOLS_PER_MEMBER_MAX, 0)),
            None,
        ),
        (
            join("c", by_client(GROUP_PROTOCOLS_PER_MEMBER_MAX + 1, 0)),
            Some(Error::TooLarge),
        ),
        (
            join("c", by_client(1, GROUP_MEMBER_BYTES_MAX)),
            Some(Error::TooLarge),
        ),
        (join(&long_name, topics(1)), Some(Error::TooLarge)),
        (
            join("c", by_client(0, 0)),
            Some(Error::InconsistentProtocol),
        ),
    ];
    for (request, expected) in cases {
        let mut coordinator = coordinator();
        let answer = ask(&mut coordinator, request).unwrap();
        assert_eq!(answer.err(), expected);
        if expected.is_some() {
            assert_eq!(
                ask(&mut coordinator, Request::List),
                Some(Ok(Answer::List(vec![])))
            );
            assert_eq!(coordinator.deadline(), None);
        }
    }
}

#[test]
fn a_group_takes_members_up_to_its_bytes() {
    let mut coordinator = coordinator();
    let bytes = GROUP_MEMBER_BYTES_MAX - 100;
    let mut taken = 0;
    while ask(&mut coordinator, join("c", by_client(1, bytes))) != Some(Err(Error::GroupFull)) {
        taken += 1;
    }
    assert_eq!(taken, GROUP_BYTES_MAX / (bytes + 23));
}

#[test]
fn a_long_note_is_refused_for_its_partition_alone() {
    let note = |length: usize| "x".repeat(length);
    let row = |index, length| {
        let topic = TopicId::from_bytes([1; 16]);
        let partition = PartitionId {
            topic,
            index: PartitionIndex(index),
        };
        let metadata = note(length).into();
        (
            partition,
            Commit {
                offset: Offset::ZERO,
                leader_epoch: None,
                metadata,
            },
        )
    };
    let offsets = vec![
        row(0, COMMIT_METADATA_BYTES_MAX + 1),
        row(1, COMMIT_METADATA_BYTES_MAX),
    ];
    let request = CommitRequest {
        group: "g".parse().unwrap(),
        fence: None,
        offsets,
    };
    let Some(Ok(Answer::Committed(rows))) = ask(&mut coordinator(), Request::Commit(request))
    else {
        panic!("the request as a whole is good");
    };
    let results: Vec<_> = rows.into_iter().map(|(_, result)| result).collect();
    assert_eq!(results, [Err(Error::MetadataTooLarge), Ok(())]);
}
