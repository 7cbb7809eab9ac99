//! After the faults: a majority alone works at once, all together are in order in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{NodeState, RaftId};
use control::{Control, Role};
use model::{Instant, NodeId, limits};

use super::super::check::{B3, E6, M3, V1, V2, V3};
use super::super::gossips::Process;
use super::super::links::Machine;
use super::world::{State, World};
use crate::Violation;
use crate::check::ensure;

/// Until a proposal must succeed, and one controller be known to all.
const AVAILABLE: Duration = Duration::from_secs(10);
/// From then on leaders change by transfer only.
const CALM_BEGINS: Duration = Duration::from_secs(15);
/// Detection, fencing and voters one by one; then twice what a transfer waits for.
const CALM: Duration = Duration::from_secs(115);
/// Who is told that leadership is handed over to it leads within this time, or not at all.
const FOLLOWED: Duration = Duration::from_secs(2);
/// Without any change at the end.
const QUIET: Duration = Duration::from_secs(30);

impl World {
    /// Some voters that are a majority get well; all others stay as they are, or are cut off.
    pub(super) async fn settle_core(&self) -> Result<(), Violation> {
        let core = self.lock().draw_core();
        self.lock().heal_core(&core);
        for machine in &core {
            self.resume_on(*machine);
            self.revive(*machine);
        }
        self.check_available(&core).await
    }

    /// Everything gets well.
    pub(super) async fn settle_all(&self) -> Result<(), Violation> {
        let machines: Vec<Machine> = (0..self.lock().machines.len()).collect();
        self.lock().heal_core(&machines);
        for machine in &machines {
            self.resume_on(*machine);
            self.revive(*machine);
        }
        self.check_available(&machines).await?;
        self.pass(CALM_BEGINS).await?;
        let (begins, _) = self.lock().leadership();
        let since = self.now();
        self.pass(CALM).await?;
        let before = self.lock().leadership();
        self.pass(QUIET).await?;
        let state = self.lock();
        state.check_end()?;
        let elections = state.watch.terms() - begins;
        // One that handed over just before is followed just after.
        let since = since.since(Instant::ZERO).saturating_sub(FOLLOWED);
        let transfers = state.watch.transfers_since(Instant::ZERO.after(since));
        ensure(elections <= transfers, V2, || {
            format!("{elections} new leaders, and leadership was handed over {transfers} times")
        })?;
        let after = state.leadership();
        ensure(before == after, V2, || {
            format!("leaders come and go: {before:?}, {after:?}")
        })
    }

    /// V1 and the first part of V2.
    async fn check_available(&self, machines: &[Machine]) -> Result<(), Violation> {
        let until = self.now().after(AVAILABLE);
        let mut left = AVAILABLE;
        loop {
            self.pass(Duration::from_millis(100)).await?;
            if self.try_proposal(machines, left).await {
                break;
            }
            left = until.since(self.now());
            ensure(!left.is_zero(), V1, || "no proposal succeeds".to_owned())?;
        }
        // One may be about to hand over just at the end, so any moment will do.
        loop {
            let known = self.lock().v2_one_controller(machines);
            if known.is_ok() || self.now() >= until {
                return known;
            }
            self.pass(Duration::from_millis(100)).await?;
        }
    }

    async fn try_proposal(&self, machines: &[Machine], patience: Duration) -> bool {
        let asked = {
            let mut state = self.lock();
            let command = state.whims.topic();
            state
                .serving_on(machines)
                .first()
                .cloned()
                .map(|who| (who, command))
        };
        let Some(((process, control), command)) = asked else {
            return false;
        };
        let asking = self.ask(process, &control, command);
        let mut asking = std::pin::pin!(asking);
        let until = self.now().after(patience);
        // What happens meanwhile is checked too.
        while self.now() < until {
            let moment = Duration::from_millis(20);
            if let Ok(done) = tokio::time::timeout(moment, &mut asking).await {
                return done;
            }
            if let Err(violation) = self.look() {
                self.lock().hold(Err(violation));
                return false;
            }
            // One that was given up must end, and nobody waits for it.
            if self.lock().machine_of(process).is_none() {
                return false;
            }
        }
        false
    }
}

impl State {
    /// A majority of the voters, by their machines; if there is none without those that may not come back,
    /// all machines.
    fn draw_core(&mut self) -> Vec<Machine> {
        let voters = self.voter_sets();
        let is_whole = |machine: &Machine| {
            self.machines
                .get(*machine)
                .is_some_and(|machine| !machine.retired)
        };
        let votes = |machine: &Machine| {
            let id = self.node_on(*machine);
            id.is_some_and(|id| voters.iter().any(|set| set.contains(&id)))
        };
        let all = 0..self.machines.len();
        let mut left: Vec<Machine> = all.clone().filter(is_whole).filter(votes).collect();
        let mut core = Vec::new();
        while !voters.iter().all(|set| self.is_majority(&core, set)) {
            if left.is_empty() {
                return all.collect();
            }
            let place = self.rng.below(left.len() as u64) as usize;
            core.push(left.swap_remove(place));
        }
        core.sort_unstable();
        self.note(format_args!("the core is {core:?} of {voters:?}"));
        core
    }

