//! Small clusters, and short ways to say things.

use catalog::{
    Addresses, Catalog, Command, Node, Outcome, Refusal, Registration, Topic, TopicSettings,
};
use model::{
    BootId, ClusterId, Mode, NodeId, PartitionId, PartitionIndex, Site, StorageId, Timestamp,
    TopicId,
};

pub(crate) const CLUSTER: ClusterId = ClusterId::from_bytes([0xC1; 16]);

pub(crate) fn storage(n: u8) -> StorageId {
    StorageId::from_bytes([n; 16])
}

pub(crate) fn boot(n: u8) -> BootId {
    BootId::from_bytes([n; 16])
}

pub(crate) fn topic_id(n: u8) -> TopicId {
    TopicId::from_bytes([n; 16])
}

pub(crate) fn partition(topic: u8, index: u32) -> PartitionId {
    PartitionId {
        topic: topic_id(topic),
        index: PartitionIndex(index),
    }
}

/// The first start of a data directory.
pub(crate) fn start(disk: u8, first_boot: u8) -> Registration {
    Registration {
        id: None,
        site: Site::EVERYWHERE,
        storage: storage(disk),
        boot: boot(first_boot),
        known_boots: Vec::new(),
        addresses: Addresses {
            peer: format!("host-{disk}:7946"),
            http: format!("host-{disk}:7070"),
        },
        rack: None,
        holder_is_alive: false,
        at: Timestamp::from_millis(1_000).unwrap(),
    }
}

pub(crate) fn register(registration: Registration) -> Command {
    Command::Register(registration)
}

pub(crate) fn create(topic: u8, name: &str, partitions: u32) -> Command {
    Command::CreateTopic {
        id: topic_id(topic),
        name: name.parse().unwrap(),
        partitions,
        replication_factor: 1,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
        created: Timestamp::from_millis(2_000).unwrap(),
        home: None,
    }
}

/// A cluster of so many nodes. Node n is on disk n + 1 in its boot n + 101.
pub(crate) fn cluster(nodes: u8) -> Catalog {
    let mut catalog = Catalog::default();
    taken(&mut catalog, &Command::Found { cluster: CLUSTER });
    for n in 0..nodes {
        taken(&mut catalog, &register(start(n + 1, n + 101)));
    }
    catalog
}

/// Applies a command that must change something.
pub(crate) fn taken(catalog: &mut Catalog, command: &Command) -> Outcome {
    let revision = catalog.revision();
    let outcome = catalog.apply(command).unwrap();
    assert_eq!(catalog.revision(), revision + 1, "{command:?}");
    outcome
}

/// Applies a command that must be answered and change nothing.
pub(crate) fn idle(catalog: &mut Catalog, command: &Command) -> Outcome {
    let before = catalog.clone();
    let outcome = catalog.apply(command).unwrap();
    assert_eq!(*catalog, before, "{command:?}");
    outcome
}

/// Applies a command that must be refused and change nothing.
pub(crate) fn refused(catalog: &mut Catalog, command: &Command) -> Refusal {
    let before = catalog.clone();
    let refusal = catalog.apply(command).unwrap_err();
    assert_eq!(*catalog, before, "{command:?}");
    refusal
}

pub(crate) fn node(catalog: &Catalog, id: u16) -> &Node {
    catalog.node(NodeId(id)).unwrap()
}

pub(crate) fn topic(catalog: &Catalog, id: u8) -> &Topic {
    catalog.topic_by_id(topic_id(id)).unwrap()
}

/// Gives up the disk that a node was last started from.
pub(crate) fn forget(catalog: &Catalog, id: u16, lose_partitions: bool) -> Command {
    Command::ForgetDisk {
        id: NodeId(id),
        incarnation: node(catalog, id).incarnation,
        lose_partitions,
    }
}

pub(crate) fn fence(catalog: &Catalog, id: u16, fenced: bool) -> Command {
    Command::Fence {
        id: NodeId(id),
        incarnation: node(catalog, id).incarnation,
        fenced,
    }
}
