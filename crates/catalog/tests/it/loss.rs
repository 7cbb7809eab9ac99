//! Partitions of nodes and disks that are gone.

use catalog::{Catalog, Command, PartitionState, Refusal};
use model::{LeaderEpoch, NodeId};

use crate::clusters::{cluster, create, fence, forget, refused, taken, topic, topic_id};

/// Three nodes with two topics on them.
fn loaded() -> Catalog {
    let mut catalog = cluster(3);
    taken(&mut catalog, &create(1, "a", 7));
    taken(&mut catalog, &create(2, "b", 5));
    catalog
}

fn states(catalog: &Catalog) -> Vec<PartitionState> {
    catalog
        .partitions()
        .map(|(_, _, state)| (**state).clone())
        .collect()
}

#[test]
fn a_node_that_holds_partitions_is_removed_only_if_their_loss_is_accepted() {
    let mut catalog = loaded();
    let before = states(&catalog);
    let held = catalog.held_by(NodeId(1)).count();
    let remove = |lose_partitions| Command::RemoveNode {
        id: NodeId(1),
        lose_partitions,
    };
    let refusal = refused(&mut catalog, &remove(false));
    assert_eq!(
        refusal,
        Refusal::HoldsPartitions {
            id: NodeId(1),
            partitions: held
        }
    );
    taken(&mut catalog, &remove(true));
    assert_eq!(catalog.held_by(NodeId(1)).count(), 0);
    for (before, after) in before.iter().zip(states(&catalog)) {
        if !before.is_held_by(NodeId(1)) {
            assert_eq!(*before, after);
            continue;
        }
        assert_eq!((after.leader_epoch, after.epoch), (LeaderEpoch(1), 1));
        assert_eq!(after.leader, after.home());
        assert_eq!(after.isr, after.replicas);
        assert!(after.is_held_by(NodeId(0)) || after.is_held_by(NodeId(2)));
    }
    let loads: Vec<_> = catalog.loads().map(|(_, load)| load.holds).collect();
    assert_eq!(loads, [6, 6]);
    assert_eq!(topic(&catalog, 1).changed, catalog.revision());
}

/// The internal topic cannot be deleted, so nobody is told to.
#[test]
fn a_node_that_coordinates_groups_is_removed_only_if_their_loss_is_accepted() {
    let mut catalog = cluster(3);
    taken(&mut catalog, &create(1, "__groups", 32));
    taken(&mut catalog, &create(2, "t", 6));
    let id = NodeId(1);
    let held = catalog.held_by(id);
    let partitions = held.filter(|(topic, ..)| topic.id == topic_id(2)).count();
    assert!(partitions > 0 && catalog.held_by(id).count() > partitions);
    let remove = |lose_partitions| Command::RemoveNode {
        id,
        lose_partitions,
    };
    let refusal = refused(&mut catalog, &remove(false));
    assert_eq!(refusal, Refusal::HoldsPartitions { id, partitions });
    taken(&mut catalog, &Command::DeleteTopic { id: topic_id(2) });
    let refusal = refused(&mut catalog, &remove(false));
    assert_eq!(refusal, Refusal::HoldsGroups(id));
    assert!(!refusal.to_string().contains("Delete"), "{refusal}");
    taken(&mut catalog, &remove(true));
}

#[test]
fn nothing_is_lost_where_there_is_no_new_home() {
    let mut catalog = loaded();
    for id in [0, 2] {
        let down = fence(&catalog, id, true);
        taken(&mut catalog, &down);
    }
    let remove = Command::RemoveNode {
        id: NodeId(1),
        lose_partitions: true,
    };
    assert_eq!(refused(&mut catalog, &remove), Refusal::NoPlace);
}

#[test]
fn partitions_begin_anew_on_a_new_disk() {
    let mut catalog = loaded();
    let before = states(&catalog);
    let held = catalog.held_by(NodeId(2)).count();
    let down = fence(&catalog, 2, true);
    taken(&mut catalog, &down);
    let keeping = forget(&catalog, 2, false);
    let refusal = refused(&mut catalog, &keeping);
    assert_eq!(
        refusal,
        Refusal::HoldsPartitions {
            id: NodeId(2),
            partitions: held
        }
    );
    let losing = forget(&catalog, 2, true);
    taken_with_loss(&mut catalog, &losing);
    for (before, after) in before.iter().zip(states(&catalog)) {
        let mut expected = before.clone();
        if before.is_held_by(NodeId(2)) {
            expected.leader_epoch = LeaderEpoch(1);
            expected.epoch = 1;
        }
        assert_eq!(after, expected);
    }
}

fn taken_with_loss(catalog: &mut Catalog, command: &Command) {
    taken(catalog, command);
    let changed = catalog.topics().map(|topic| topic.changed);
    assert_eq!(changed.max(), Some(catalog.revision()));
}
