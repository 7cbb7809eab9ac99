//! A log that agrees by itself. It keeps the promises of a consensus and has none of its details: who
//! leads must be joined with a majority of the voters, and one who leads anew has everything.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{Command, Outcome, RaftId, Refusal};
use control::Liveliness;
use control::decide::{Action, Facts, Leading, NodeFacts, decide};
use model::Instant;
use peer::membership::Liveness;

use super::super::check::{B1, B3};
use super::super::gossips::Process;
use super::world::World;
use crate::Violation;
use crate::check::ensure;

/// How long there is no leader after one is gone.
const ELECTION: Duration = Duration::from_millis(1500);

#[derive(Debug, Default)]
pub(super) struct Agreement {
    pub(super) log: Vec<Command>,
    pub(super) term: u64,
    pub(super) leader: Option<Process>,
    pub(super) voters: BTreeSet<RaftId>,
    pub(super) learners: BTreeSet<RaftId>,
    /// When the last leader was found to be gone.
    lost_at: Instant,
    /// When leadership was last handed over.
    handed_at: Option<Instant>,
    transfer_seen: Option<Instant>,
    /// The leader has handed over to one who did not take it, and takes no commands any more.
    promised: bool,
}

impl World {
    /// A command at the one who leads, if anybody does and is joined with `from`. The answer may get lost.
    pub(super) fn propose(
        &mut self,
        from: Process,
        command: &Command,
    ) -> Result<Option<Result<Outcome, Refusal>>, Violation> {
        let Some(leader) = self.agreement.leader else {
            return Ok(None);
        };
        let takes = !self.agreement.promised && self.has_quorum(leader);
        if !takes || !self.are_joined(from, leader) {
            return Ok(None);
        }
        let answer = self.agree(command)?;
        self.replicate(leader);
        Ok((!self.rng.chance(10)).then_some(answer))
    }

    pub(super) fn agree(
        &mut self,
        command: &Command,
    ) -> Result<Result<Outcome, Refusal>, Violation> {
        self.agreement.log.push(command.clone());
        self.report.commands += 1;
        let answer = self.ledger.apply(command)?;
        self.note(format_args!("{command:?}: {answer:?}"));
        Ok(answer)
    }

    /// Elects if there is nobody who can lead, and lets everybody hear the news whom the leader reaches.
    pub(super) fn step_agreement(&mut self) {
        let leader = self.agreement.leader;
        match leader.filter(|leader| self.has_quorum(*leader)) {
            None if leader.is_some() => self.fall_silent(),
            None => self.elect(),
            Some(leader) => self.replicate(leader),
        }
    }

    /// The others hear nothing of the leader, and will elect.
    fn fall_silent(&mut self) {
        self.agreement.leader = None;
        self.agreement.lost_at = self.now;
    }

    fn elect(&mut self) {
        if self.now.since(self.agreement.lost_at) < ELECTION {
            return;
        }
        let complete = self.agreement.log.len();
        let candidates: Vec<Process> = self
            .processes
            .iter()
            .filter(|(_, process)| self.machines[process.machine].disk.holds == complete)
            .map(|(id, _)| *id)
            .filter(|id| self.votes(*id) && self.has_quorum(*id))
            .collect();
        if let Some(elected) = self.rng.pick(&candidates).copied() {
            self.lead(elected);
        }
    }

    fn lead(&mut self, leader: Process) {
        self.agreement.leader = Some(leader);
        self.agreement.promised = false;
        self.agreement.term += 1;
        self.report.terms += 1;
        let term = self.agreement.term;
        self.note(format_args!("process {leader} leads term {term}"));
    }

    fn replicate(&mut self, leader: Process) {
        let ids: Vec<Process> = self.processes.keys().copied().collect();
        for id in ids {
            let follows = self.raft_id(id).is_some_and(|raft_id| {
                self.agreement.voters.contains(&raft_id)
                    || self.agreement.learners.contains(&raft_id)
            });
            if follows && self.is_running(id) && self.are_joined(id, leader) {
                self.catch_up(id);
            }
        }
    }

