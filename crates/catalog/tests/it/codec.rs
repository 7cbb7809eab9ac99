//! Bytes: what is written is read, and nothing else is.

use std::sync::Arc;

use catalog::{Catalog, Command, Outcome, RaftId, Refusal, decode_result, encode_result};
use expect_test::expect;
use model::{Incarnation, NodeId, Site, Slot};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::any::command;
use crate::clusters::{CLUSTER, cluster, create, fence, register, start, storage, taken, topic_id};

/// A catalog with something of everything.
fn full() -> Catalog {
    let mut catalog = cluster(3);
    let mut racked = start(9, 109);
    racked.rack = Some("r1".to_owned());
    taken(&mut catalog, &register(racked));
    taken(&mut catalog, &create(1, "orders", 3));
    taken(&mut catalog, &create(2, "gone", 1));
    taken(&mut catalog, &Command::DeleteTopic { id: topic_id(2) });
    let remove = Command::RemoveNode {
        id: NodeId(2),
        lose_partitions: true,
    };
    taken(&mut catalog, &remove);
    let down = fence(&catalog, 1, true);
    taken(&mut catalog, &down);
    taken(&mut catalog, &Command::TakeProducerIds { count: 1_000 });
    let user = catalog::User {
        name: "ann".to_owned(),
        credential: vec![1, 2, 3],
    };
    taken(&mut catalog, &Command::PutUser(user));
    let rule = catalog::AclEntry {
        principal: "ann".to_owned(),
        operation: catalog::Operation::Write,
        resource: catalog::Resource::Topic("o*".to_owned()),
        effect: catalog::Effect::Allow,
    };
    taken(&mut catalog, &Command::PutAcl(rule));
    catalog
}

fn results() -> Vec<Result<Outcome, Refusal>> {
    let catalog = full();
    let topic = Arc::clone(catalog.topics().next().unwrap());
    let (id, address) = (NodeId(700), "h:1".to_owned());
    let (registered, given) = (storage(1), storage(2));
    let registration = Outcome::Registered {
        cluster: CLUSTER,
        id,
        raft_id: RaftId::new(id, 3),
        slot: Slot(9),
        incarnation: Incarnation(300),
    };
    vec![
        Ok(Outcome::Done),
        Ok(registration),
        Ok(Outcome::Topic(topic)),
        Ok(Outcome::ProducerIds {
            first: u64::MAX,
            count: u32::MAX,
        }),
        Err(Refusal::Founding),
        Err(Refusal::OtherCluster {
            theirs: CLUSTER,
            ours: CLUSTER,
        }),
        Err(Refusal::IdTaken(id, address.clone())),
        Err(Refusal::OtherDisk {
            id,
            registered,
            given,
        }),
        Err(Refusal::OtherId { registered: id }),
        Err(Refusal::OldCopy(id)),
        Err(Refusal::AlreadyRunning(id, address.clone())),
        Err(Refusal::Removed(id)),
        Err(Refusal::DiskForgotten(id)),
        Err(Refusal::Running(id)),
        Err(Refusal::LastNode(id)),
        Err(Refusal::SiteFull("01xx".parse().unwrap())),
        Err(Refusal::SiteFull(Site::EVERYWHERE)),
        Err(Refusal::UnknownNode(id)),
        Err(Refusal::Stale),
        Err(Refusal::HoldsPartitions { id, partitions: 12 }),
        Err(Refusal::HoldsGroups(id)),
        Err(Refusal::TopicExists("t".to_owned())),
        Err(Refusal::UnknownTopic),
        Err(Refusal::Partitions(0)),
        Err(Refusal::Replication(3)),
        Err(Refusal::Mode),
        Err(Refusal::NoPlace),
        Err(Refusal::InvalidPartition),
        Err(Refusal::Invalid("no".to_owned())),
        Err(Refusal::Limit(address)),
    ]
}

#[test]
fn every_result_reads_back() {
    for result in results() {
        assert_eq!(decode_result(&encode_result(&result)), Ok(result));
    }
}

