//! The cluster.

use std::borrow::Cow;
use std::collections::BTreeMap;

use broker::Broker;
use broker::seams::{ClusterOverview, NodeOverview};

use model::NodeId;

use crate::dto::{ClusterAnswer, NodeAnswer};

/// Binary digits that a corner is shown with at least.
const CORNER_DIGITS_MIN: u32 = 3;

/// The cluster as this node sees it.
pub(crate) fn cluster_answer(broker: &Broker) -> ClusterAnswer {
    let overview = broker.overview();
    let ids = overview.nodes.iter().map(|node| node.id.0);
    let highest = ids.max().unwrap_or_default();
    let digits = (u16::BITS - highest.leading_zeros()).max(CORNER_DIGITS_MIN);
    ClusterAnswer {
        id: overview.me.0,
        cluster: overview.cluster.map(|id| id.to_string()),
        controller: overview.controller.map(|id| id.0),
        term: overview.term,
        revision: overview.revision,
        free_id: broker.free_id().map(|id| id.0),
        nodes: overview
            .nodes
            .iter()
            .map(|node| node_answer(node, digits as usize))
            .collect(),
    }
}

/// Where clients reach the nodes.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<NodeId, String>);

impl Places {
    /// Of all nodes of a cluster.
    pub(crate) fn of(overview: ClusterOverview) -> Self {
        let place = |node: NodeOverview| (node.id, node.addresses.http);
        Self(overview.nodes.into_iter().map(place).collect())
    }

    /// Of one node, if it said where it is.
    pub(crate) fn get(&self, node: Option<NodeId>) -> Option<String> {
        let place = self.0.get(&node?)?;
        (!place.is_empty()).then(|| place.clone())
    }
}

/// The numbers of nodes.
pub(crate) fn numbers(nodes: &[NodeId]) -> Vec<u16> {
    nodes.iter().map(|node| node.0).collect()
}

fn node_answer(node: &NodeOverview, digits: usize) -> NodeAnswer {
    let micros = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    NodeAnswer {
        id: node.id.0,
        corner: node.id.corner(digits).to_string(),
        liveness: Cow::Borrowed(node.liveness.as_str()),
        since: node.since.as_millis(),
        round_trip_us: node.round_trip.map(micros),
        controller: node.is_controller,
        role: Cow::Borrowed(node.role.as_str()),
        state: Cow::Borrowed(node.state.as_str()),
        fenced: node.fenced,
        neighbours: numbers(&node.neighbours),
        peer: node.addresses.peer.clone(),
        http: node.addresses.http.clone(),
        rack: node.rack.clone(),
        slot: node.slot.0,
        incarnation: node.incarnation.0,
    }
}
