//! The rules of the controller, pure: what it sees goes in, what is to be done comes out.
//!
//! - Every registered node follows the log; raft nodes of removed nodes and replaced disks do not.
//! - One, three or five nodes vote, as many as are fit. One that is removed, drained or down leaves for
//!   another that takes its place; without another only one that is removed, so that voters never dwindle
//!   by themselves, and what drains keeps the vote that it can still cast.
//! - A node that membership says is down is fenced after a while, and freed when it is back.
//! - Leadership goes to the highest live voter, quietly: caught up, steady for 30 s, once a minute. Where
//!   one node votes alone, the vote goes to the higher one of two in the same way.
//! - A leader that hears no quorum falls silent for a while, again and again, so that others can elect.
//!
//! One change of the voters at a time, and none unless both the old and the new set have a live majority.
//! What an earlier leader left half done is finished first.

mod look;
mod voters;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::{NodeState, RaftId};
use model::{Incarnation, Instant, NodeId};

use crate::decide::look::Look;
use crate::{Liveliness, Timings};

/// How many entries a node may lack and still count as caught up.
pub(crate) const LAG_MAX: u64 = 512;

/// What the controller, or a node that is not, sees.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// When it is seen.
    pub now: Instant,
    /// By whom.
    pub me: RaftId,
    /// Only of the leader.
    pub leading: Option<Leading>,
    /// The registered nodes.
    pub nodes: Vec<NodeFacts>,
    /// What membership believes.
    pub members: BTreeMap<NodeId, Liveliness>,
    /// Who votes; in a change of them, who did or will.
    pub voters: BTreeSet<RaftId>,
    /// Who follows the log without a vote.
    pub learners: BTreeSet<RaftId>,
    /// The last change of these is agreed on, and nothing is half done.
    pub settled: bool,
    /// The first half of a change is agreed on, and the leader that began it may be gone.
    pub half_done: bool,
    /// When this node last heard a leader say that it hands over.
    pub transfer_seen: Option<Instant>,
}

/// What only a leader knows.
#[derive(Debug, Clone, Default)]
pub struct Leading {
    /// The term that it leads in.
    pub term: u64,
    /// How long ago a quorum was heard; never in this term, if none.
    pub quorum_heard: Option<Duration>,
    /// Position of the last entry.
    pub last: u64,
    /// How much of the log the others are known to have.
    pub matched: BTreeMap<RaftId, u64>,
    /// How long ago each of the others answered.
    pub heard: BTreeMap<RaftId, Duration>,
}

/// A registered node.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// Which.
    pub id: NodeId,
    /// As which it votes.
    pub raft_id: RaftId,
    /// Its present start.
    pub incarnation: Incarnation,
    /// What breaks together.
    pub rack: Option<String>,
    /// What it may hold.
    pub state: NodeState,
    /// Whether the catalog says that it is down.
    pub fenced: bool,
    /// Its disk was given up, and the next one has not come.
    pub awaits_disk: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Let this node's leader speak to nobody, or to everybody again. Always the first action.
    Silence(bool),
    /// Say in the catalog that a node is down, or up again.
    Fence {
        /// Which.
        id: NodeId,
        /// The start that was seen.
        incarnation: Incarnation,
        /// Down, or up again.
        fenced: bool,
    },
    /// Let these follow the log.
    Follow(BTreeSet<RaftId>),
    /// These follow no more.
    Forget(BTreeSet<RaftId>),
    /// Exactly these vote.
    Vote(BTreeSet<RaftId>),
    /// Finish the change of voters that was begun.
    Finish,
    /// Hand leadership over.
    Transfer(RaftId),
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub struct Memory {
    /// The term that this node leads in, and since when.
    led: Option<(u64, Instant)>,
    /// Leadership was to be handed over in this term.
    handing_over: Option<Instant>,
    /// The last transfer that is known of.
    last_transfer: Option<Instant>,
    /// When each start of a node was first seen in the catalog, by this leader.
    seen: BTreeMap<NodeId, (Incarnation, Instant)>,
    /// Since when each node has been alive and caught up.
    steady: BTreeMap<RaftId, Instant>,
}

/// What is to be done now. `busy` while earlier actions are under way.
pub fn decide(memory: &mut Memory, timings: &Timings, facts: &Facts, busy: bool) -> Vec<Action> {
    memory.note(timings, facts);
    let Some(leading) = &facts.leading else {
        return vec![Action::Silence(false)];
    };
    let look = Look {
        memory,
        timings,
        facts,
        leading,
    };
    let silent = look.must_be_silent();
    let heard = leading
        .quorum_heard
        .is_some_and(|ago| ago < timings.election_max);
    let mut actions = vec![Action::Silence(silent)];
    if silent || busy || !heard || memory.handing_over.is_some() {
        return actions;
    }
    actions.extend(look.fences());
    if let Some(change) = look.membership() {
        actions.push(change);
    } else if let Some(step) = look.hand_over() {
        memory.last_transfer = Some(facts.now);
        // From here on the engine takes no commands. A vote that is given away holds up nothing.
        memory.handing_over = matches!(step, Action::Transfer(_)).then_some(facts.now);
        actions.push(step);
    }
    actions
}

impl Memory {
    fn note(&mut self, timings: &Timings, facts: &Facts) {
        self.last_transfer = self.last_transfer.max(facts.transfer_seen);
        let term = facts.leading.as_ref().map(|leading| leading.term);
        if self.led.map(|(term, _)| term) != term {
            self.led = term.map(|term| (term, facts.now));
            self.handing_over = None;
            self.seen.clear();
            self.steady.clear();
        }
        let Some(leading) = &facts.leading else {
            return;
        };
        self.note_starts(facts);
        let look = Look {
            memory: self,
            timings,
            facts,
            leading,
        };
        let fit: BTreeSet<RaftId> = look.fit().map(|node| node.raft_id).collect();
        self.steady.retain(|voter, _| fit.contains(voter));
        for voter in fit {
            self.steady.entry(voter).or_insert(facts.now);
        }
    }

    fn note_starts(&mut self, facts: &Facts) {
        let known: BTreeSet<NodeId> = facts.nodes.iter().map(|node| node.id).collect();
        self.seen.retain(|id, _| known.contains(id));
        for node in &facts.nodes {
            let fresh = (node.incarnation, facts.now);
            let seen = self.seen.entry(node.id).or_insert(fresh);
            if seen.0 != node.incarnation {
                *seen = fresh;
            }
        }
    }
}

#[cfg(test)]
mod tests;
