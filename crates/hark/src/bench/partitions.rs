//! The same small batches to one partition and evenly to many.

use clap::Args;

use super::produce::{Load, Rates, produce};
use super::scratch::Scratch;
use super::{Session, local};
use crate::exit::Outcome;
use crate::units::Size;

/// Written before the clock starts, so that the journal's ring has grown to its size: what is asked is
/// the rate that lasts.
const WARM_UP_BYTES: u64 = 1 << 30;

/// Options of `hark bench partitions`.
#[derive(Debug, Clone, Args)]
pub(super) struct PartitionsArgs {
    /// How much to write, to one and then to many.
    #[arg(
        long,
        env = "HARK_BENCH_PARTITIONS_BYTES",
        value_name = "SIZE",
        default_value = "1GB"
    )]
    bytes: Size,
    /// How many are many.
    #[arg(
        long,
        env = "HARK_BENCH_PARTITIONS_MANY",
        value_name = "N",
        default_value_t = 1000
    )]
    many: u32,
    /// Records of 1 KB in one batch.
    #[arg(
        long,
        env = "HARK_BENCH_PARTITIONS_RECORDS",
        value_name = "N",
        default_value_t = 4
    )]
    records: usize,
    /// Batches on their way at once.
    #[arg(
        long,
        env = "HARK_BENCH_PARTITIONS_IN_FLIGHT",
        value_name = "N",
        default_value_t = 4000
    )]
    in_flight: usize,
}

/// Measures.
pub(super) async fn run(session: &mut Session, args: &PartitionsArgs) -> Outcome {
    let one = write_to(session, args, 1).await?;
    let many = write_to(session, args, args.many).await?;
    let name = |count: u32| format!("batches of {} KB to {count} partition(s)", args.records);
    session.report.rate(&name(1), one.mean, "");
    let share = format!("{:.0} % of one partition", 100.0 * many.mean / one.mean);
    session.report.rate(&name(args.many), many.mean, share);
    Ok(())
}

async fn write_to(session: &Session, args: &PartitionsArgs, partitions: u32) -> Outcome<Rates> {
    let scratch = Scratch::new(&session.dir)?;
    let broker = local::open(scratch.path()).await?;
    let topic = local::topic(&broker, "small", partitions).await?;
    let batch = local::batch(args.records)?;
    let size = batch.bytes().len() as u64;
    let load = |batches: u64| Load {
        topic: topic.clone(),
        partitions,
        batch: batch.clone(),
        batches,
        in_flight: args.in_flight,
    };
    // Every partition's first batch makes a directory and a file, which is not what is asked; a
    // close waits until they are made.
    produce(&broker, load(u64::from(partitions)), "make the files").await?;
    broker.close().await;
    // It holds the directory until it is gone.
    drop(broker);
    let broker = local::open(scratch.path()).await?;
    produce(&broker, load(WARM_UP_BYTES.div_ceil(size)), "warm up").await?;
    let measured = load(args.bytes.0.div_ceil(size));
    let rates = produce(&broker, measured, &format!("to {partitions}")).await?;
    broker.close().await;
    Ok(rates)
}
