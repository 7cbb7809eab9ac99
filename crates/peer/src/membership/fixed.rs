//! A membership that says what it is told.

use std::sync::Arc;

use model::{Instant, NodeId, Timestamp};
use tokio::sync::watch;

use super::{Liveness, MemberRow, MemberView, Membership};

/// A fixed list, for tests: every node of it is alive until it is said not to be.
#[derive(Debug)]
pub struct Fixed {
    view: watch::Sender<Arc<MemberView>>,
}

impl Fixed {
    /// These nodes, all alive.
    #[must_use]
    pub fn new(nodes: &[NodeId]) -> Self {
        let fixed = Self {
            view: watch::Sender::new(Arc::default()),
        };
        fixed.set_nodes(nodes);
        fixed
    }

    /// Says of a node of the list what it is from `now` on.
    pub fn set(&self, node: NodeId, liveness: Liveness, now: Instant) {
        let mut rows = self.rows();
        for row in rows.iter_mut().filter(|row| row.id == node) {
            row.liveness = liveness;
            row.since = now;
        }
        self.publish(rows, now);
    }

    fn set_nodes(&self, nodes: &[NodeId]) {
        let before = self.rows();
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        nodes.dedup();
        let row = |id: NodeId| {
            let kept = before.iter().find(|row| row.id == id).copied();
            kept.unwrap_or(MemberRow {
                id,
                liveness: Liveness::Alive,
                since: Instant::ZERO,
                incarnation: None,
                address: None,
                round_trip: None,
                is_link_suspected: false,
            })
        };
        self.publish(nodes.into_iter().map(row).collect(), Instant::ZERO);
    }

    fn rows(&self) -> Vec<MemberRow> {
        self.view
            .borrow()
            .members
            .iter()
            .map(|seen| seen.row)
            .collect()
    }

    fn publish(&self, rows: Vec<MemberRow>, now: Instant) {
        self.view.send_modify(|view| {
            *view = Arc::new(MemberView::after(view, rows, now, Timestamp::default()));
        });
    }
}

impl Membership for Fixed {
    fn view(&self) -> Arc<MemberView> {
        Arc::clone(&self.view.borrow())
    }

    fn watch(&self) -> watch::Receiver<Arc<MemberView>> {
        self.view.subscribe()
    }

    fn set_roster(&self, roster: Vec<(NodeId, String)>) {
        let nodes: Vec<NodeId> = roster.into_iter().map(|(node, _)| node).collect();
        self.set_nodes(&nodes);
    }

    fn report_link(&self, node: NodeId, works: bool) {
        let mut rows = self.rows();
        for row in rows.iter_mut().filter(|row| row.id == node) {
            row.is_link_suspected = !works;
        }
        self.publish(rows, Instant::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_is_told() {
        let fixed = Fixed::new(&[NodeId(2), NodeId(1)]);
        let mut bell = fixed.watch();
        assert_eq!(fixed.view().liveness(NodeId(1)), Liveness::Alive);
        assert_eq!(fixed.view().liveness(NodeId(3)), Liveness::NeverSeen);
        fixed.set(NodeId(1), Liveness::Down, Instant::from_nanos(5));
        assert!(bell.has_changed().unwrap());
        assert_eq!(bell.borrow_and_update().liveness(NodeId(1)), Liveness::Down);
        fixed.set_roster(vec![(NodeId(1), String::new()), (NodeId(3), String::new())]);
        assert_eq!(fixed.view().liveness(NodeId(1)), Liveness::Down);
        assert_eq!(fixed.view().liveness(NodeId(2)), Liveness::NeverSeen);
        fixed.report_link(NodeId(3), false);
        let view = fixed.view();
        let seen = view.get(NodeId(3)).unwrap();
        assert!(seen.row.is_link_suspected && seen.row.liveness.is_up());
    }
}
