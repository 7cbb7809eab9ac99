//! Any command, from pools so small that commands meet each other.

use std::time::Duration;

use catalog::{
    AclEntry, Addresses, Command, Effect, NodeState, Operation, Registration, Resource,
    TopicChanges, TopicSettings, User,
};
use model::{
    BootId, ClusterId, Incarnation, Mode, NodeId, PartitionId, PartitionIndex, Site, StorageId,
    Timestamp, TopicId,
};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;

/// One of the commands of a cluster that was founded.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => registration().prop_map(Command::Register),
        8 => create(),
        4 => of_nodes(),
        4 => of_topics(),
        1 => any::<u32>().prop_map(|count| Command::TakeProducerIds { count }),
        2 => of_access(),
        1 => any::<[u8; 16]>().prop_map(|id| Command::Found { cluster: ClusterId::from_bytes(id) }),
    ]
}

fn node() -> impl Strategy<Value = NodeId> {
    (0..6u16).prop_map(NodeId)
}

fn topic() -> impl Strategy<Value = TopicId> {
    (0..8u8).prop_map(|n| TopicId::from_bytes([n; 16]))
}

fn boot() -> impl Strategy<Value = BootId> {
    (0..6u8).prop_map(|n| BootId::from_bytes([n; 16]))
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..i64::MAX).prop_map(|millis| Timestamp::from_millis(millis).unwrap())
}

fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

fn registration() -> impl Strategy<Value = Registration> {
    let who = (of(node()), 0..8u8, boot(), vec(boot(), 0..3));
    let what = (
        "[a-z0-9:.]{0,20}",
        "[a-z0-9:.]{0,20}",
        of("[a-z]{1,3}"),
        weighted(0.2, Just(())),
    );
    let site = prop_oneof![Just("xxxxxxxxxxxxxxxx"), Just("1x"), Just("0x")];
    (who, what, site, time()).prop_map(
        |((id, disk, boot, known_boots), (peer, http, rack, alive), site, at)| Registration {
            id,
            site: site.parse::<Site>().unwrap(),
            storage: StorageId::from_bytes([disk; 16]),
            boot,
            known_boots,
            addresses: Addresses { peer, http },
            rack,
            holder_is_alive: alive.is_some(),
            at,
        },
    )
}

fn of_nodes() -> impl Strategy<Value = Command> {
    let state = prop_oneof![3 => Just(NodeState::Active), 1 => Just(NodeState::Draining)];
    prop_oneof![
        (node(), 0..4u64, any::<bool>()).prop_map(|(id, incarnation, fenced)| Command::Fence {
            id,
            incarnation: Incarnation(incarnation),
            fenced,
        }),
        (node(), state).prop_map(|(id, state)| Command::SetNodeState { id, state }),
        (node(), any::<bool>()).prop_map(|(id, lose_partitions)| Command::RemoveNode {
            id,
            lose_partitions
        }),
        (node(), 0..4u64, any::<bool>()).prop_map(|(id, incarnation, lose_partitions)| {
            Command::ForgetDisk {
                id,
                incarnation: Incarnation(incarnation),
                lose_partitions,
            }
        }),
    ]
}

fn create() -> impl Strategy<Value = Command> {
    let promise = (weighted(0.1, 0..4u16), weighted(0.05, Just(Mode::Gossip)));
    (
        topic(),
        "[ab]{1,2}",
        0..9u32,
        promise,
        changes(),
        time(),
        weighted(0.2, node()),
    )
        .prop_map(
            |(id, name, partitions, (copies, mode), changes, created, home)| Command::CreateTopic {
                id,
                name: name.parse().unwrap(),
                partitions,
                replication_factor: copies.unwrap_or(1),
                mode: mode.unwrap_or_default(),
                settings: TopicSettings::default().with(&changes),
                created,
                home,
            },
        )
}

fn changes() -> impl Strategy<Value = TopicChanges> {
    let segment = prop_oneof![Just(1 << 20), any::<u64>()];
    let message = prop_oneof![Just(1 << 10), any::<usize>()];
    let rarely = 0.2;
    (
        weighted(rarely, of(duration())),
        weighted(rarely, of(any::<u64>())),
        weighted(rarely, of(segment)),
        weighted(rarely, of(message)),
    )
        .prop_map(
            |(retention, retention_bytes, segment_bytes, max_message_bytes)| TopicChanges {
                retention,
                retention_bytes,
                segment_bytes,
                max_message_bytes,
            },
        )
}

fn of_topics() -> impl Strategy<Value = Command> {
    let partition = (topic(), 0..9u32).prop_map(|(topic, index)| PartitionId {
        topic,
        index: PartitionIndex(index),
    });
    prop_oneof![
        topic().prop_map(|id| Command::DeleteTopic { id }),
        (topic(), changes()).prop_map(|(id, changes)| Command::ConfigureTopic { id, changes }),
        (partition, 0..3u64, of(node()), vec(node(), 0..3)).prop_map(
            |(partition, expected_epoch, leader, isr)| Command::AlterPartition {
                partition,
                expected_epoch,
                leader,
                isr,
            }
        ),
    ]
}

fn of_access() -> impl Strategy<Value = Command> {
    let user = ("[ab*]?", vec(any::<u8>(), 0..9));
    prop_oneof![
        user.prop_map(|(name, credential)| Command::PutUser(User { name, credential })),
        "[ab]".prop_map(|name| Command::DeleteUser { name }),
        rule().prop_map(Command::PutAcl),
        rule().prop_map(Command::DeleteAcl),
    ]
}

fn rule() -> impl Strategy<Value = AclEntry> {
    let operation = prop_oneof![
        Just(Operation::Read),
        Just(Operation::Write),
        Just(Operation::Admin)
    ];
    let resource = prop_oneof![
        Just(Resource::Cluster),
        "[ab]?\\*?".prop_map(Resource::Topic),
        "[ab]?\\*?".prop_map(Resource::Group),
    ];
    let effect = prop_oneof![Just(Effect::Allow), Just(Effect::Deny)];
    ("[ab*]", operation, resource, effect).prop_map(|(principal, operation, resource, effect)| {
        AclEntry {
            principal,
            operation,
            resource,
            effect,
        }
    })
}
