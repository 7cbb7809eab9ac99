//! The invariants of the log, under every crash, under rot, and under everything at once; and those of a
//! cluster.

mod cluster;

use std::process::Command;
use std::thread;

use sim::crash::{CrashReport, CrashRun};
use sim::{chaos, crash, flip};

const STEPS: usize = 1000;

/// F2 of the fault list: a power cut at every disk operation of a 1,000-step trace, in four ways.
#[test]
fn every_invariant_holds_after_a_crash_at_every_operation() {
    let parts = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let run = |part| CrashRun {
        seed: 1,
        steps: STEPS,
        parts,
        part,
        only: None,
    };
    let reports: Vec<CrashReport> = thread::scope(|scope| {
        let spawn = |part| scope.spawn(move || crash::explore(run(part)));
        let threads: Vec<_> = (0..parts).map(spawn).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap().unwrap())
            .collect()
    });
    let points: u64 = reports.iter().map(|report| report.crash_points).sum();
    let recoveries: u64 = reports.iter().map(|report| report.recoveries).sum();
    assert!(
        points > 1_000,
        "{points} crash points: the trace hardly writes"
    );
    assert_eq!(recoveries, points * 4);
    assert!(reports[0].acks > 300, "{} acks", reports[0].acks);
}

/// F8: wherever a bit flips, reads are exact or say that they cannot be.
#[test]
fn a_flipped_bit_is_found_and_never_served() {
    let report = flip::explore(1, 150, 8).unwrap();
    assert!(report.flips > 2_000, "{report:?}");
    assert!(
        report.refused > 10 && report.told > 100 && report.harmless > 100,
        "{report:?}"
    );
}

/// F2, F7, F13 and F14 mixed; the seeds that once found a mistake stay in the list.
#[test]
fn fixed_seeds_survive_mixed_faults() {
    for seed in (0..100).chain(chaos::KNOWN_SEEDS) {
        chaos::run(seed).unwrap_or_else(|violation| panic!("{}", replay(seed, &violation)));
    }
}

#[test]
fn fresh_seeds_survive_mixed_faults() {
    let first = fresh_seed();
    for seed in first..first + 40 {
        chaos::run(seed).unwrap_or_else(|violation| panic!("{}", replay(seed, &violation)));
    }
}

fn replay(seed: u64, violation: &sim::Violation) -> String {
    format!("{violation}\nreplay: cargo run -p sim -- chaos --seed {seed} --seeds 1")
}

#[test]
fn the_same_seed_gives_the_same_trace_in_one_process() {
    assert_eq!(sim::trace(7, STEPS).unwrap(), sim::trace(7, STEPS).unwrap());
    assert_ne!(sim::trace(7, STEPS).unwrap(), sim::trace(8, STEPS).unwrap());
    assert_eq!(chaos::trace(7).unwrap(), chaos::trace(7).unwrap());
}

#[test]
fn the_same_seed_gives_the_same_trace_in_two_processes() {
    for what in ["crash", "chaos"] {
        assert!(prints_the_same_twice(what).unwrap(), "{what}");
    }
}

/// Whether two processes print the same trace of a seed, and one that says something.
fn prints_the_same_twice(what: &str) -> std::io::Result<bool> {
    let (first, second) = (trace_of(what)?, trace_of(what)?);
    Ok(first.len() > 10_000 && first == second)
}

/// Another one at every run.
fn fresh_seed() -> u64 {
    let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::from(since_1970.subsec_nanos()) << 16
}

fn trace_of(what: &str) -> std::io::Result<Vec<u8>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    Ok(command
        .args([what, "--seed", "11", "--trace"])
        .output()?
        .stdout)
}
