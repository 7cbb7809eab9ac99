//! The stored records: what is written is read back, and nothing else is taken for a record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use groups::{
    Assigner, Assignment, Assigns, Commit, DecodeError, Membership, StateRecord, StoredMember,
};
use model::{LeaderEpoch, Offset, PartitionId, PartitionIndex, TopicId, TopicName};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn partition() -> impl Strategy<Value = PartitionId> {
    let topic = prop_oneof![Just([0; 16]), any::<[u8; 16]>()].prop_map(TopicId::from_bytes);
    (topic, any::<u32>()).prop_map(|(topic, i)| PartitionId {
        topic,
        index: PartitionIndex(i),
    })
}

fn commit() -> impl Strategy<Value = Commit> {
    (0..=Offset::MAX.get(), option::of(any::<u32>()), ".{0,20}").prop_map(
        |(offset, epoch, note)| Commit {
            offset: Offset::new(offset).unwrap(),
            leader_epoch: epoch.map(LeaderEpoch),
            metadata: note.into(),
        },
    )
}

fn topics() -> impl Strategy<Value = BTreeSet<TopicName>> {
    btree_set("[a-z]{1,9}".prop_map(|name| name.parse().unwrap()), 0..4)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn text() -> impl Strategy<Value = Arc<str>> {
    ".{0,9}".prop_map(Arc::from)
}

fn assigns() -> impl Strategy<Value = Assigns> {
    prop_oneof![
        topics().prop_map(|topics| Assigns::ByServer { topics }),
        (text(), vec((text(), bytes()), 0..3), topics()).prop_map(
            |(protocol_type, protocols, topics)| Assigns::ByClient {
                protocol_type,
                protocols,
                topics
            }
        ),
    ]
}

fn assignment() -> impl Strategy<Value = Assignment> {
    prop_oneof![
        Just(Assignment::None),
        bytes().prop_map(Assignment::Opaque),
        btree_set(partition(), 0..6)
            .prop_map(|set| Assignment::Partitions(set.into_iter().collect())),
    ]
}

fn member() -> impl Strategy<Value = StoredMember> {
    let names = (".{1,9}", option::of(".{1,9}"), text(), text());
    (names, any::<u32>(), any::<u32>(), assigns(), assignment()).prop_map(
        |((id, instance, client, host), session, rebalance, assigns, assignment)| StoredMember {
            member: id.parse().unwrap(),
            instance: instance.map(|name| name.parse().unwrap()),
            client,
            host,
            session_timeout: Duration::from_millis(session.into()),
            rebalance_timeout: Duration::from_millis(rebalance.into()),
            assigns,
            assignment,
        },
    )
}

fn membership() -> impl Strategy<Value = Membership> {
    let assigner = prop::sample::select(vec![
        Assigner::Nobody,
        Assigner::Leader,
        Assigner::Coordinator,
    ]);
    let agreed = (text(), option::of(text()), option::of(".{1,9}"));
    (any::<u32>(), assigner, agreed, vec(member(), 0..4)).prop_map(
        |(generation, assigner, (protocol_type, protocol, leader), members)| Membership {
            generation,
            assigner,
            protocol_type,
            protocol,
            leader: leader.map(|name| name.parse().unwrap()),
            members,
        },
    )
}

fn record() -> impl Strategy<Value = StateRecord> {
    prop_oneof![
        (".{1,30}", partition(), option::of(commit())).prop_map(|(group, partition, value)| {
            StateRecord::Commit {
                group: group.parse().unwrap(),
                partition,
                value,
            }
        }),
        (".{1,30}", option::of(membership())).prop_map(|(group, value)| StateRecord::Membership {
            group: group.parse().unwrap(),
            value: value.map(Arc::new),
        }),
    ]
}

proptest! {
    #[test]
    fn a_record_reads_back_what_it_writes(record in record()) {
        let (key, value) = (record.key(), record.value());
        prop_assert_eq!(StateRecord::decode(&key, value.as_deref()), Ok(record));
    }

    #[test]
    fn a_record_cut_short_or_lengthened_is_refused(record in record(), cut in any::<prop::sample::Index>()) {
        let (key, value) = (record.key(), record.value());
        let short = &key[..cut.index(key.len())];
        prop_assert!(StateRecord::decode(short, value.as_deref()).is_err());
        if let Some(value) = value {
            prop_assert!(StateRecord::decode(&key, Some(&value[..cut.index(value.len())])).is_err());
            let long = [&value[..], &[0]].concat();
            prop_assert_eq!(StateRecord::decode(&key, Some(&long)), Err(DecodeError::LeftOver));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_but_never_panic(
        record in record(), noise in vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let key = record.key();
        let _ = StateRecord::decode(&noise, Some(&noise));
        let _ = StateRecord::decode(&key, Some(&noise));
        if let Some(value) = record.value() {
            let mut damaged = value.to_vec();
            damaged[at.index(value.len())] = byte;
            if let Ok(read) = StateRecord::decode(&key, Some(&damaged)) {
                // What is read can be written and read again.
                prop_assert_eq!(StateRecord::decode(&read.key(), read.value().as_deref()), Ok(read));
            }
        }
    }
}

#[test]
fn the_bytes_are_as_described() {
    let group = "g".parse().unwrap();
    let partition = PartitionId {
        topic: TopicId::from_bytes([0xaa; 16]),
        index: PartitionIndex(3),
    };
    let value = Commit {
        offset: Offset::new(258).unwrap(),
        leader_epoch: Some(LeaderEpoch(7)),
        metadata: "hi".into(),
    };
    let record = StateRecord::Commit {
        group,
        partition,
        value: Some(value),
    };
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    expect!["010000000167aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa00000003"].assert_eq(&hex(&record.key()));
    expect![
        "01000000000000010201000000070000000268\
             69"
    ]
    .assert_eq(&hex(&record.value().unwrap()));
}

#[test]
fn a_count_without_its_elements_is_cut_short() {
    let record = StateRecord::Membership {
        group: "g".parse().unwrap(),
        value: None,
    };
    // version, generation, assigner, protocol type, no protocol, no leader, four billion members
    let value = [&[1][..], &[0; 4], &[0], &[0; 4], &[0], &[0], &[0xff; 4]].concat();
    assert_eq!(
        StateRecord::decode(&record.key(), Some(&value)),
        Err(DecodeError::Truncated)
    );
}

#[test]
fn another_version_is_not_guessed_at() {
    let record = StateRecord::Membership {
        group: "g".parse().unwrap(),
        value: None,
    };
    assert_eq!(
        StateRecord::decode(&record.key(), Some(&[2])),
        Err(DecodeError::UnknownKind)
    );
    assert_eq!(
        StateRecord::decode(&[9], None),
        Err(DecodeError::UnknownKind)
    );
    assert_eq!(StateRecord::decode(&[], None), Err(DecodeError::Truncated));
}