    fn catch_up(&mut self, id: Process) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let news = process.applied < self.agreement.log.len();
        for command in &self.agreement.log[process.applied..] {
            // Refusals were answered where it was proposed.
            let _ = process.catalog.apply(command);
        }
        process.applied = self.agreement.log.len();
        let disk = &mut self.machines[process.machine].disk;
        disk.holds = process.applied;
        let node = self.ledger.catalog().node_of_storage(disk.storage);
        disk.lacks &= node.is_some_and(|node| node.boot != process.boot);
        if news {
            self.spread_roster(id);
        }
    }

    /// Whether a process that runs is a voter to the consensus. One on a copied directory, or on one that was
    /// put back, is none until it is registered: no consensus bears two logs of one voter.
    fn votes(&self, id: Process) -> bool {
        let Some(process) = self.processes.get(&id) else {
            return false;
        };
        let disk = &self.machines[process.machine].disk;
        let is_named = disk
            .member
            .is_some_and(|it| self.agreement.voters.contains(&it));
        is_named && !disk.lacks && self.is_running(id)
    }

    /// Whether a process is joined with a majority of the voters.
    pub(super) fn has_quorum(&self, leader: Process) -> bool {
        let with = self.joined_voters(leader);
        self.is_running(leader) && with.len() * 2 > self.agreement.voters.len()
    }

    fn joined_voters(&self, with: Process) -> BTreeSet<RaftId> {
        let ids = self.processes.keys().copied();
        let joined = ids.filter(|id| self.votes(*id) && self.are_joined(*id, with));
        joined.filter_map(|id| self.raft_id(id)).collect()
    }

    /// The one who leads does what the rules say.
    pub(super) fn decide(&mut self) -> Result<(), Violation> {
        let Some(leader) = self.agreement.leader else {
            return Ok(());
        };
        let Some(facts) = self.facts(leader) else {
            return Ok(());
        };
        let timings = self.timings.clone();
        let Some(process) = self.processes.get_mut(&leader) else {
            return Ok(());
        };
        for action in decide(&mut process.memory, &timings, &facts, false) {
            self.perform(leader, action)?;
        }
        Ok(())
    }

    fn facts(&self, leader: Process) -> Option<Facts> {
        let process = self.processes.get(&leader)?;
        let last = self.agreement.log.len();
        let voters = self.joined_voters(leader);
        let matched = self.processes.iter().filter_map(|(id, process)| {
            let holds = self.machines[process.machine].disk.holds;
            Some((self.raft_id(*id)?, holds as u64))
        });
        let joined = self
            .processes
            .keys()
            .filter(|id| self.is_running(**id) && self.are_joined(**id, leader));
        let heard = joined.filter_map(|id| Some((self.raft_id(*id)?, Duration::ZERO)));
        let node = |node: &catalog::Node| NodeFacts {
            id: node.id,
            raft_id: node.raft_id(),
            incarnation: node.incarnation,
            rack: node.rack.clone(),
            state: node.state,
            fenced: node.fenced,
            awaits_disk: node.awaits_disk,
        };
        Some(Facts {
            now: self.now,
            me: self.raft_id(leader)?,
            leading: Some(Leading {
                term: self.agreement.term,
                quorum_heard: (voters.len() * 2 > self.agreement.voters.len())
                    .then_some(Duration::ZERO),
                last: last as u64,
                matched: matched.collect(),
                heard: heard.collect(),
            }),
            nodes: process.catalog.nodes().map(|it| node(it)).collect(),
            members: self.members(leader).collect(),
            voters: self.agreement.voters.clone(),
            learners: self.agreement.learners.clone(),
            settled: true,
            // A change takes effect at once, and whole.
            half_done: false,
            transfer_seen: self.agreement.transfer_seen,
        })
    }

    /// What a process would tell control of the others, as in the assembly of a node.
    fn members(&self, of: Process) -> impl Iterator<Item = (model::NodeId, Liveliness)> {
        let rows = self.gossips.rows(of).into_iter();
        let heard = rows.filter(|row| row.liveness != Liveness::NeverSeen);
        heard.map(|row| {
            let alive = row.liveness.is_up();
            (
                row.id,
                Liveliness {
                    alive,
                    since: row.since,
                },
            )
        })
    }

    fn perform(&mut self, leader: Process, action: Action) -> Result<(), Violation> {
        if !matches!(action, Action::Silence(_)) {
            self.note(format_args!("process {leader} does {action:?}"));
        }
        match action {
            Action::Silence(true) => self.fall_silent(),
            Action::Silence(false) | Action::Finish => {}
            Action::Fence {
                id,
                incarnation,
                fenced,
            } => {
                self.propose(
                    leader,
                    &Command::Fence {
                        id,
                        incarnation,
                        fenced,
                    },
                )?;
            }
            Action::Follow(nodes) => self.agreement.learners.extend(nodes),
            Action::Forget(nodes) => self.agreement.learners.retain(|id| !nodes.contains(id)),
            Action::Vote(voters) => self.change_voters(voters)?,
            Action::Transfer(to) => self.transfer(leader, to)?,
        }
        Ok(())
    }

    /// Needs a majority of those who voted and of those who will, or nothing comes of it.
    fn change_voters(&mut self, voters: BTreeSet<RaftId>) -> Result<(), Violation> {
        let before = self.agreement.voters.clone();
        let changed = before.symmetric_difference(&voters).count();
        ensure(
            changed <= 2 && voters.len() <= model::limits::VOTERS_MAX,
            B3,
            || format!("voters {before:?} are followed by {voters:?}"),
        )?;
        let known = &before | &self.agreement.learners;
        let strange = voters.difference(&known).next();
        ensure(strange.is_none(), B3, || {
            format!("{strange:?} votes, and never followed")
        })?;
        self.agreement.voters.clone_from(&voters);
        if !self
            .agreement
            .leader
            .is_some_and(|leader| self.has_quorum(leader))
        {
            self.agreement.voters = before;
            return Ok(());
        }
        self.agreement.learners = known.difference(&voters).copied().collect();
        Ok(())
    }

    /// B1. Nobody can know of a start that was not registered yet.
    fn transfer(&mut self, leader: Process, to: RaftId) -> Result<(), Violation> {
        let early = self
            .agreement
            .handed_at
            .filter(|at| self.now.since(*at) < self.timings.between_transfers);
        let leaves = !self.is_active(leader);
        ensure(early.is_none() || leaves, B1, || {
            "handed over twice in a row".to_owned()
        })?;
        let target = self
            .processes
            .keys()
            .copied()
            .find(|id| self.raft_id(*id) == Some(to));
        let steady = target
            .and_then(|id| self.processes.get(&id))
            .is_none_or(|process| {
                let age = self.now.since(process.started);
                leaves || process.serves.is_none() || age >= self.timings.steady
            });
        ensure(steady && self.agreement.voters.contains(&to), B1, || {
            format!("handed over to {to:?}, who is not steady")
        })?;
        self.agreement.handed_at = Some(self.now);
        self.agreement.transfer_seen = Some(self.now);
        self.agreement.promised = true;
        if let Some(target) =
            target.filter(|id| self.has_quorum(*id) && self.are_joined(leader, *id))
        {
            self.catch_up(target);
            self.lead(target);
        }
        Ok(())
    }

    /// Whether the node of a process may hold everything.
    fn is_active(&self, id: Process) -> bool {
        let node = self
            .raft_id(id)
            .and_then(|raft_id| self.ledger.catalog().node(raft_id.node()));
        node.is_some_and(|node| node.state == catalog::NodeState::Active)
    }
}
