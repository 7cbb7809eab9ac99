//! The world: machines, processes, links, and time that jumps.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use catalog::{Command, RaftId, Refusal};
use control::Timings;
use control::decide::Memory;
use model::{BootId, ClusterId, Instant, NodeId, StorageId};
use peer::membership::Profile;
use seglog::disk::sim::Rng;

use super::super::gossips::{Gossips, Process};
use super::super::ledger::{Ledger, Start};
use super::super::links::{Links, Machine};
use super::super::whims::Whims;
use super::PureReport;
use super::agreement::Agreement;
use super::process::{Disk, PureMachine, PureProcess};
use crate::Violation;
use crate::check::ensure;

/// From one step of everything but gossip to the next.
const STEP: Duration = Duration::from_millis(50);
/// Machines with a node from the beginning.
const FIRST: u64 = 3;
/// Machines in all, at most.
const MACHINES: u64 = 8;

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) links: Links,
    pub(super) gossips: Gossips,
    pub(super) machines: Vec<PureMachine>,
    pub(super) processes: BTreeMap<Process, PureProcess>,
    pub(super) agreement: Agreement,
    pub(super) ledger: Ledger,
    pub(super) whims: Whims,
    pub(super) timings: Timings,
    pub(super) report: PureReport,
    pub(super) trace: String,
    steps: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let machines = FIRST + rng.below(MACHINES - FIRST + 1);
        let machine = |number: u64| PureMachine {
            disk: Disk::empty(storage(number)),
            backup: None,
            wanted: (number < FIRST).then_some(NodeId(number as u16)),
            retired: number >= FIRST,
        };
        Self {
            now: Instant::from_nanos(1_000_000_000),
            links: Links::new(rng.next(), machines as usize),
            gossips: Gossips::new(rng.next(), Profile::LAN),
            machines: (0..machines).map(machine).collect(),
            processes: BTreeMap::new(),
            agreement: Agreement::default(),
            ledger: Ledger::default(),
            whims: Whims::new(rng.next()),
            timings: Timings {
                steady: Duration::from_secs(10),
                between_transfers: Duration::from_secs(20),
                ..Timings::product()
            },
            report: PureReport::default(),
            trace: String::new(),
            steps: 0,
            rng,
        }
    }

    /// The first machine founds a cluster and the next ones join.
    pub(super) fn form(&mut self) -> Result<(), Violation> {
        let cluster = ClusterId::from_bytes([7; 16]);
        let founder = self.start(0);
        self.machines[0].disk.member = Some(RaftId::new(NodeId(0), 0));
        self.agreement.voters.insert(RaftId::new(NodeId(0), 0));
        self.agreement.leader = Some(founder);
        let founded = self.agree(&Command::Found { cluster })?;
        ensure(founded.is_ok(), super::super::check::M3, || {
            format!("{founded:?}")
        })?;
        for machine in 1..FIRST as Machine {
            self.start(machine);
        }
        self.run(Duration::from_secs(10), |_| Ok(()))
    }

    /// Lets time pass, with `each` called after every step.
    pub(super) fn run(
        &mut self,
        time: Duration,
        mut each: impl FnMut(&mut Self) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let until = self.now.after(time);
        while self.now < until {
            self.step()?;
            each(self)?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Violation> {
        let until = self.now.after(STEP);
        while let Some(at) = self.gossips.next().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.gossips.run(self.now, &mut self.links);
        }
        self.now = until;
        self.steps += 1;
        self.step_agreement();
        for process in self.processes.keys().copied().collect::<Vec<_>>() {
            self.step_process(process)?;
        }
        if self.steps.is_multiple_of(5) {
            self.decide()?;
        }
        Ok(())
    }

    /// A process that is to end does; one that is not registered yet tries.
    fn step_process(&mut self, id: Process) -> Result<(), Violation> {
        if !self.is_running(id) {
            return Ok(());
        }
        if let Some(by) = self.gossips.fenced_by(id) {
            self.retire(id, format_args!("{by:?} took its place"));
            return Ok(());
        }
        let Some(process) = self.processes.get(&id) else {
            return Ok(());
        };
        let waits = process.serves.is_none();
        if waits && self.steps.is_multiple_of(10) {
            self.register(id)?;
        } else if self.steps.is_multiple_of(20) {
            self.greet(id);
        }
        Ok(())
    }

    /// A process makes a connection to the one who leads, which may not want it.
    fn greet(&mut self, id: Process) {
        let Some(leader) = self
            .agreement
            .leader
            .filter(|leader| self.are_joined(id, *leader))
        else {
            return;
        };
        let (Some(process), Some(leader)) = (self.processes.get(&id), self.processes.get(&leader))
        else {
            return;
        };
        let disk = &self.machines[process.machine].disk;
        let claim = disk.claim(leader.catalog.cluster(), process.boot);
        match leader.catalog.admit(&claim) {
            // A later process of the same node must be heard of by gossip too.
            Ok(()) | Err(Refusal::OldCopy(_)) => {}
            Err(refusal) => self.retire(id, refusal),
        }
    }

    /// Starts a process on a machine.
    pub(super) fn start(&mut self, on: Machine) -> Process {
        self.report.starts += 1;
        let id = self.report.starts;
        let boot = BootId::from_bytes(u128::from(id).to_be_bytes());
        let disk = &mut self.machines[on].disk;
        let ancestors = disk.ancestors.clone();
        disk.ancestors.push(boot);
        self.ledger.note_start(boot, Start { ancestors });
        let mut process = PureProcess {
            machine: on,
            boot,
            started: self.now,
            serves: None,
            paused: false,
            catalog: catalog::Catalog::default(),
            applied: 0,
            memory: Memory::default(),
        };
        for command in &self.agreement.log[..disk.holds] {
            let _ = process.catalog.apply(command);
        }
        process.applied = disk.holds;
        self.processes.insert(id, process);
        self.note(format_args!("process {id} starts on machine {on}"));
        id
    }

    /// A process ends where it stands.
    pub(super) fn kill(&mut self, id: Process) {
        self.gossips.stop(id);
        self.processes.remove(&id);
        self.note(format_args!("process {id} ends"));
    }

    /// A process is told to end and not to come back like this.
    pub(super) fn retire(&mut self, id: Process, why: impl fmt::Display) {
        self.note(format_args!("process {id} must end: {why}"));
        self.report.refused += 1;
        if let Some(process) = self.processes.get(&id) {
            self.machines[process.machine].retired = true;
        }
        self.kill(id);
    }

    /// Tells a membership who is in the catalog of its process.
    pub(super) fn spread_roster(&mut self, id: Process) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        let nodes = process.catalog.nodes();
        let address = |text: &str| text.parse::<SocketAddr>().ok();
        let roster = nodes.filter_map(|node| Some((node.id, address(&node.addresses.peer)?)));
        let roster = roster.collect();
        self.gossips
            .set_roster(self.now, id, &roster, &mut self.links);
    }

    /// How the consensus knows a process, once it has a place there.
    pub(super) fn raft_id(&self, id: Process) -> Option<RaftId> {
        let process = self.processes.get(&id)?;
        self.machines[process.machine].disk.member
    }

    pub(super) fn is_running(&self, id: Process) -> bool {
        self.processes
            .get(&id)
            .is_some_and(|process| !process.paused)
    }

    pub(super) fn are_joined(&self, a: Process, b: Process) -> bool {
        match (self.processes.get(&a), self.processes.get(&b)) {
            (Some(a), Some(b)) => self.links.are_joined(a.machine, b.machine),
            _ => false,
        }
    }

    /// The process that runs on a machine.
    pub(super) fn process_on(&self, machine: Machine) -> Option<Process> {
        let mut processes = self.processes.iter();
        let found = processes.find(|(_, process)| process.machine == machine);
        found.map(|(id, _)| *id)
    }

    pub(super) fn clock(&self) -> String {
        format!("at {:?}", self.now.since(Instant::ZERO))
    }

    pub(super) fn note(&mut self, what: fmt::Arguments<'_>) {
        let at = self.now.since(Instant::ZERO).as_micros();
        let _ = writeln!(self.trace, "{at} {what}");
    }
}

/// The disk of this number.
pub(super) fn storage(number: u64) -> StorageId {
    StorageId::from_bytes((u128::from(number) + 1).to_be_bytes())
}
