//! Who is alive, for control: what gossip says.

use std::sync::Arc;

use control::{Liveliness, Liveness};
use model::NodeId;
use peer::membership::{Gossip, Liveness as Seen, Membership as _};

use super::Late;

/// What gossip says, once there is gossip.
#[derive(Debug, Clone, Default)]
pub(in crate::assemble) struct GossipLiveness(pub Late<Arc<Gossip>>);

impl Liveness for GossipLiveness {
    fn members(&self) -> Vec<(NodeId, Liveliness)> {
        let Some(gossip) = self.0.now() else {
            return Vec::new();
        };
        let view = gossip.view();
        let seen = view.members.iter().map(|seen| seen.row);
        let heard = seen.filter(|row| row.liveness != Seen::NeverSeen);
        let liveliness = |row: peer::membership::MemberRow| Liveliness {
            alive: row.liveness.is_up(),
            since: row.since,
        };
        heard.map(|row| (row.id, liveliness(row))).collect()
    }
}
