//! What is known of every node.

use std::time::Duration;

use foca::State;
use model::{Instant, NodeId};

use super::Swim;
use crate::membership::MemberId;
use crate::membership::view::{Liveness, MemberRow};

/// What is known of a node that was heard, or heard of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) id: MemberId,
    pub(super) state: State,
    /// How often it objected to a suspicion.
    pub(super) counter: u16,
    /// When it came into this state.
    pub(super) since: Instant,
    /// When the present suspicion was made known to others.
    pub(super) told: Option<Instant>,
    pub(super) round_trip: Option<Duration>,
}

impl Swim {
    pub(super) fn is_active(&self, id: &MemberId) -> bool {
        self.rows
            .get(&id.node)
            .is_some_and(|row| row.id == *id && row.state != State::Down)
    }

    /// Brings the rows of these nodes up to what the engine has.
    pub(super) fn refresh(&mut self, now: Instant, nodes: &[NodeId]) {
        if nodes.is_empty() {
            return;
        }
        for member in self.engine.iter_membership_state() {
            let id = *member.id();
            if !nodes.contains(&id.node) || !self.roster.contains_key(&id.node) {
                continue;
            }
            let before = self.rows.get(&id.node).copied();
            let is_same = before
                .is_some_and(|row| row.state == member.state() && row.id.process() == id.process());
            self.changed |= !is_same || before.is_some_and(|row| row.id.address != id.address);
            let row = Row {
                id,
                state: member.state(),
                counter: member.incarnation(),
                since: before.filter(|_| is_same).map_or(now, |row| row.since),
                told: before.filter(|_| is_same).map_or(Some(now), |row| row.told),
                round_trip: before.and_then(|row| row.round_trip),
            };
            self.rows.insert(id.node, row);
        }
    }

    pub(super) fn table(&self) -> Vec<MemberRow> {
        let me = MemberRow {
            id: self.me.node,
            liveness: Liveness::Alive,
            since: self.started,
            incarnation: Some(self.me.incarnation),
            address: Some(self.me.address),
            round_trip: None,
            is_link_suspected: false,
        };
        let mut table: Vec<MemberRow> = self.roster.keys().map(|node| self.row(*node)).collect();
        table.push(me);
        table.sort_by_key(|row| row.id);
        table
    }

    fn row(&self, node: NodeId) -> MemberRow {
        let row = self.rows.get(&node);
        let known = self.roster.get(&node);
        MemberRow {
            id: node,
            liveness: row.map_or(Liveness::NeverSeen, |row| match row.state {
                State::Alive => Liveness::Alive,
                State::Suspect => Liveness::Suspected,
                State::Down => Liveness::Down,
            }),
            since: row
                .map(|row| row.since)
                .or_else(|| known.map(|known| known.listed_at))
                .unwrap_or_default(),
            incarnation: row.map(|row| row.id.incarnation),
            address: row
                .map(|row| row.id.address)
                .or_else(|| known.and_then(|known| known.address)),
            round_trip: row.and_then(|row| row.round_trip),
            is_link_suspected: known.is_some_and(|known| known.link_suspected),
        }
    }
}
