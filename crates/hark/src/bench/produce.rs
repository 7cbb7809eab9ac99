//! Produce in process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broker::Broker;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use model::{PartitionIndex, TopicName};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use wire::Batch;

use super::scratch::Scratch;
use super::{Session, byte_bar, local};
use crate::exit::{Outcome, While as _};
use crate::units::Size;

/// The parts of a run whose slowest is told: a rate that is not held shows there.
const PARTS: u64 = 10;

/// Options of `hark bench produce`.
#[derive(Debug, Clone, Args)]
pub(super) struct ProduceArgs {
    /// How much to write.
    #[arg(
        long,
        env = "HARK_BENCH_PRODUCE_BYTES",
        value_name = "SIZE",
        default_value = "4GB"
    )]
    bytes: Size,
    /// To how many partitions.
    #[arg(
        long,
        env = "HARK_BENCH_PRODUCE_PARTITIONS",
        value_name = "N",
        default_value_t = 1
    )]
    partitions: u32,
    /// Batches of 64 KB on their way at once.
    #[arg(
        long,
        env = "HARK_BENCH_PRODUCE_IN_FLIGHT",
        value_name = "N",
        default_value_t = 256
    )]
    in_flight: usize,
}

/// What to write, and how.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub topic: TopicName,
    pub partitions: u32,
    pub batch: Batch,
    pub batches: u64,
    pub in_flight: usize,
}

/// How fast it went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Bytes per second over all.
    pub mean: f64,
    /// Of the slowest tenth.
    pub slowest: f64,
}

/// Measures.
pub(super) async fn run(session: &mut Session, args: &ProduceArgs) -> Outcome {
    let scratch = Scratch::new(&session.dir)?;
    let broker = local::open(scratch.path()).await?;
    let topic = local::topic(&broker, "produce", args.partitions).await?;
    let batch = local::batch(64)?;
    let batches = args.bytes.0.div_ceil(batch.bytes().len() as u64);
    let (partitions, in_flight) = (args.partitions, args.in_flight);
    let load = Load {
        topic,
        partitions,
        batch,
        batches,
        in_flight,
    };
    let rates = produce(&broker, load, "produce").await?;
    broker.close().await;
    let of_disk = |rate: f64| {
        format!(
            "{:.0} % of the disk",
            100.0 * rate / session.limits.large_writes
        )
    };
    let name = format!("produce {}, {partitions} partition(s)", args.bytes);
    session.report.rate(&name, rates.mean, of_disk(rates.mean));
    session
        .report
        .rate("  its slowest tenth", rates.slowest, of_disk(rates.slowest));
    Ok(())
}

/// Appends the batches, from one task per core, each waiting for nothing but its own.
pub(super) async fn produce(broker: &Broker, load: Load, what: &str) -> Outcome<Rates> {
    let bytes = load.batches * load.batch.bytes().len() as u64;
    let bar = byte_bar(what, bytes);
    let pace = Arc::new(Pace::new(load.batches));
    let load = Arc::new(load);
    let next = Arc::new(AtomicU64::new(0));
    let tasks = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut producers = JoinSet::new();
    for _ in 0..tasks {
        let work = work(
            broker.clone(),
            Arc::clone(&load),
            Arc::clone(&next),
            Arc::clone(&pace),
            bar.clone(),
            tasks,
        );
        producers.spawn(work);
    }
    while let Some(outcome) = producers.join_next().await {
        outcome.while_doing("produce")??;
    }
    bar.finish_and_clear();
    Ok(pace.rates(bytes))
}

async fn work(
    broker: Broker,
    load: Arc<Load>,
    next: Arc<AtomicU64>,
    pace: Arc<Pace>,
    bar: indicatif::ProgressBar,
    tasks: usize,
) -> Outcome {
    let numbers = std::iter::from_fn(|| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        (number < load.batches).then_some(number)
    });
    let appends = stream::iter(numbers).map(|number| {
        let index = u32::try_from(number % u64::from(load.partitions.max(1))).unwrap_or(0);
        broker.append(&load.topic, PartitionIndex(index), load.batch.clone())
    });
    let mut done = appends.buffer_unordered((load.in_flight / tasks).max(1));
    let size = load.batch.bytes().len() as u64;
    while let Some(receipt) = done.next().await {
        receipt.while_doing("append a batch")?;
        pace.one_more();
        bar.inc(size);
    }
    Ok(())
}

/// When each tenth was done.
#[derive(Debug)]
struct Pace {
    started: Instant,
    batches: u64,
    done: AtomicU64,
    marks: Mutex<Vec<(u64, Duration)>>,
}

impl Pace {
    fn new(batches: u64) -> Self {
        Self {
            started: Instant::now(),
            batches,
            done: AtomicU64::new(0),
            marks: Mutex::default(),
        }
    }

    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let part = self.batches.div_ceil(PARTS);
        if done.is_multiple_of(part) || done == self.batches {
            self.marks.lock().push((done, self.started.elapsed()));
        }
    }

    fn rates(&self, bytes: u64) -> Rates {
        let mut marks = self.marks.lock().clone();
        marks.sort_unstable();
        let batch = bytes as f64 / self.batches as f64;
        let mut slowest = f64::INFINITY;
        let (mut before, mut at) = (0, Duration::ZERO);
        for (done, now) in marks {
            let seconds = now.saturating_sub(at).as_secs_f64().max(1e-9);
            slowest = slowest.min((done - before) as f64 * batch / seconds);
            (before, at) = (done, now);
        }
        Rates {
            mean: before as f64 * batch / at.as_secs_f64().max(1e-9),
            slowest,
        }
    }
}
