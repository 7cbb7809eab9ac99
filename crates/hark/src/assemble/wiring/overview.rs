//! How the cluster is, put together from what each part knows of it.

use broker::seams::{ClusterOverview, Liveness, NodeOverview, Role};
use catalog::{Catalog, Node};
use control::Status;
use model::{NodeId, Timestamp};
use overlay::Cube;
use peer::membership::{Liveness as Seen, MemberView};

/// The cluster as `me` sees it.
pub(super) fn of(
    me: NodeId,
    catalog: &Catalog,
    status: &Status,
    view: &MemberView,
) -> ClusterOverview {
    let controller = status.controller.map(catalog::RaftId::node);
    let cube: Cube = catalog.nodes().map(|node| node.id).collect();
    let node = |node: &Node| {
        let seen = view.get(node.id);
        NodeOverview {
            id: node.id,
            slot: node.slot,
            incarnation: node.incarnation,
            addresses: node.addresses.clone(),
            rack: node.rack.clone(),
            state: node.state,
            fenced: node.fenced,
            liveness: liveness(me, node.id, view),
            since: seen.map_or_else(Timestamp::default, |seen| seen.since),
            round_trip: seen.and_then(|seen| seen.row.round_trip),
            neighbours: cube.neighbours(node.id),
            role: role(node, status),
            is_controller: controller == Some(node.id),
        }
    };
    ClusterOverview {
        cluster: catalog.cluster(),
        me,
        controller,
        term: status.term,
        revision: catalog.revision(),
        nodes: catalog.nodes().map(|it| node(it)).collect(),
    }
}

/// Nobody is as alive as the one who looks.
fn liveness(me: NodeId, id: NodeId, view: &MemberView) -> Liveness {
    if id == me {
        return Liveness::Alive;
    }
    match view.liveness(id) {
        Seen::Alive => Liveness::Alive,
        Seen::Suspected => Liveness::Suspect,
        Seen::Down | Seen::NeverSeen => Liveness::Down,
    }
}

fn role(node: &Node, status: &Status) -> Role {
    if status.voters.contains(&node.raft_id()) {
        Role::Voter
    } else if status.learners.contains(&node.raft_id()) {
        Role::Learner
    } else {
        Role::None
    }
}
