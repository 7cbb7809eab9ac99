//! Reading in process: what has settled, and the tail.

mod files;

use std::path::Path;
use std::time::{Duration, Instant};

use broker::{Broker, Fetch};
use clap::Args;
use model::{Offset, PartitionIndex, TopicName};

use super::produce::{Load, produce};
use super::scratch::Scratch;
use super::{Session, byte_bar, local};
use crate::exit::{Failure, Outcome, While as _};
use crate::units::Size;

const FETCH_BYTES: usize = 4 << 20;
/// One burst of the tail: small enough to be in memory still when it is read.
const BURST_BATCHES: u64 = 256;

/// Options of `hark bench consume`.
#[derive(Debug, Clone, Args)]
pub(super) struct ConsumeArgs {
    /// How much to write and read again.
    #[arg(
        long,
        env = "HARK_BENCH_CONSUME_BYTES",
        value_name = "SIZE",
        default_value = "4GB"
    )]
    bytes: Size,
    /// How many bursts to write and read at the tail.
    #[arg(
        long,
        env = "HARK_BENCH_CONSUME_BURSTS",
        value_name = "N",
        default_value_t = 50
    )]
    bursts: u32,
}

/// A reader of partition 0.
struct Reader<'a> {
    broker: &'a Broker,
    topic: &'a TopicName,
    at: Offset,
}

/// Measures.
pub(super) async fn run(session: &mut Session, args: &ConsumeArgs) -> Outcome {
    let scratch = Scratch::new(&session.dir)?;
    let broker = local::open(scratch.path()).await?;
    let topic = local::topic(&broker, "consume", 1).await?;
    let batch = local::batch(64)?;
    let batches = args.bytes.0.div_ceil(batch.bytes().len() as u64);
    let load = Load {
        topic,
        partitions: 1,
        batch,
        batches,
        in_flight: 256,
    };
    produce(&broker, load.clone(), "write").await?;
    // After a close and an open everything lies in segments. The lock goes with the last handle.
    broker.close().await;
    drop(broker);
    let broker = local::open(scratch.path()).await?;

    let settled = read_settled(&broker, &load, scratch.path()).await?;
    let raw = settled.files.rate();
    session
        .report
        .rate("machine: read segment files, uncached", raw, "");
    let name = format!("read {} of settled data", args.bytes);
    let beside = format!("{:.0} % of the files", 100.0 * settled.hark.rate() / raw);
    session.report.rate(&name, settled.hark.rate(), beside);
    let end = settled.end;
    let load = Load {
        batches: BURST_BATCHES,
        ..load
    };
    let tail = read_tail(&broker, &load, end, args.bursts).await?;
    let of_memory = 100.0 * tail / session.limits.memory_copy;
    let beside = format!("{of_memory:.0} % of a memory copy");
    session.report.rate("read the tail", tail, beside);
    broker.close().await;
    Ok(())
}

/// What reading the settled data took.
struct Settled {
    hark: Pace,
    files: Pace,
    end: Offset,
}

#[derive(Default)]
struct Pace {
    bytes: u64,
    time: Duration,
}

impl Pace {
    fn note(&mut self, bytes: u64, started: Instant) {
        self.bytes += bytes;
        self.time += started.elapsed();
    }

    fn rate(&self) -> f64 {
        self.bytes as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

/// Reads every other segment through the broker, and the ones between as plain files. So both meet
/// the disk in the same state, and neither finds what the other has left in some cache below.
async fn read_settled(broker: &Broker, load: &Load, dir: &Path) -> Outcome<Settled> {
    let bar = byte_bar("read", load.batches * load.batch.bytes().len() as u64);
    let (mut hark, mut files) = (Pace::default(), Pace::default());
    let segments = files::segments(dir).while_doing("list the segment files")?;
    let ends = segments.iter().skip(1).map(|segment| segment.base);
    let records = load.batches * u64::from(load.batch.header().record_count);
    let end = Offset::ZERO.saturating_add(records);
    for (number, (segment, next)) in segments.iter().zip(ends.chain([end])).enumerate() {
        let started = Instant::now();
        if number % 2 == 0 {
            let mut reader = Reader {
                broker,
                topic: &load.topic,
                at: segment.base,
            };
            let mut bytes = 0;
            while reader.at < next {
                bytes += reader.step().await?;
            }
            hark.note(bytes, started);
            bar.inc(bytes);
        } else {
            let bytes = segment.read().while_doing("read a segment file")?;
            files.note(bytes, started);
            bar.inc(bytes);
        }
    }
    bar.finish_and_clear();
    Ok(Settled { hark, files, end })
}

/// Writes bursts, and reads each as soon as it is acknowledged; only the reading is timed.
async fn read_tail(broker: &Broker, load: &Load, end: Offset, bursts: u32) -> Outcome<f64> {
    let burst = load.batches * load.batch.bytes().len() as u64;
    let mut reader = Reader {
        broker,
        topic: &load.topic,
        at: end,
    };
    let mut reading = Duration::ZERO;
    for _ in 0..bursts {
        produce(broker, load.clone(), "tail").await?;
        let started = Instant::now();
        let mut read = 0;
        while read < burst {
            read += reader.step().await?;
        }
        reading += started.elapsed();
    }
    Ok(burst as f64 * f64::from(bursts) / reading.as_secs_f64().max(1e-9))
}

impl Reader<'_> {
    /// The bytes of the next fetch.
    async fn step(&mut self) -> Outcome<u64> {
        let fetch = Fetch {
            topic: self.topic.clone(),
            positions: vec![(PartitionIndex(0), self.at)],
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            wait: Duration::from_secs(5),
        };
        let mut bytes = 0;
        for partition in self.broker.fetch(fetch).await.while_doing("read")? {
            for batch in partition.batches.while_doing("read a partition")? {
                bytes += batch.bytes().len() as u64;
                self.at = batch.header().last_offset.saturating_add(1);
            }
        }
        if bytes == 0 {
            return Err(Failure::failed(
                "records that were acknowledged cannot be read",
            ));
        }
        Ok(bytes)
    }
}
