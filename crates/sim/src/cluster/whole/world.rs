//! The world: machines, the processes on them, and all that is known about both.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use catalog::RaftId;
use control::testing::Pause;
use control::{Control, Timings};
use model::{BootId, Instant, NodeId};
use parking_lot::{Mutex, MutexGuard};
use peer::membership::Profile;
use seglog::disk::sim::Rng;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::super::clocks::Clocks;
use super::super::gossips::{Gossips, Process};
use super::super::links::{Links, Machine};
use super::super::whims::Whims;
use super::WholeReport;
use super::history::History;
use super::process::{End, WholeMachine, WholeProcess};
use super::watch::Watch;
use crate::Violation;

/// Machines in all, at most.
const MACHINES: u64 = 7;

/// Everything there is. Clones are the same world. It is locked for moments only, never across an await.
#[derive(Debug, Clone)]
pub(super) struct World(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    origin: tokio::time::Instant,
    /// Rings when memberships have something new to do.
    gossip: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    origin: tokio::time::Instant,
    pub(super) rng: Rng,
    pub(super) links: Links,
    pub(super) gossips: Gossips,
    pub(super) machines: Vec<WholeMachine>,
    pub(super) processes: BTreeMap<Process, WholeProcess>,
    pub(super) whims: Whims,
    pub(super) watch: Watch,
    pub(super) history: History,
    /// Nodes that the operator has given up, whether that has taken effect yet or not.
    pub(super) given_up: BTreeSet<RaftId>,
    pub(super) timings: Timings,
    pub(super) snapshot_after: u64,
    /// How long a disk that is well takes to sync.
    pub(super) sync: Duration,
    /// Whether some monotonic clocks are fast or slow.
    pub(super) are_clocks_off: bool,
    pub(super) report: WholeReport,
    pub(super) trace: String,
    /// Whether every message is written to the trace.
    pub(super) is_verbose: bool,
    violation: Option<Violation>,
}

impl World {
    /// A world of at least so many machines, and no process.
    pub(super) fn new(seed: u64, least: usize, is_verbose: bool) -> Self {
        let mut rng = Rng::new(seed);
        let machines = least.max(3 + rng.below(MACHINES - 2) as usize);
        let origin = tokio::time::Instant::now();
        let sync = Duration::from_millis(1 + rng.below(8));
        let state = State {
            origin,
            links: Links::new(rng.next(), machines),
            gossips: Gossips::new(rng.next(), Profile::LAN),
            machines: (0..machines)
                .map(|number| WholeMachine::new(number, sync))
                .collect(),
            processes: BTreeMap::new(),
            whims: Whims::new(rng.next()),
            watch: Watch::default(),
            history: History::default(),
            given_up: BTreeSet::new(),
            timings: Timings::product(),
            snapshot_after: *rng.pick(&[20, 60, 200]).unwrap_or(&60),
            sync,
            are_clocks_off: rng.chance(50),
            report: WholeReport::default(),
            trace: String::new(),
            is_verbose,
            violation: None,
            rng,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            origin,
            gossip: Notify::new(),
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    pub(super) fn now(&self) -> Instant {
        instant(self.0.origin)
    }

    /// Starts a task of a process. It stops and ends with the process.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        process: Process,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let pause = self.lock().pause_of(process);
        let handle = tokio::spawn(pause.hold(task));
        match self.lock().processes.get_mut(&process) {
            Some(process) => process.remember(handle.abort_handle()),
            None => handle.abort(),
        }
        handle
    }

    /// Lets the memberships run, for ever.
    pub(super) async fn run_gossip(self) {
        loop {
            let next = {
                let mut state = self.lock();
                let now = state.now();
                let state = &mut *state;
                state.gossips.run(now, &mut state.links);
                state.gossips.next()
            };
            let wait = next.map_or(Duration::from_secs(1), |next| next.since(self.now()));
            let rung = self.0.gossip.notified();
            // Whichever comes first; the bell counts as a ring that came early.
            let _ = tokio::time::timeout(wait, rung).await;
        }
    }

    /// Something was put into the memberships' queue.
    pub(super) fn ring(&self) {
        self.0.gossip.notify_one();
    }

    /// Waits, checking everything every 20 ms.
    pub(super) async fn pass(&self, time: Duration) -> Result<(), Violation> {
        let until = self.now().after(time);
        while self.now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.look()?;
        }
        Ok(())
    }

