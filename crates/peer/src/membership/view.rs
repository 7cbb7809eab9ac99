//! What a node sees of the others.

use std::net::SocketAddr;
use std::time::Duration;

use model::{Incarnation, Instant, NodeId, Timestamp};

use super::MemberId;

/// All nodes of the cluster, as one of them sees them. It suggests; only the catalog decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberView {
    /// Every node, by id, the one that sees among them.
    pub members: Vec<MemberSeen>,
    /// The process that was registered later for this node: the one that sees must end.
    pub fenced_by: Option<MemberId>,
}

/// A node in a [`MemberView`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberSeen {
    /// What is seen.
    pub row: MemberRow,
    /// Since when, in civil time as it was then.
    pub since: Timestamp,
}

/// What is seen of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberRow {
    /// Which.
    pub id: NodeId,
    /// Whether it is there.
    pub liveness: Liveness,
    /// Since when.
    pub since: Instant,
    /// Which of its registrations was heard.
    pub incarnation: Option<Incarnation>,
    /// Where its datagrams go.
    pub address: Option<SocketAddr>,
    /// How long its last direct answer took.
    pub round_trip: Option<Duration>,
    /// Whether connections to it failed a moment ago.
    pub is_link_suspected: bool,
}

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Liveness {
    /// It answers, somebody at least.
    Alive,
    /// It did not answer, and has a moment to object.
    Suspected,
    /// It is not there.
    Down,
    /// Nothing was heard of it yet.
    NeverSeen,
}

impl Liveness {
    /// The word for it in every API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspected => "suspected",
            Self::Down => "down",
            Self::NeverSeen => "never seen",
        }
    }

    /// Whether it is to be treated as there: a suspicion is no verdict.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Alive | Self::Suspected)
    }
}

impl MemberView {
    /// What is seen at `now`, which is `wall` in civil time. What has not changed since `before` keeps
    /// the civil time it had.
    #[must_use]
    pub fn after(before: &Self, rows: Vec<MemberRow>, now: Instant, wall: Timestamp) -> Self {
        let dated = |row: MemberRow| {
            let kept = before
                .get(row.id)
                .filter(|seen| seen.row.liveness == row.liveness && seen.row.since == row.since);
            MemberSeen {
                row,
                since: kept.map_or_else(|| wall.before(now.since(row.since)), |seen| seen.since),
            }
        };
        Self {
            members: rows.into_iter().map(dated).collect(),
            fenced_by: before.fenced_by,
        }
    }

    /// One node.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&MemberSeen> {
        let place = self.members.binary_search_by_key(&id, |seen| seen.row.id);
        self.members.get(place.ok()?)
    }

    /// Whether a node is there.
    #[must_use]
    pub fn liveness(&self, id: NodeId) -> Liveness {
        self.get(id)
            .map_or(Liveness::NeverSeen, |seen| seen.row.liveness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_time_stays_when_nothing_changes() {
        let row = |liveness, since: u64| MemberRow {
            id: NodeId(1),
            liveness,
            since: Instant::from_nanos(since * 1_000_000_000),
            incarnation: None,
            address: None,
            round_trip: None,
            is_link_suspected: false,
        };
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let wall = |seconds: i64| Timestamp::from_millis(seconds * 1000).unwrap();
        let none = MemberView::default();
        let first = MemberView::after(&none, vec![row(Liveness::Alive, 3)], at(5), wall(1005));
        assert_eq!(first.get(NodeId(1)).unwrap().since, wall(1003));
        // The civil clock jumps back by an hour.
        let second = MemberView::after(&first, vec![row(Liveness::Alive, 3)], at(9), wall(9));
        assert_eq!(second.get(NodeId(1)).unwrap().since, wall(1003));
        let third = MemberView::after(&second, vec![row(Liveness::Down, 9)], at(10), wall(10));
        assert_eq!(third.get(NodeId(1)).unwrap().since, wall(9));
        assert_eq!(third.liveness(NodeId(1)), Liveness::Down);
        assert_eq!(third.liveness(NodeId(2)), Liveness::NeverSeen);
    }
}
