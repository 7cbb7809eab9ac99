//! The invariants of a cluster: its pure machines on many seeds, whole nodes on a few.

use sim::Violation;
use sim::cluster::{pure, whole};

use crate::{fresh_seed, prints_the_same_twice};

fn replay(what: &str, seed: u64, violation: &Violation) -> String {
    format!("{violation}\nreplay: cargo xtask sim {what} --seed {seed} --seeds 1")
}

fn run_pure(seed: u64) -> pure::PureReport {
    pure::run(seed).unwrap_or_else(|violation| panic!("{}", replay("pure", seed, &violation)))
}

fn run_whole(seed: u64) -> whole::WholeReport {
    whole::run(seed).unwrap_or_else(|violation| panic!("{}", replay("cluster", seed, &violation)))
}

#[test]
fn pure_machines_survive_fixed_seeds() {
    let reports: Vec<_> = (0..150).map(run_pure).collect();
    let commands: u64 = reports.iter().map(|report| report.commands).sum();
    let refused: u64 = reports.iter().map(|report| report.refused).sum();
    let terms: u64 = reports.iter().map(|report| report.terms).sum();
    assert!(
        commands > 10_000 && refused > 100 && terms > 400,
        "{commands} {refused} {terms}"
    );
}

#[test]
fn pure_machines_survive_fresh_seeds() {
    let first = fresh_seed();
    for seed in first..first + 50 {
        run_pure(seed);
    }
}

#[test]
fn whole_nodes_survive_fixed_seeds() {
    let reports: Vec<_> = (0..16).map(run_whole).collect();
    let acknowledged: u64 = reports.iter().map(|report| report.acknowledged).sum();
    let leaders: u64 = reports.iter().map(|report| report.leaders).sum();
    let transfers: u64 = reports.iter().map(|report| report.transfers).sum();
    let refused: u64 = reports.iter().map(|report| report.refused).sum();
    assert!(acknowledged > 1_000, "{acknowledged} acknowledged");
    assert!(
        leaders > 30 && transfers > 5 && refused > 3,
        "{leaders} {transfers} {refused}"
    );
    let mut faults = whole::Faults::default();
    reports.iter().for_each(|report| faults.add(&report.faults));
    for fault in whole::Fault::ALL {
        assert!(faults.count(fault) > 0, "no {fault:?}: {faults}");
    }
}

#[test]
fn whole_nodes_survive_fresh_seeds() {
    let first = fresh_seed();
    for seed in first..first + 4 {
        run_whole(seed);
    }
}

#[test]
fn a_leader_that_cannot_lead_is_replaced() {
    for (script, seed) in whole::SCRIPTS.iter().zip(1..) {
        let played = whole::play(script, seed);
        played.unwrap_or_else(|violation| panic!("{}", replay("scripts", seed, &violation)));
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_in_two_processes() {
    for what in ["pure", "cluster"] {
        assert!(prints_the_same_twice(what).unwrap(), "{what}");
    }
}
