use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::codec::unseal;

fn position() -> impl Strategy<Value = Position> {
    (0..9u64, any::<u64>(), 0..=limits::LOG_POSITION_MAX).prop_map(|(term, node, index)| Position {
        leader_id: LeaderId::new(term, node),
        index,
    })
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let command = proptest::collection::vec(any::<u8>(), 0..40);
    let normal = (any::<[u8; 16]>(), command).prop_map(|(id, command)| {
        EntryPayload::Normal(Proposal {
            id,
            command: command.into(),
        })
    });
    let set = || proptest::collection::btree_set(0..9u64, 1..5);
    let members = (set(), set(), set()).prop_map(|(one, two, learners)| {
        let all = one.iter().chain(&two).chain(&learners);
        let nodes: BTreeMap<u64, EmptyNode> = all.map(|n| (*n, EmptyNode::new())).collect();
        EntryPayload::Membership(Membership::new(vec![one, two], nodes).unwrap())
    });
    let payload = prop_oneof![Just(EntryPayload::Blank), normal, members];
    (position(), payload).prop_map(|(log_id, payload)| Entry { log_id, payload })
}

proptest! {
    #[test]
    fn entries_read_back(entry in entry()) {
        let bytes = Writer::one(|w| { w.entry(&entry); });
        prop_assert_eq!(Reader::one(bytes.clone().into(), Reader::entry), Ok(entry));
        for cut in 0..bytes.len() {
            let cut = Bytes::copy_from_slice(&bytes[..cut]);
            prop_assert!(Reader::one(cut, Reader::entry).is_err());
        }
    }

    #[test]
    fn votes_and_memberships_read_back(
        position in proptest::option::of(position()),
        term in any::<u64>(),
        node in any::<u64>(),
        committed in any::<bool>(),
    ) {
        let vote = Vote { leader_id: LeaderId::new(term, node), committed };
        let bytes = Writer::one(|w| { w.vote(&vote); });
        prop_assert_eq!(Reader::one(bytes.into(), Reader::vote), Ok(vote));
        let stored = StoredMembership::new(position, Membership::default());
        let bytes = Writer::one(|w| { w.stored_membership(&stored); });
        prop_assert_eq!(Reader::one(bytes.into(), Reader::stored_membership), Ok(stored));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = Reader::one(bytes.clone(), Reader::entry);
        let _ = Reader::one(bytes.clone(), Reader::stored_membership);
        let _ = unseal(bytes.to_vec());
    }
}

#[test]
fn a_count_is_never_believed_beyond_the_bytes_there_are() {
    let mut bytes = vec![2; 25];
    bytes.extend([1, 0xFF, 0xFF, 0, 0, 0, 0]);
    assert!(Reader::one(bytes.into(), Reader::entry).is_err());
    let impossible = Position {
        leader_id: LeaderId::new(1, 1),
        index: limits::LOG_POSITION_MAX + 1,
    };
    let impossible = Writer::one(|w| {
        w.position(&impossible);
    });
    assert!(Reader::one(impossible.into(), Reader::position).is_err());
    let long = Writer::one(|w| {
        w.proposal(&Proposal {
            id: [0; 16],
            command: vec![0; limits::COMMAND_BYTES_MAX + 1].into(),
        });
    });
    assert!(Reader::one(long.into(), Reader::proposal).is_err());
}