/// What was written once is read for ever.
#[test]
fn bytes_of_a_command() {
    let hex = |command: &Command| -> String {
        command
            .encode()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    expect!["010707070707070707070707070707070707066f7264657273ac02010000000000d00f00"]
        .assert_eq(&hex(&create(7, "orders", 300)));
    expect!["01020010787878787878787878787878787878780101010101010101010101010101010165656565656565656565656565656565000b686f73742d313a373934360b686f73742d313a373037300000e807"].assert_eq(&hex(&register(start(1, 101))));
}

#[test]
fn bytes_of_a_catalog() {
    let catalog = full();
    assert_eq!(Catalog::decode(&catalog.encode()).as_ref(), Ok(&catalog));
    expect!["321 bytes, e9d5b0612e50c08d"].assert_eq(&format!(
        "{} bytes, {:016x}",
        catalog.encode().len(),
        catalog.fingerprint()
    ));
}

#[test]
fn nothing_is_read_from_bytes_that_are_cut_or_go_on() {
    let catalog = full().encode();
    for end in 0..catalog.len() {
        assert!(Catalog::decode(&catalog[..end]).is_err(), "{end}");
    }
    assert!(Catalog::decode(&[catalog, vec![0]].concat()).is_err());
    for result in results() {
        let bytes = encode_result(&result);
        for end in 0..bytes.len() {
            assert!(decode_result(&bytes[..end]).is_err(), "{result:?} {end}");
        }
        assert!(decode_result(&[bytes, vec![0]].concat()).is_err());
    }
}

/// Bytes that are read are the only ones of their value: a flipped bit is another value or none.
#[test]
fn flipped_bits() {
    let bytes = full().encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(catalog) = Catalog::decode(&flipped) {
            assert_eq!(catalog.encode(), flipped, "bit {bit}");
        }
    }
}

#[test]
fn a_catalog_in_which_two_nodes_have_one_disk_is_none() {
    let mut bytes = full().encode();
    let disk = storage(9);
    let at = bytes.windows(16).position(|id| id == disk.as_bytes());
    bytes[at.unwrap()..][..16].copy_from_slice(storage(1).as_bytes());
    assert!(Catalog::decode(&bytes).is_err());
}

#[test]
fn a_partition_that_lies_on_a_node_twice_is_none() {
    let mut topic = catalog::Topic::clone(full().topics().next().unwrap());
    let mut partition = catalog::PartitionState::clone(&topic.partitions[0]);
    partition.replicas = vec![partition.replicas[0]; 2];
    topic.partitions[0] = Arc::new(partition);
    let bytes = encode_result(&Ok(Outcome::Topic(Arc::new(topic))));
    assert!(decode_result(&bytes).is_err());
}

#[test]
fn what_is_not_a_command() {
    let name = |bytes: &[u8]| [&[1, 13], bytes].concat();
    let producer_ids = |number: &[u8]| [&[1, 11], number].concat();
    let cases: Vec<(&str, Vec<u8>, usize)> = vec![
        ("nothing", vec![], 0),
        ("another version", vec![2, 11, 1], 0),
        ("an unknown kind", vec![1, 0], 2),
        ("an unknown kind", vec![1, 16], 2),
        (
            "a number in more bytes than it needs",
            producer_ids(&[0x81, 0]),
            4,
        ),
        (
            "a number that is too large",
            producer_ids(&[0xFF, 0xFF, 0xFF, 0xFF, 0x10]),
            7,
        ),
        ("a number without end", producer_ids(&[0xFF; 11]), 12),
        (
            "a number of 65 bits",
            producer_ids(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]),
            12,
        ),
        (
            "a text that is longer than what is there",
            name(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
            10,
        ),
        ("a text that is none", name(&[1, 0xFF]), 4),
        (
            "too long a command",
            [name(&[0x80, 0x80, 4]), vec![b'x'; 1 << 16]].concat(),
            0,
        ),
    ];
    for (what, bytes, at) in cases {
        assert_eq!(
            Command::decode(&bytes).map_err(|error| error.at),
            Err(at),
            "{what}"
        );
    }
    assert!(Command::decode(&producer_ids(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F])).is_ok());
}

proptest! {
    #[test]
    fn every_command_reads_back(command in command()) {
        prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
    }

    #[test]
    fn a_command_has_one_encoding(command in command(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = command.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Command::decode(&bytes) {
            prop_assert_ne!(&other, &command);
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..200), kind in 1..16u8) {
        let bytes = [&[1, kind], &bytes[..]].concat();
        if let Ok(command) = Command::decode(&bytes) {
            prop_assert_eq!(command.encode(), bytes);
        }
    }
}
