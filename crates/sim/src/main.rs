//! `sim`: the fault simulator from a command line.

#![expect(clippy::print_stdout, reason = "the report is for a person or a log")]

use std::process::ExitCode;
use std::thread;

use sim::cluster::{pure, whole};
use sim::crash::CrashRun;
use sim::{Violation, chaos, crash, flip};

const USAGE: &str =
    "usage: sim [crash|flip|chaos|all|quick|pure|cluster|scripts|quick-cluster] [--seed N] [--seeds COUNT] [--steps N] [--op N] [--per-page N] [--trace]

crash   cut the power at every disk operation of a trace, in four ways
flip    turn bits over in every file
chaos   mixed faults, COUNT seeds from N on
all     the three of them (default)
quick   a sample of the three, in about five seconds
pure    the pure machines of a cluster, COUNT seeds from N on
cluster whole nodes with their consensus, COUNT seeds from N on
scripts named situations of whole nodes, on COUNT seeds from N on
quick-cluster
        a sample of these three
--op N  cuts the power at that operation only, and shows what led to a violation
--per-page N  turns over that many random bits in each 4 KiB
--trace prints the trace of the seed and does nothing else";

const CHAOS_SEEDS: u64 = 200;

struct Args {
    what: String,
    seed: u64,
    seeds: u64,
    steps: usize,
    op: Option<u64>,
    /// Random bits turned over in each 4 KiB.
    per_page: u64,
    trace: bool,
}

