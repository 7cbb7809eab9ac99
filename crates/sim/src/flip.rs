//! Bits rot: S3 for every kind of byte on the disk.
//!
//! One bit is turned over in a copy of a good disk. Then either the start is refused, and turning
//! the bit back makes everything good again; or the store opens, and every read gives the exact
//! records or says where they are damaged. Never wrong bytes, never fewer records without a word.

use seglog::disk::sim::{Crash, Rng, SimDisk};
use seglog::{ReadError, StoreError};

use crate::check::recovery::{self, Found, FoundPartition, end_of};
use crate::check::{S3, Violation, ensure};
use crate::driver::Driver;
use crate::engine::{self, Log};
use crate::plan::{self, Step};

/// Bytes at the front of every file whose every bit is tried: headers and tables are there.
const FRONT_BYTES: u64 = 128;

/// What was tried, and how it ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlipReport {
    /// Bits turned over.
    pub flips: u64,
    /// Starts refused.
    pub refused: u64,
    /// Stores that told of damaged records.
    pub told: u64,
    /// Stores to which the bit meant nothing.
    pub harmless: u64,
}

/// Which disks bits are turned over on.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Closed in good order.
    Closed,
    /// The process was killed after its idle mark, records still in the journal.
    Killed,
}

/// Bits of every file in the disk that `steps` steps of `seed` leave; `per_page` of each 4 KiB.
pub fn explore(seed: u64, steps: usize, per_page: u64) -> Result<FlipReport, Violation> {
    let mut report = FlipReport::default();
    for state in [State::Closed, State::Killed] {
        let disk = leave(seed, steps, state)?;
        let expected = baseline(&disk)?;
        for (path, len) in disk.files() {
            for (byte, bit) in targets(seed, len, per_page) {
                let place = || format!("{state:?}, {path}, byte {byte}, bit {bit}");
                flip(&disk, &path, byte, bit, &expected, &mut report)
                    .map_err(|violation| violation.at(place()))?;
            }
        }
    }
    Ok(report)
}

/// A disk as the workload leaves it.
fn leave(seed: u64, steps: usize, state: State) -> Result<SimDisk, Violation> {
    let mut driver = Driver::new(seed)?;
    for step in plan::steps(seed, steps) {
        driver.step(step)?;
    }
    match state {
        State::Closed => driver.step(Step::Reopen)?,
        State::Killed => {
            driver.step(Step::Settle)?;
            for slot in 0..plan::SLOTS {
                driver.step(Step::Append {
                    slot,
                    records: 2,
                    value_bytes: 700,
                })?;
                driver.step(Step::Commit)?;
            }
            driver.step(Step::IdleMark)?;
        }
    }
    driver.check_now()?;
    if matches!(state, State::Closed) {
        driver.close();
    }
    Ok(driver.disk.crash(Crash::KeepAll, seed))
}

fn baseline(disk: &SimDisk) -> Result<Found, Violation> {
    let (_, found) = recovery::s3_a_torn_tail_is_cut_without_complaint(&engine::copy(disk))?;
    Ok(found)
}

/// Every byte at the front, then some of every page.
fn targets(seed: u64, len: u64, per_page: u64) -> Vec<(u64, u8)> {
    let mut rng = Rng::new(seed ^ len);
    let mut targets: Vec<(u64, u8)> = (0..len.min(FRONT_BYTES))
        .map(|byte| (byte, rng.below(8) as u8))
        .collect();
    for page in (0..len).step_by(4096) {
        let within = (len - page).min(4096);
        let front = (0..48.min(within)).step_by(3).map(|at| page + at);
        let random: Vec<u64> = (0..per_page).map(|_| page + rng.below(within)).collect();
        targets.extend(front.chain(random).map(|byte| (byte, rng.below(8) as u8)));
    }
    targets
}

fn flip(
    disk: &SimDisk,
    path: &str,
    byte: u64,
    bit: u8,
    expected: &Found,
    report: &mut FlipReport,
) -> Result<(), Violation> {
    let flipped = engine::copy(disk);
    flipped.flip_bit(path, byte, bit);
    report.flips += 1;
    match engine::open(&flipped) {
        Ok(log) if s3_damage_is_told_never_served(&log, expected)? => report.told += 1,
        Ok(_) => report.harmless += 1,
        Err(error) => {
            s3_a_refused_start_changes_nothing(&flipped, &error, expected, || {
                flipped.flip_bit(path, byte, bit);
            })?;
            report.refused += 1;
        }
    }
    Ok(())
}

/// S3: what is read is exact, and what cannot be read is named. Gives whether anything was.
pub(crate) fn s3_damage_is_told_never_served(
    log: &Log,
    expected: &Found,
) -> Result<bool, Violation> {
    let ids: Vec<_> = expected
        .partitions
        .iter()
        .map(|partition| partition.id)
        .collect();
    ensure(log.partitions() == ids, S3, || {
        format!("partitions are {:?}", log.partitions())
    })?;
    let mut told = false;
    for partition in &expected.partitions {
        told |= reads_are_exact_or_damaged(log, partition)?;
    }
    Ok(told)
}

fn reads_are_exact_or_damaged(log: &Log, expected: &FoundPartition) -> Result<bool, Violation> {
    let id = expected.id;
    let bounds = log.bounds(id).map_err(|error| Violation::new(S3, error))?;
    ensure(bounds == expected.bounds, S3, || {
        format!("{id}: {bounds:?} without a word, was {:?}", expected.bounds)
    })?;
    let (mut at, mut told) = (bounds.start, false);
    while at < bounds.end {
        match log.read(id, at, 3_000) {
            Ok(batches) => {
                let end = batches.last().map_or(at, end_of);
                let wanted = expected.batches.iter();
                let wanted = wanted.filter(|b| end_of(b) > at && b.header().base_offset < end);
                ensure(end > at && wanted.eq(&batches), S3, || {
                    format!("{id}: wrong at {at}")
                })?;
                at = end;
            }
            Err(ReadError::Damaged {
                at: from,
                resume_at,
            }) => {
                let sane = from <= at && resume_at > at && resume_at <= bounds.end;
                ensure(sane, S3, || {
                    format!("{id} at {at}: damaged {from}..{resume_at}")
                })?;
                told = true;
                at = resume_at;
            }
            Err(error) => return Err(Violation::new(S3, format!("{id} at {at}: {error}"))),
        }
    }
    Ok(told)
}

/// S3: a start that is refused because of damage leaves the disk as it was: mended, all is there.
fn s3_a_refused_start_changes_nothing(
    disk: &SimDisk,
    error: &StoreError,
    expected: &Found,
    mend: impl FnOnce(),
) -> Result<(), Violation> {
    let honest = matches!(error, StoreError::Damaged(_) | StoreError::Format(_));
    ensure(honest, S3, || {
        format!("refused for the wrong reason: {error}")
    })?;
    mend();
    let (_, found) = recovery::s3_a_torn_tail_is_cut_without_complaint(disk)
        .map_err(|violation| violation.at(format!("after mending \"{error}\"")))?;
    ensure(found == *expected, S3, || {
        format!("\"{error}\", and then something is missing")
    })
}