    fn is_majority(&self, machines: &[Machine], of: &BTreeSet<RaftId>) -> bool {
        let named = machines.iter().filter_map(|machine| self.node_on(*machine));
        named.filter(|id| of.contains(id)).count() * 2 > of.len()
    }

    /// These machines are joined with each other, and well; from the others nothing comes.
    fn heal_core(&mut self, core: &[Machine]) {
        self.links.heal();
        let others = (0..self.machines.len()).filter(|machine| !core.contains(machine));
        others.for_each(|machine| self.links.isolate(machine));
        for machine in core {
            if let Some(place) = self.machines.get(*machine) {
                place.disk.disk.set_sync_time(self.sync);
            }
        }
        self.note(format_args!("well: {core:?}"));
    }

    pub(super) fn serving_on(&self, machines: &[Machine]) -> Vec<(Process, Control)> {
        let on = |id: &Process| {
            self.machine_of(*id)
                .is_some_and(|it| machines.contains(&it))
        };
        let serving = self.serving().filter(|(id, _, _)| on(id));
        serving
            .map(|(id, _, control)| (id, control.clone()))
            .collect()
    }

    /// V2: everybody knows the same controller.
    fn v2_one_controller(&self, machines: &[Machine]) -> Result<(), Violation> {
        let serving = self.serving_on(machines);
        let known: BTreeSet<Option<RaftId>> = serving
            .iter()
            .map(|(_, control)| control.status().controller)
            .collect();
        ensure(known.len() == 1 && !known.contains(&None), V2, || {
            format!("these are taken for the controller: {known:?}")
        })
    }

    /// How often there was a new leader, and who it is.
    fn leadership(&self) -> (usize, Option<RaftId>) {
        let leaders = self.serving().map(|(_, _, control)| control.status());
        let leader = leaders
            .filter(|status| status.role == Role::Leader)
            .find_map(|status| status.me);
        (self.watch.terms(), leader)
    }

    fn check_end(&self) -> Result<(), Violation> {
        self.m3_one_process_serves_a_node()?;
        self.v3_nobody_stays_behind()?;
        self.b3_voters_are_the_best()?;
        self.v2_the_highest_leads()
    }

    fn m3_one_process_serves_a_node(&self) -> Result<(), Violation> {
        let mut nodes = BTreeSet::new();
        for (id, node, control) in self.serving() {
            ensure(nodes.insert(node), M3, || {
                format!("two processes serve node {node}, one is {id}")
            })?;
            let catalog = self.watch.ledger.catalog();
            let is_it = catalog
                .node(node)
                .is_some_and(|node| node.boot == control.boot());
            ensure(is_it, M3, || {
                format!("process {id} serves node {node} and is not registered")
            })?;
        }
        for node in self.watch.ledger.catalog().nodes() {
            let is_up = nodes.contains(&node.id);
            ensure(node.fenced != is_up, V3, || {
                format!("up: {is_up}, and {node:?}")
            })?;
        }
        Ok(())
    }

    /// V3, and E6 for the end: all that was agreed on was seen.
    fn v3_nobody_stays_behind(&self) -> Result<(), Violation> {
        for (id, _, control) in self.serving() {
            let status = control.status();
            let last = self.watch.last();
            ensure(status.applied == last, V3, || {
                format!("process {id} is not at {last:?}: {status:?}")
            })?;
            let fed = status.last <= last;
            ensure(fed, E6, || {
                format!("process {id} knows more than was seen: {status:?}")
            })?;
        }
        Ok(())
    }

    fn b3_voters_are_the_best(&self) -> Result<(), Violation> {
        let catalog = self.watch.ledger.catalog();
        let names: BTreeSet<RaftId> = catalog.nodes().map(|node| node.raft_id()).collect();
        let [voters] = self.watch.voters.as_slice() else {
            return Err(Violation::new(
                B3,
                format!("a change is half done: {:?}", self.watch.voters),
            ));
        };
        let strange = voters.difference(&names).next();
        ensure(strange.is_none(), B3, || {
            format!("{strange:?} votes, and is no node")
        })?;
        let fit = self.fit();
        let wanted = limits::voters_among(fit.len());
        let live = voters
            .iter()
            .filter(|voter| fit.contains(&voter.node()))
            .count();
        ensure(
            live >= wanted && voters.len() <= limits::VOTERS_MAX,
            B3,
            || format!("{live} of {fit:?} vote, and {wanted} should: {voters:?}"),
        )
    }

    fn v2_the_highest_leads(&self) -> Result<(), Violation> {
        let fit = self.fit();
        let voters = self.watch.voters.iter().flatten().map(|voter| voter.node());
        let highest = voters.filter(|id| fit.contains(id)).max();
        let (_, leader) = self.leadership();
        let leader = leader.map(RaftId::node);
        ensure(leader == highest || highest.is_none(), V2, || {
            format!("{leader:?} leads, and {highest:?} should")
        })
    }

    /// The nodes that may vote.
    fn fit(&self) -> BTreeSet<NodeId> {
        let catalog = self.watch.ledger.catalog();
        let is_active = |id: &NodeId| {
            catalog
                .node(*id)
                .is_some_and(|node| node.state == NodeState::Active)
        };
        self.serving()
            .map(|(_, id, _)| id)
            .filter(is_active)
            .collect()
    }
}
