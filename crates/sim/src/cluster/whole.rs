//! Whole control nodes: the consensus engine, control's loop, the membership and the catalog as shipped, on
//! one thread in simulated time. The network, disks and clocks are simulated; a disk loses what
//! was not synced.
//!
//! A seed lives through faults with clients and an operator at work, every invariant checked every 20 ms; then
//! through a time in which a majority alone is well, if the seed says so; then through a calm.

mod bytes;
mod disk;
mod faults;
mod history;
mod life;
mod process;
mod scripts;
mod senses;
mod settle;
mod storm;
mod watch;
mod wire;
mod world;

use std::future::Future;
use std::time::Duration;

use model::Instant;

pub use faults::{Fault, Faults};
pub use scripts::{SCRIPTS, Script};

use crate::Violation;
use check::HARNESS;
use world::World;

use super::check;

/// How long there are faults.
const STORM: Duration = Duration::from_secs(45);
/// Until the first nodes have found each other.
const FORM: Duration = Duration::from_secs(6);
const CLIENTS: u64 = 3;

/// What happened to one seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WholeReport {
    /// Processes that started.
    pub starts: u64,
    /// Processes that were told that they must end.
    pub refused: u64,
    /// Requests and answers of control.
    pub messages: u64,
    /// Entries that were agreed on.
    pub agreed: u64,
    /// Commands that were acknowledged to clients.
    pub acknowledged: u64,
    /// Leaders that there were.
    pub leaders: u64,
    /// Times that leadership was handed over.
    pub transfers: u64,
    /// What went wrong.
    pub faults: Faults,
}

/// One seed from beginning to end.
pub fn run(seed: u64) -> Result<WholeReport, Violation> {
    simulate(seed, 3, false, live).0
}

/// One situation on one seed.
pub fn play(script: &Script, seed: u64) -> Result<WholeReport, Violation> {
    let played = simulate(seed, script.nodes, false, async |world: &World| {
        script.play(world).await
    })
    .0;
    played.map_err(|violation| violation.at(script.name))
}

/// What happened to one seed, one event a line, every message among them: the same for the same seed.
#[must_use]
pub fn trace(seed: u64) -> String {
    let (lived, trace) = simulate(seed, 3, true, live);
    let end = lived.map_or_else(
        |violation| violation.to_string(),
        |report| format!("{report:?}"),
    );
    format!("{trace}{end}\n")
}

fn simulate(
    seed: u64,
    machines: usize,
    is_verbose: bool,
    life: impl AsyncFnOnce(&World) -> Result<(), Violation>,
) -> (Result<WholeReport, Violation>, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return (Err(Violation::new(HARNESS, error)), String::new()),
    };
    runtime.block_on(async {
        let world = World::new(seed, machines, is_verbose);
        drop(tokio::spawn(world.clone().run_gossip()));
        let lived = life(&world).await;
        let mut state = world.lock();
        if lived.is_err() {
            state.note_statuses();
        }
        let at = state.now().since(Instant::ZERO);
        let report = state.summary();
        let trace = std::mem::take(&mut state.trace);
        (
            lived
                .map(|()| report)
                .map_err(|it| it.at(format!("at {at:?}"))),
            trace,
        )
    })
}

async fn live(world: &World) -> Result<(), Violation> {
    world.form().await?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| spawn(world.clone().run_client(number)))
        .collect();
    world.storm(STORM).await?;
    if world.lock().rng.chance(50) {
        world.settle_core().await?;
    }
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    world.settle_all().await
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(task)
}

impl World {
    /// The first machine founds a cluster and the next ones join.
    async fn form(&self) -> Result<(), Violation> {
        let first = 1 + self.lock().rng.below(5) as usize;
        let machines = self.lock().machines.len().min(first);
        for machine in 0..machines {
            self.start(machine, machine == 0);
            self.pass(Duration::from_millis(500)).await?;
        }
        self.pass(FORM).await
    }
}

impl world::State {
    /// How everybody is, for whoever reads the trace.
    fn note_statuses(&mut self) {
        let serving = self
            .serving()
            .map(|(id, _, control)| (id, control.status()));
        for (id, status) in serving.collect::<Vec<_>>() {
            self.note(format_args!("process {id}: {status:?}"));
        }
    }

    fn summary(&self) -> WholeReport {
        WholeReport {
            agreed: self.watch.agreed.len() as u64,
            acknowledged: self.history.acknowledged(),
            leaders: self.watch.terms() as u64,
            transfers: self.watch.transfers_since(Instant::ZERO) as u64,
            ..self.report.clone()
        }
    }
}
