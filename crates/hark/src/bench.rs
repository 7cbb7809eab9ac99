//! `hark bench`: Hark beside the limits of this machine, measured in the same run.
//!
//! Every run first measures what disk and memory can do, and prints each result beside that. Data
//! goes into a fresh directory that is removed at the end.

mod child;
mod cluster;
mod connection;
mod consume;
mod http;
mod idle;
mod latency;
mod local;
mod machine;
mod partitions;
mod produce;
mod report;
mod scratch;
mod start;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use self::machine::Limits;
use self::report::Report;
use crate::config::Settings;
use crate::exit::{Exit, Failure, Outcome, While as _};
use crate::output::{Out, note};
use crate::units::{Size, Span};

/// Options of every measurement.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Where the data goes, on the disk to be measured; a directory is made in it and removed.
    #[arg(
        long,
        global = true,
        env = "HARK_BENCH_DIR",
        value_name = "DIR",
        default_value = "."
    )]
    dir: PathBuf,
    /// Write the results to this file too, as JSON.
    #[arg(long, global = true, env = "HARK_BENCH_JSON", value_name = "FILE")]
    json: Option<PathBuf>,
    /// How long each limit of the machine is measured.
    #[arg(
        long,
        global = true,
        env = "HARK_BENCH_LIMITS_FOR",
        value_name = "DURATION",
        default_value = "2s"
    )]
    limits_for: Span,
    /// What to measure.
    #[command(subcommand)]
    what: What,
}

/// The measurements.
#[derive(Debug, Subcommand)]
enum What {
    /// This machine: synced writes of 1 MiB and 4 KiB, and a plain memory copy.
    Disk,
    /// Produce in process: 1 KB records in 64 KB batches, many in flight, each synced before its
    /// acknowledgement.
    Produce(produce::ProduceArgs),
    /// Publish NDJSON over HTTP.
    Http(http::HttpArgs),
    /// Read what was produced: settled data, and the tail.
    Consume(consume::ConsumeArgs),
    /// Publish single messages over one HTTP connection, each on disk before the next.
    Latency(latency::LatencyArgs),
    /// Write small batches evenly to 1 and to 1,000 partitions.
    Partitions(partitions::PartitionsArgs),
    /// Hold idle long polls on one node, and wake them all with one publish.
    Idle(idle::IdleArgs),
    /// Start a node on a large log, after a clean end and after a kill.
    Start(start::StartArgs),
    /// Form clusters of nodes of this machine, make topics, kill nodes, and leave them alone.
    Cluster(cluster::ClusterArgs),
    /// All of them, with their default sizes.
    All,
}

/// What every measurement works with.
#[derive(Debug)]
struct Session {
    dir: PathBuf,
    limits: Limits,
    report: Report,
    /// The server named on the command line, for those measurements that can use one.
    server: Option<String>,
}

/// Measures and reports.
pub(crate) fn run(args: BenchArgs, settings: &Settings) -> Outcome {
    if cfg!(debug_assertions) {
        note("warning: this is a debug build; its numbers mean nothing (use --release)");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .while_doing("start the runtime")?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = measure(&args, settings) => report,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        }
    })?;
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report).while_doing("write JSON")?;
        std::fs::write(path, json).while_doing(format_args!("write {}", path.display()))?;
    }
    let mut out = Out::new(settings.format);
    out.show(&report, || report.table())?;
    out.flush()
}

async fn measure(args: &BenchArgs, settings: &Settings) -> Outcome<Report> {
    let limits = machine::measure(&args.dir, args.limits_for.0)?;
    let mut session = Session {
        dir: args.dir.clone(),
        report: Report::new(&limits),
        limits,
        server: settings.server_on_command_line.clone(),
    };
    match &args.what {
        What::Disk => {}
        What::Produce(args) => produce::run(&mut session, args).await?,
        What::Http(args) => http::run(&mut session, args).await?,
        What::Consume(args) => consume::run(&mut session, args).await?,
        What::Latency(args) => latency::run(&mut session, args).await?,
        What::Partitions(args) => partitions::run(&mut session, args).await?,
        What::Idle(args) => idle::run(&mut session, args).await?,
        What::Start(args) => start::run(&mut session, args).await?,
        What::Cluster(args) => cluster::run(&mut session, args).await?,
        What::All => all(&mut session).await?,
    }
    Ok(session.report)
}

async fn all(session: &mut Session) -> Outcome {
    produce::run(session, &defaults()?).await?;
    consume::run(session, &defaults()?).await?;
    partitions::run(session, &defaults()?).await?;
    http::run(session, &defaults()?).await?;
    latency::run(session, &defaults()?).await?;
    idle::run(session, &defaults()?).await?;
    start::run(session, &defaults()?).await?;
    cluster::run(session, &defaults()?).await
}

/// The arguments of a measurement as they are when none is given.
fn defaults<A: Args>() -> Outcome<A> {
    let command = A::augment_args(clap::Command::new("defaults").no_binary_name(true));
    let matches = command.try_get_matches_from(std::iter::empty::<&str>());
    matches
        .and_then(|matches| A::from_arg_matches(&matches))
        .while_doing("read the defaults")
}

/// Bytes per second, as people read them.
fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", Size(bytes_per_second as u64))
}

/// A bar over bytes, drawn only for a person.
fn byte_bar(what: &str, bytes: u64) -> indicatif::ProgressBar {
    let template = "{msg:12} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
    let style = indicatif::ProgressStyle::with_template(template);
    let bar = indicatif::ProgressBar::new(bytes).with_message(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A bar over things.
fn count_bar(what: &str, count: u64) -> indicatif::ProgressBar {
    let style = indicatif::ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len} {eta}");
    let bar = indicatif::ProgressBar::new(count).with_message(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
