//! Many faults at once, chosen by a seed: what no exhaustive test reaches.
//!
//! Each seed first decides which kinds of fault it knows at all, so that rare mixes are met, and
//! then lives through several crashes and restarts, checked at every one of them.

use std::time::Duration;

use seglog::disk::sim::{Crash, OpKind, Rng, SimDisk};

use crate::check::recovery::Found;
use crate::check::{S3, Violation};
use crate::driver::Driver;
use crate::engine;
use crate::flip;
use crate::plan::{self, Step};

const STEPS: usize = 400;

/// Seeds that once found a mistake.
pub const KNOWN_SEEDS: [u64; 3] = [1048, 5508, 20023];

/// What happened to one seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChaosReport {
    /// Power cuts and restarts survived.
    pub lives: u64,
    /// Records acked since the last power cut.
    pub acks: u64,
}

/// Which faults a seed knows.
#[derive(Debug)]
struct Faults {
    power: bool,
    writes: bool,
    syncs: bool,
    reads: bool,
    space: bool,
    slow: bool,
    rot: bool,
}

impl Faults {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            power: rng.chance(60),
            writes: rng.chance(35),
            syncs: rng.chance(35),
            reads: rng.chance(25),
            space: rng.chance(35),
            slow: rng.chance(20),
            rot: rng.chance(30),
        }
    }
}

/// One seed from beginning to end.
pub fn run(seed: u64) -> Result<ChaosReport, Violation> {
    live(&mut Driver::new(seed)?, seed)
}

/// Steps, disk operations and acks of one seed, one a line: the same for the same seed.
pub fn trace(seed: u64) -> Result<String, Violation> {
    let mut driver = Driver::new(seed)?;
    let end =
        live(&mut driver, seed).map_or_else(|violation| violation.to_string(), |_| String::new());
    Ok(format!("{}{end}", driver.trace()))
}

fn live(driver: &mut Driver, seed: u64) -> Result<ChaosReport, Violation> {
    let mut rng = Rng::new(seed ^ 0xc4a0_5000);
    let mut faults = Faults::draw(&mut rng);
    let mut report = ChaosReport::default();
    for (number, step) in plan::steps(seed, STEPS).into_iter().enumerate() {
        let lived = one_step(driver, step, &faults, &mut rng);
        report.lives +=
            lived.map_err(|violation| violation.at(format!("step {number}, {step}")))?;
    }
    driver.disk.set_capacity(None);
    driver.disk.heal();
    faults.space = false;
    report.lives += revive(driver, &faults, &mut rng)?;
    driver.check_takes_appends()?;
    let found = driver.check_now()?;
    driver.check_acks()?;
    report.acks = driver.history.lock().acks.len() as u64;
    if let Some(found) = found.filter(|_| faults.rot) {
        rot(driver, &found, &mut rng)?;
    }
    Ok(report)
}

fn one_step(
    driver: &mut Driver,
    step: Step,
    faults: &Faults,
    rng: &mut Rng,
) -> Result<u64, Violation> {
    inject(driver, faults, rng);
    if matches!(step, Step::Reopen) {
        // A start on a disk that refuses is refused too; that is another test's matter. On a full
        // one it must serve.
        driver.disk.heal();
        fill_before_a_start(&driver.disk, faults);
    }
    driver.step(step)?;
    if driver.has_stopped() {
        driver.check_ends()?;
        return revive(driver, faults, rng);
    }
    if faults.power && rng.chance(2) {
        return power_cut(driver, faults, rng).map(|()| 1);
    }
    if rng.chance(5) {
        driver.check_now_if_readable()?;
    }
    Ok(0)
}

/// Sets up what will go wrong soon.
fn inject(driver: &Driver, faults: &Faults, rng: &mut Rng) {
    let disk = &driver.disk;
    if faults.writes && rng.chance(1) {
        disk.fail(OpKind::Write, "", rng.below(4));
    }
    if faults.syncs && rng.chance(1) {
        let kind = if rng.chance(75) {
            OpKind::Sync
        } else {
            OpKind::SyncDir
        };
        disk.fail(kind, "", rng.below(3));
    }
    if faults.reads && rng.chance(2) {
        disk.fail(OpKind::Read, "", rng.below(3));
    }
    if faults.slow && rng.chance(5) {
        disk.set_sync_cost(Duration::from_millis(rng.below(5_000)));
    }
    if faults.space && rng.chance(4) {
        // Full at once or soon; sometimes lifted.
        let room = driver.disk.used() + rng.below(12_000);
        disk.set_capacity(rng.chance(60).then_some(room));
    }
}

/// A stopped store starts again, in the same machine or after a power cut.
fn revive(driver: &mut Driver, faults: &Faults, rng: &mut Rng) -> Result<u64, Violation> {
    if !driver.has_stopped() {
        return Ok(0);
    }
    driver.disk.heal();
    if rng.chance(50) {
        return power_cut(driver, faults, rng).map(|()| 1);
    }
    fill_before_a_start(&driver.disk, faults);
    driver.restart()?;
    Ok(1)
}

/// The power fails, now and then again while the store recovers.
fn power_cut(driver: &mut Driver, faults: &Faults, rng: &mut Rng) -> Result<(), Violation> {
    let mut found = driver.disk.crash(pick(rng), rng.next());
    driver.bury()?;
    while rng.chance(25) {
        found.crash_at(found.op_count() + rng.below(30));
        drop(engine::open(&found));
        found = found.crash(pick(rng), rng.next());
    }
    fill_before_a_start(&found, faults);
    driver.crash_to(found)
}

/// Lifts the limit, or where space is short at times, sets it to little more than there is. What
/// decides is how much there is, so that everything else a seed draws stays the same.
fn fill_before_a_start(disk: &SimDisk, faults: &Faults) {
    let used = disk.used();
    let tight = faults.space && !used.is_multiple_of(3);
    disk.set_capacity(tight.then_some(used + used % 5_000));
}

fn pick(rng: &mut Rng) -> Crash {
    *rng.pick(&Crash::ALL).unwrap_or(&Crash::Torn)
}

/// Bits of segments rot under the open store: S3 holds without a restart too.
fn rot(driver: &Driver, found: &Found, rng: &mut Rng) -> Result<(), Violation> {
    let files = driver.disk.files();
    for _ in 0..4 {
        if let Some((path, len)) = rng.pick(&files) {
            driver
                .disk
                .flip_bit(path, rng.below(*len), rng.below(8) as u8);
        }
    }
    let told = driver.with_open(|log| flip::s3_damage_is_told_never_served(log, found));
    told.map_err(|violation| {
        Violation {
            invariant: S3,
            ..violation
        }
        .at("rot under an open store")
    })?;
    Ok(())
}
