//! After the faults: everything works again, and in the end is in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::NodeState;
use model::{NodeId, limits};
use peer::membership::Liveness;

use super::super::check::{B3, E6, G1, M1, M3, V1, V2, V3};
use super::super::gossips::Process;
use super::world::World;
use crate::Violation;
use crate::check::ensure;

/// Until a proposal must succeed.
const AVAILABLE: Duration = Duration::from_secs(10);
/// Until everything must be in order: detection, fencing, voters one by one, and a transfer.
const CALM: Duration = Duration::from_secs(70);

impl World {
    /// All links are whole, all disks have a process, and nothing happens any more.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        self.links.heal();
        self.note(format_args!("calm"));
        for machine in 0..self.machines.len() {
            match self.process_on(machine) {
                Some(id) if !self.is_running(id) => self.resume(id),
                None if !self.machines[machine].retired => {
                    self.start(machine);
                }
                _ => {}
            }
        }
        self.run(AVAILABLE, |_| Ok(()))?;
        let command = self.whims.topic();
        let leader = self.agreement.leader;
        ensure(leader.is_some(), V1, || "nobody leads".to_owned())?;
        self.command_of_operator(&command)?;
        self.run(CALM, |_| Ok(()))?;
        self.check_end()
    }

    fn resume(&mut self, id: Process) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.paused = false;
        }
        self.gossips.resume(self.now, id, &mut self.links);
    }

    fn check_end(&self) -> Result<(), Violation> {
        let serving = self.m3_one_process_serves_a_node()?;
        self.v3_all_hold_the_same(&serving)?;
        self.g1_all_see_what_is(&serving)?;
        self.e6_the_log_is_whole()?;
        self.b3_voters_are_the_best(&serving)?;
        self.v2_the_highest_leads(&serving)
    }

    /// M3: of two processes of a node one has ended.
    fn m3_one_process_serves_a_node(&self) -> Result<BTreeMap<NodeId, Process>, Violation> {
        let mut serving = BTreeMap::new();
        for (id, process) in &self.processes {
            let Some((node, incarnation)) = process.serves else {
                continue;
            };
            let other = serving.insert(node, *id);
            ensure(other.is_none(), M3, || {
                format!("processes {other:?} and {id} both serve node {node}")
            })?;
            let known = self.ledger.catalog().node(node);
            let is_it =
                known.is_some_and(|it| it.boot == process.boot && it.incarnation == incarnation);
            ensure(is_it, M3, || {
                format!("process {id} serves, and is not in {known:?}")
            })?;
        }
        Ok(serving)
    }

    /// V3 and M1.
    fn v3_all_hold_the_same(&self, serving: &BTreeMap<NodeId, Process>) -> Result<(), Violation> {
        for id in serving.values() {
            let Some(process) = self.processes.get(id) else {
                continue;
            };
            let (applied, last) = (process.applied, self.agreement.log.len());
            ensure(applied == last, V3, || {
                format!("process {id} is at {applied} of {last}")
            })?;
            ensure(process.catalog == *self.ledger.catalog(), M1, || {
                format!("process {id} has another catalog")
            })?;
        }
        Ok(())
    }

    /// G1, and that the catalog says the same.
    fn g1_all_see_what_is(&self, serving: &BTreeMap<NodeId, Process>) -> Result<(), Violation> {
        for node in self.ledger.catalog().nodes() {
            let is_up = serving.contains_key(&node.id);
            for by in serving.values() {
                let rows = self.gossips.rows(*by);
                let row = rows.iter().find(|row| row.id == node.id);
                let right = row.is_some_and(|row| match row.liveness {
                    Liveness::Alive => is_up && row.incarnation == Some(node.incarnation),
                    Liveness::Suspected => false,
                    Liveness::Down | Liveness::NeverSeen => !is_up,
                });
                ensure(right, G1, || {
                    format!("process {by} sees {row:?} of {node:?}")
                })?;
            }
            ensure(node.fenced != is_up, G1, || {
                format!("up: {is_up}, and {node:?}")
            })?;
        }
        Ok(())
    }

    /// E6: what was agreed on is what there is.
    fn e6_the_log_is_whole(&self) -> Result<(), Violation> {
        let mut again = catalog::Catalog::default();
        for command in &self.agreement.log {
            let _ = again.apply(command);
        }
        ensure(again == *self.ledger.catalog(), E6, || {
            "the log leads elsewhere".to_owned()
        })
    }

    /// B3.
    fn b3_voters_are_the_best(&self, serving: &BTreeMap<NodeId, Process>) -> Result<(), Violation> {
        let voters = &self.agreement.voters;
        let fit = self.fit(serving);
        let names: BTreeSet<_> = self
            .ledger
            .catalog()
            .nodes()
            .map(|node| node.raft_id())
            .collect();
        let strange = voters.difference(&names).next();
        ensure(strange.is_none(), B3, || {
            format!("{strange:?} votes, and is no node")
        })?;
        let live = fit
            .iter()
            .filter(|id| voters.iter().any(|voter| voter.node() == **id));
        let wanted = limits::voters_among(fit.len());
        let live = live.count();
        ensure(live >= wanted, B3, || {
            format!("{live} of {fit:?} vote, and {wanted} should: {voters:?}")
        })
    }

    /// V2.
    fn v2_the_highest_leads(&self, serving: &BTreeMap<NodeId, Process>) -> Result<(), Violation> {
        let fit = self.fit(serving);
        let voters = self.agreement.voters.iter().map(|voter| voter.node());
        let highest = voters.filter(|id| fit.contains(id)).max();
        let leader = self
            .agreement
            .leader
            .and_then(|leader| self.raft_id(leader));
        let leader = leader.map(catalog::RaftId::node);
        ensure(leader == highest || highest.is_none(), V2, || {
            format!("{leader:?} leads, and {highest:?} should")
        })
    }

    /// The nodes that may vote.
    fn fit(&self, serving: &BTreeMap<NodeId, Process>) -> BTreeSet<NodeId> {
        let catalog = self.ledger.catalog();
        let active = |id: &&NodeId| {
            catalog
                .node(**id)
                .is_some_and(|node| node.state == NodeState::Active)
        };
        serving.keys().filter(active).copied().collect()
    }
}