    /// Checks everything that can be checked at any time.
    pub(super) fn look(&self) -> Result<(), Violation> {
        let mut state = self.lock();
        state.reap();
        state.look()?;
        match state.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }
}

impl State {
    pub(super) fn now(&self) -> Instant {
        instant(self.origin)
    }

    /// Keeps a violation until somebody looks.
    pub(super) fn hold(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.violation.get_or_insert(violation);
        }
    }

    /// A process ends at the next look.
    pub(super) fn end_soon(&mut self, process: Process, end: End) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.ends.get_or_insert(end);
        }
    }

    /// Ends the processes that are to end.
    fn reap(&mut self) {
        let awake = self.processes.iter();
        let awake = awake.filter(|(_, process)| !process.pause.is_on());
        for id in awake.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(by) = self.gossips.fenced_by(id) {
                self.end_soon(id, End::Refused(format!("{by:?} took its place")));
            }
            let ends = self
                .processes
                .get(&id)
                .and_then(|process| process.ends.clone());
            if let Some(end) = ends {
                self.end(id, &end);
            }
        }
    }

    fn end(&mut self, id: Process, end: &End) {
        let (End::Failed(why) | End::Refused(why)) = end;
        self.note(format_args!("process {id} must end: {why}"));
        let machine = self.machine_of(id);
        self.kill(id, true);
        let machine = machine.and_then(|machine| self.machines.get_mut(machine));
        if let (Some(machine), End::Refused(_)) = (machine, end) {
            machine.retired = true;
            self.report.refused += 1;
        }
    }

    /// A process ends where it stands. The transaction that is on its way to the disk gets there, or not.
    pub(super) fn kill(&mut self, id: Process, keep_pending: bool) {
        self.gossips.stop(id);
        let Some(process) = self.processes.remove(&id) else {
            return;
        };
        process.end();
        if let Some(machine) = self.machines.get(process.machine) {
            machine.disk.crash(keep_pending);
        }
        self.note(format_args!("process {id} ends"));
    }

    pub(super) fn machine_of(&self, process: Process) -> Option<Machine> {
        Some(self.processes.get(&process)?.machine)
    }

    /// What stops a process; nothing if there is none.
    pub(super) fn pause_of(&self, process: Process) -> Pause {
        let process = self.processes.get(&process);
        process
            .map(|process| process.pause.clone())
            .unwrap_or_default()
    }

    /// The clocks that a process reads.
    pub(super) fn clocks_of(&self, process: Process) -> Clocks {
        let machine = self.machine_of(process);
        let machine = machine.and_then(|machine| self.machines.get(machine));
        machine.map(|machine| machine.clocks).unwrap_or_default()
    }

    /// The process that runs on a machine.
    pub(super) fn process_on(&self, machine: Machine) -> Option<Process> {
        let mut processes = self.processes.iter();
        let found = processes.find(|(_, process)| process.machine == machine);
        found.map(|(id, _)| *id)
    }

    /// The processes that are registered, with their controls.
    pub(super) fn serving(&self) -> impl Iterator<Item = (Process, NodeId, &Control)> {
        self.processes
            .iter()
            .filter_map(|(id, process)| Some((*id, process.serves?.0, process.control.as_ref()?)))
    }

    /// Who starts where, for the ledger: what came before on that disk.
    pub(super) fn note_boot(&mut self, machine: Machine, boot: BootId) {
        let Some(machine) = self.machines.get_mut(machine) else {
            return;
        };
        let ancestors = machine.disk.ancestors.clone();
        machine.disk.ancestors.push(boot);
        self.watch.note_start(boot, ancestors);
    }

    pub(super) fn note(&mut self, what: fmt::Arguments<'_>) {
        let at = self.now().since(Instant::ZERO).as_micros();
        let _ = writeln!(self.trace, "{at} {what}");
    }

    /// One message, by its kind, its length and a hash of its bytes.
    pub(super) fn note_message(&mut self, from: Process, to: Process, bytes: &[u8]) {
        self.report.messages += 1;
        if self.is_verbose {
            let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
            });
            let kind = bytes.first().copied().unwrap_or_default();
            let length = bytes.len();
            self.note(format_args!("{from}>{to} {kind} {length} {hash:x}"));
        }
    }
}

fn instant(origin: tokio::time::Instant) -> Instant {
    Instant::from_nanos(1_000_000_000).after(origin.elapsed())
}
