//! The power fails at every single operation of a trace, in every way.
//!
//! The trace runs once. After each operation that changes the disk, and before the store hears of
//! it, the disk is copied as each kind of crash would leave it, and a store is opened on the copy
//! and compared with what was asked and acked up to that moment.

use std::sync::Arc;

use parking_lot::Mutex;
use seglog::disk::sim::{Crash, Op, Rng, SimDisk};

use crate::check::recovery::{self, Found};
use crate::check::{S2, Violation};
use crate::driver::Driver;
use crate::engine;
use crate::history::History;
use crate::plan::{self, SLOTS, Step};

/// Share of the crashes after which the recovered store is put to further tests.
const DEEPER_PERCENT: u64 = 8;

/// What is explored.
#[derive(Debug, Clone, Copy)]
pub struct CrashRun {
    /// Decides the trace and what each crash keeps.
    pub seed: u64,
    /// Steps of the trace.
    pub steps: usize,
    /// Only operations whose number leaves `part` when divided by `parts`: for several threads, or
    /// for a sample.
    pub parts: u64,
    /// See `parts`.
    pub part: u64,
    /// Only this operation, and with a violation the trace of what led to it.
    pub only: Option<u64>,
}

/// What was explored.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrashReport {
    /// Power cuts at different operations.
    pub crash_points: u64,
    /// Disks opened and compared.
    pub recoveries: u64,
    /// Records acked in the trace.
    pub acks: u64,
}

/// Shared with the observer.
#[derive(Debug, Default)]
struct Progress {
    report: CrashReport,
    violation: Option<Violation>,
}

/// Every crash of one run.
pub fn explore(run: CrashRun) -> Result<CrashReport, Violation> {
    let progress = Arc::new(Mutex::new(Progress::default()));
    let mut driver = Driver::over(SimDisk::new(run.seed));
    watch(&driver, run, &progress);
    driver.open()?;
    for (number, step) in plan::steps(run.seed, run.steps).into_iter().enumerate() {
        driver
            .step(step)
            .map_err(|violation| violation.at(format!("step {number}, {step}")))?;
        if let Some(violation) = progress.lock().violation.take() {
            return Err(violation.at(format!("step {number}, {step}")));
        }
    }
    driver.check_acks()?;
    driver.check_now()?;
    driver.disk.observe(None);
    let mut report = progress.lock().report;
    report.acks = driver.history.lock().acks.len() as u64;
    Ok(report)
}

fn watch(driver: &Driver, run: CrashRun, progress: &Arc<Mutex<Progress>>) {
    let (history, progress) = (Arc::clone(&driver.history), Arc::clone(progress));
    driver.disk.observe(Some(Box::new(move |disk, op| {
        let mut progress = progress.lock();
        let chosen = match run.only {
            Some(number) => op.number == number,
            None => op.number % run.parts == run.part,
        };
        if !chosen || progress.violation.is_some() {
            return;
        }
        let history = history.lock();
        progress.report.crash_points += 1;
        for crash in Crash::ALL {
            progress.report.recoveries += 1;
            if let Err(violation) = cut(disk, op, crash, run, &history) {
                progress.violation = Some(violation.at(format!("{} at [{op}]", crash.as_str())));
                return;
            }
        }
    })));
}

fn cut(
    disk: &SimDisk,
    op: &Op,
    crash: Crash,
    run: CrashRun,
    history: &History,
) -> Result<(), Violation> {
    let seed = run.seed ^ (op.number << 8) ^ crash as u64;
    let found_disk = disk.crash(crash, seed);
    // Recovery changes the disk, so what looks at it again takes its own copy first.
    let mut rng = Rng::new(seed);
    let copy = rng
        .chance(DEEPER_PERCENT)
        .then(|| engine::copy(&found_disk));
    let (log, found) = recovery::s3_a_torn_tail_is_cut_without_complaint(&found_disk)?;
    recovery::s2_recovery_is_a_prefix_with_every_ack(&found, history)?;
    let Some(copy) = copy else { return Ok(()) };
    let times = recovery::find_times(&log, &found)?;
    recovery::s7_indexes_are_derivable(&copy, &found, &times)?;
    let mut history = history.clone();
    history.adopt(&found.bounds());
    crash_during_recovery(&copy, &found, &history, &mut rng)?;
    drop(log);
    let mut driver = Driver::resume(found_disk, history)?;
    second_life(&mut driver, seed).map_err(|violation| {
        let trace = run.only.map_or("", |_| driver.trace());
        violation.at(format!("{trace}in the second life"))
    })
}

/// S2: a crash at any point of a recovery leaves a disk from which the same is recovered.
fn crash_during_recovery(
    disk: &SimDisk,
    expected: &Found,
    history: &History,
    rng: &mut Rng,
) -> Result<(), Violation> {
    for _ in 0..3 {
        let again = engine::copy(disk);
        let number = again.op_count() + rng.below(24);
        again.crash_at(number);
        drop(engine::open(&again));
        let crash = *rng.pick(&Crash::ALL).unwrap_or(&Crash::Torn);
        let found_disk = again.crash(crash, rng.next());
        let place = || {
            format!(
                "after a {} crash at operation {number} of recovery",
                crash.as_str()
            )
        };
        let (_, found) = recovery::s3_a_torn_tail_is_cut_without_complaint(&found_disk)
            .map_err(|violation| violation.at(place()))?;
        recovery::s2_recovery_is_a_prefix_with_every_ack(&found, history)
            .map_err(|violation| violation.at(place()))?;
        if found != *expected {
            return Err(Violation::new(S2, "recovery gives something else").at(place()));
        }
    }
    Ok(())
}

/// The recovered store is as good as any: it takes appends, and they survive the next crash.
fn second_life(driver: &mut Driver, seed: u64) -> Result<(), Violation> {
    let appends = (0..SLOTS).map(|slot| Step::Append {
        slot,
        records: 2,
        value_bytes: 300,
    });
    for step in appends.chain([Step::Commit, Step::Settle, Step::Checkpoint]) {
        driver.step(step)?;
    }
    driver.step(Step::Append {
        slot: 0,
        records: 1,
        value_bytes: 50,
    })?;
    driver.step(Step::Commit)?;
    driver.check_now()?;
    let crashed = driver.disk.crash(Crash::Torn, seed);
    driver.crash_to(crashed)
}
