//! Single publishes over one connection.

use std::time::Instant;

use clap::Args;

use super::child::Node;
use super::connection::{Connection, request};
use super::machine::SmallWrites;
use super::report::Times;
use super::scratch::Scratch;
use super::{Session, count_bar};
use crate::exit::Outcome;

/// Not measured, beside those that are: the first ones find everything cold.
const WARM_UP_PERCENT: u32 = 10;
/// After so many publishes the disk alone is measured once.
const PUBLISHES_PER_SYNC: u32 = 5;

/// Options of `hark bench latency`.
#[derive(Debug, Clone, Args)]
pub(super) struct LatencyArgs {
    /// How many messages of 1 KB.
    #[arg(
        long,
        env = "HARK_BENCH_LATENCY_COUNT",
        value_name = "N",
        default_value_t = 10_000
    )]
    count: u32,
}

/// Measures.
pub(super) async fn run(session: &mut Session, args: &LatencyArgs) -> Outcome {
    let scratch = Scratch::new(&session.dir)?;
    let node = Node::start(&scratch.path().join("node")).await?;
    node.make_topic("latency", 1).await?;
    let message = "m".repeat(1024);
    let body = format!(r#"{{"topic":"latency","message":"{message}"}}"#);
    let publish = request("POST", "/publish", "application/json", body.as_bytes());
    let mut connection = Connection::open(node.address).await?;
    for _ in 0..args.count / 100 * WARM_UP_PERCENT {
        connection.exchange(&publish).await?;
    }
    let bar = count_bar("latency", u64::from(args.count));
    let mut times = Times::new();
    let mut syncs = SmallWrites::new(&session.dir)?;
    for number in 0..args.count {
        if number % PUBLISHES_PER_SYNC == 0 {
            syncs.sample()?;
        }
        let started = Instant::now();
        connection.exchange(&publish).await?;
        times.note(started.elapsed());
        bar.inc(1);
    }
    bar.finish_and_clear();
    drop(node);
    tell(session, &times, &syncs.times);
    Ok(())
}

fn tell(session: &mut Session, times: &Times, syncs: &Times) {
    let sync_ms = syncs.quantile_ms(0.5);
    let median = times.quantile_ms(0.5);
    let beside = format!("{:.2} x a 4 KiB sync of {sync_ms:.3} ms", median / sync_ms);
    session
        .report
        .millis("publish over HTTP, p50", median, beside);
    session
        .report
        .millis("publish over HTTP, p99", times.quantile_ms(0.99), "");
    session
        .report
        .millis("publish over HTTP, max", times.quantile_ms(1.0), "");
}
