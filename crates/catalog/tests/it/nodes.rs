//! Fencing, draining, removing.

use catalog::{Command, NodeState, Refusal};
use model::{Incarnation, NodeId};

use crate::clusters::{cluster, create, fence, forget, idle, node, refused, taken, topic};

#[test]
fn a_fence_holds_for_the_start_that_was_observed() {
    let mut catalog = cluster(2);
    let down = fence(&catalog, 1, true);
    taken(&mut catalog, &down);
    assert!(node(&catalog, 1).fenced);
    idle(&mut catalog, &down);
    taken(&mut catalog, &fence(&cluster(2), 1, false));
    assert!(!node(&catalog, 1).fenced);
    let of_another_start = Command::Fence {
        id: NodeId(1),
        incarnation: Incarnation(2),
        fenced: true,
    };
    assert_eq!(refused(&mut catalog, &of_another_start), Refusal::Stale);
    let of_nobody = Command::Fence {
        id: NodeId(7),
        incarnation: Incarnation(1),
        fenced: true,
    };
    assert_eq!(
        refused(&mut catalog, &of_nobody),
        Refusal::UnknownNode(NodeId(7))
    );
}

#[test]
fn new_partitions_go_to_nodes_that_are_active_and_up() {
    let mut catalog = cluster(4);
    let down = fence(&catalog, 0, true);
    taken(&mut catalog, &down);
    let drain = |id, state| Command::SetNodeState {
        id: NodeId(id),
        state,
    };
    taken(&mut catalog, &drain(2, NodeState::Draining));
    idle(&mut catalog, &drain(2, NodeState::Draining));
    taken(&mut catalog, &create(1, "orders", 10));
    assert_eq!(topic(&catalog, 1).leaders(), [NodeId(1), NodeId(3)]);
    taken(&mut catalog, &drain(1, NodeState::Draining));
    taken(&mut catalog, &drain(3, NodeState::Draining));
    assert_eq!(
        refused(&mut catalog, &create(2, "more", 1)),
        Refusal::NoPlace
    );
    taken(&mut catalog, &drain(2, NodeState::Active));
    taken(&mut catalog, &create(2, "more", 1));
    assert_eq!(topic(&catalog, 2).leaders(), [NodeId(2)]);
}

#[test]
fn a_node_without_partitions_is_removed_for_ever() {
    let mut catalog = cluster(2);
    let remove = |id| Command::RemoveNode {
        id: NodeId(id),
        lose_partitions: false,
    };
    taken(&mut catalog, &remove(0));
    idle(&mut catalog, &remove(0));
    assert!(catalog.is_removed(NodeId(0)) && catalog.node(NodeId(0)).is_none());
    assert_eq!(
        refused(&mut catalog, &remove(1)),
        Refusal::LastNode(NodeId(1))
    );
    assert_eq!(
        refused(&mut catalog, &remove(9)),
        Refusal::UnknownNode(NodeId(9))
    );
    let state = Command::SetNodeState {
        id: NodeId(0),
        state: NodeState::Active,
    };
    assert_eq!(refused(&mut catalog, &state), Refusal::Removed(NodeId(0)));
}

#[test]
fn the_disk_of_a_running_node_is_not_given_up() {
    let mut catalog = cluster(2);
    let forget = forget(&catalog, 1, true);
    assert_eq!(refused(&mut catalog, &forget), Refusal::Running(NodeId(1)));
    taken(&mut catalog, &fence(&cluster(2), 1, true));
    taken(&mut catalog, &forget);
    // Nobody is there who could be up again.
    let up = fence(&catalog, 1, false);
    assert_eq!(refused(&mut catalog, &up), Refusal::Stale);
    let bad = Command::ForgetDisk {
        id: NodeId(5),
        incarnation: Incarnation(1),
        lose_partitions: true,
    };
    assert_eq!(refused(&mut catalog, &bad), Refusal::UnknownNode(NodeId(5)));
}