fn main() -> ExitCode {
    let Some(args) = parse(std::env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let result = match args.what.as_str() {
        _ if args.trace => print_trace(&args),
        "crash" => every_crash(&args),
        "flip" => every_flip(&args),
        "chaos" => every_chaos(&args),
        "quick" => quick(&args),
        "pure" => every_pure(&args),
        "cluster" => every_cluster(&args),
        "scripts" => every_script(&args),
        "quick-cluster" => quick_cluster(&args),
        _ => every_crash(&args)
            .and_then(|()| every_flip(&args))
            .and_then(|()| every_chaos(&args)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Args> {
    let mut args = Args {
        what: "all".to_owned(),
        seed: 1,
        seeds: CHAOS_SEEDS,
        steps: 1000,
        op: None,
        per_page: 40,
        trace: false,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "crash" | "flip" | "chaos" | "all" | "quick" | "pure" | "cluster" | "scripts"
            | "quick-cluster" => args.what = word,
            "--seed" => args.seed = words.next()?.parse().ok()?,
            "--seeds" => args.seeds = words.next()?.parse().ok()?,
            "--steps" => args.steps = words.next()?.parse().ok()?,
            "--op" => args.op = Some(words.next()?.parse().ok()?),
            "--per-page" => args.per_page = words.next()?.parse().ok()?,
            "--trace" => args.trace = true,
            _ => return None,
        }
    }
    Some(args)
}

/// The violation, and the one command that shows it again.
fn failed(violation: &Violation, command: &str) -> String {
    format!("{violation}\nreplay: cargo run -p sim -- {command}")
}

fn print_trace(args: &Args) -> Result<(), String> {
    let trace = match args.what.as_str() {
        "chaos" => chaos::trace(args.seed),
        "pure" => Ok(pure::trace(args.seed)),
        "cluster" => Ok(whole::trace(args.seed)),
        _ => sim::trace(args.seed, args.steps),
    };
    print!("{}", trace.map_err(|violation| violation.to_string())?);
    Ok(())
}

fn every_crash(args: &Args) -> Result<(), String> {
    let parts = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let run = |part| CrashRun {
        seed: args.seed,
        steps: args.steps,
        parts,
        part,
        only: args.op,
    };
    let reports: Vec<_> = thread::scope(|scope| {
        let spawn = |part| scope.spawn(move || crash::explore(run(part)));
        let threads: Vec<_> = (0..parts).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let (mut points, mut recoveries) = (0, 0);
    for report in reports {
        let report = report.map_err(|_| "a simulation thread panicked".to_owned())?;
        let command = format!("crash --seed {} --steps {}", args.seed, args.steps);
        let report = report.map_err(|violation| failed(&violation, &command))?;
        points += report.crash_points;
        recoveries += report.recoveries;
    }
    println!("crash: {points} crash points, {recoveries} recoveries, all invariants hold");
    Ok(())
}

fn every_flip(args: &Args) -> Result<(), String> {
    let Args {
        seed,
        steps,
        per_page,
        ..
    } = *args;
    let command = format!("flip --seed {seed} --steps {steps} --per-page {per_page}");
    let report = flip::explore(seed, steps, per_page);
    let report = report.map_err(|violation| failed(&violation, &command))?;
    println!(
        "flip: {} bits, {} refused, {} told, {} harmless",
        report.flips, report.refused, report.told, report.harmless
    );
    Ok(())
}

fn every_chaos(args: &Args) -> Result<(), String> {
    let (mut lives, mut acks) = (0, 0);
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let report = chaos::run(seed)
            .map_err(|violation| failed(&violation, &format!("chaos --seed {seed} --seeds 1")))?;
        lives += report.lives;
        acks += report.acks;
    }
    println!(
        "chaos: {} seeds, {lives} crashes and restarts, {acks} acks at the end",
        args.seeds
    );
    Ok(())
}

fn every_pure(args: &Args) -> Result<(), String> {
    let (mut commands, mut starts, mut terms, mut refused) = (0, 0, 0, 0);
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let report = pure::run(seed)
            .map_err(|violation| failed(&violation, &format!("pure --seed {seed} --seeds 1")))?;
        commands += report.commands;
        starts += report.starts;
        terms += report.terms;
        refused += report.refused;
    }
    println!(
        "pure: {} seeds, {commands} commands, {starts} starts, {refused} of them refused, {terms} terms",
        args.seeds
    );
    Ok(())
}

fn every_cluster(args: &Args) -> Result<(), String> {
    let (mut agreed, mut acknowledged, mut starts, mut leaders) = (0, 0, 0, 0);
    let mut faults = whole::Faults::default();
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let report = whole::run(seed)
            .map_err(|violation| failed(&violation, &format!("cluster --seed {seed} --seeds 1")))?;
        agreed += report.agreed;
        acknowledged += report.acknowledged;
        starts += report.starts;
        leaders += report.leaders;
        faults.add(&report.faults);
    }
    println!(
        "cluster: {} seeds, {agreed} entries, {acknowledged} acknowledged, {starts} starts, {leaders} leaders\n{faults}",
        args.seeds
    );
    Ok(())
}

/// Every situation on this seed, or COUNT from it on.
fn every_script(args: &Args) -> Result<(), String> {
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        for script in whole::SCRIPTS {
            let played = whole::play(script, seed);
            played.map_err(|it| failed(&it, &format!("scripts --seed {seed} --seeds 1")))?;
        }
    }
    println!(
        "scripts: {} situations on {} seeds",
        whole::SCRIPTS.len(),
        args.seeds
    );
    Ok(())
}

/// A sample of everything about a cluster.
fn quick_cluster(args: &Args) -> Result<(), String> {
    let sample = |seeds| Args {
        what: String::new(),
        seeds,
        ..*args
    };
    every_pure(&sample(120))?;
    every_script(&sample(1))?;
    every_cluster(&sample(12))
}

/// A sample of everything.
fn quick(args: &Args) -> Result<(), String> {
    let run = CrashRun {
        seed: args.seed,
        steps: 500,
        parts: 3,
        part: args.seed % 3,
        only: None,
    };
    let crashes = crash::explore(run);
    crashes.map_err(|violation| failed(&violation, &format!("quick --seed {}", args.seed)))?;
    every_chaos(&Args {
        what: String::new(),
        seeds: 60,
        ..*args
    })?;
    every_flip(&Args {
        what: String::new(),
        steps: 150,
        per_page: 4,
        ..*args
    })
}
