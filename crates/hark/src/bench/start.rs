//! Starting on a large log.

use std::time::{Duration, Instant};

use clap::Args;

use super::child::Node;
use super::connection::{Connection, request};
use super::produce::{Load, produce};
use super::scratch::Scratch;
use super::{Session, local};
use crate::exit::Outcome;
use crate::units::Size;

/// How long a node stands idle before its memory is read.
const IDLE: Duration = Duration::from_secs(2);
/// Bytes of messages in one request.
const REQUEST_BYTES: u64 = 1_000_000;

/// Options of `hark bench start`.
#[derive(Debug, Clone, Args)]
pub(super) struct StartArgs {
    /// How large a log.
    #[arg(
        long,
        env = "HARK_BENCH_START_BYTES",
        value_name = "SIZE",
        default_value = "10GB"
    )]
    bytes: Size,
    /// In how many partitions.
    #[arg(
        long,
        env = "HARK_BENCH_START_PARTITIONS",
        value_name = "N",
        default_value_t = 8
    )]
    partitions: u32,
    /// How much to publish before the kill, so that the journal holds something to recover.
    #[arg(
        long,
        env = "HARK_BENCH_START_UNSETTLED",
        value_name = "SIZE",
        default_value = "256MB"
    )]
    unsettled: Size,
}

/// Measures.
pub(super) async fn run(session: &mut Session, args: &StartArgs) -> Outcome {
    let scratch = Scratch::new(&session.dir)?;
    let broker = local::open(scratch.path()).await?;
    let topic = local::topic(&broker, "start", args.partitions).await?;
    let batch = local::batch(64)?;
    let batches = args.bytes.0.div_ceil(batch.bytes().len() as u64);
    let load = Load {
        topic,
        partitions: args.partitions,
        batch,
        batches,
        in_flight: 256,
    };
    produce(&broker, load, "write").await?;
    broker.close().await;
    // The lock of the directory goes with the last handle.
    drop(broker);

    let started = Instant::now();
    let node = Node::start(scratch.path()).await?;
    let name = format!("start on {} after a clean end", args.bytes);
    session.report.millis(&name, millis(started), "");
    tokio::time::sleep(IDLE).await;
    session
        .report
        .bytes("an idle node's memory", node.resident_bytes()? as f64, "");

    publish_some(&node, args.unsettled.0.div_ceil(REQUEST_BYTES)).await?;
    node.kill()?;
    let started = Instant::now();
    let node = Node::start(scratch.path()).await?;
    let name = format!("start on {} after a kill", args.bytes);
    session.report.millis(&name, millis(started), "");
    drop(node);
    Ok(())
}

async fn publish_some(node: &Node, requests: u64) -> Outcome {
    let body = format!("{{\"message\":\"{}\"}}\n", "m".repeat(1000)).repeat(1000);
    let target = "/topics/start/records";
    let publish = request("POST", target, "application/x-ndjson", body.as_bytes());
    let mut connection = Connection::open(node.address).await?;
    for _ in 0..requests {
        connection.exchange(&publish).await?;
    }
    Ok(())
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
