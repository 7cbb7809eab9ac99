//! Starting on a large log.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use door_http::dto::PollAnswer;

use super::Session;
use super::child::Node;
use super::connection::{Connection, request};
use super::http::{Flood, publish};
use super::scratch::Scratch;
use crate::exit::{Failure, Outcome, While as _};
use crate::units::Size;

/// How long a node stands idle before its memory is read.
const IDLE: Duration = Duration::from_secs(2);
const TOPIC: &str = "start";
/// Over which the log is filled.
const CONNECTIONS: u32 = 4;

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
    let flood = |bytes: &Size| Flood {
        topic: TOPIC,
        bytes: bytes.0,
        connections: CONNECTIONS,
    };
    let node = Node::start(scratch.path()).await?;
    node.make_topic(TOPIC, args.partitions).await?;
    publish(node.address, flood(&args.bytes)).await?;
    node.stop()?;

    let (node, millis) = start(scratch.path()).await?;
    let name = format!("start on {} after a clean end", args.bytes);
    session.report.millis(&name, millis, "");
    tokio::time::sleep(IDLE).await;
    session
        .report
        .bytes("an idle node's memory", node.resident_bytes()? as f64, "");

    publish(node.address, flood(&args.unsettled)).await?;
    node.kill()?;
    let (_node, millis) = start(scratch.path()).await?;
    let name = format!("start on {} after a kill", args.bytes);
    session.report.millis(&name, millis, "");
    Ok(())
}

/// Starts a node; how many milliseconds it took until it had handed out a record.
async fn start(data: &Path) -> Outcome<(Node, f64)> {
    let started = Instant::now();
    let node = Node::start(data).await?;
    let mut connection = Connection::open(node.address).await?;
    let target = format!("/poll?topic={TOPIC}&from=earliest&max=1&timeout_ms=0");
    let answer = connection
        .exchange(&request("GET", &target, "", b""))
        .await?;
    let millis = started.elapsed().as_secs_f64() * 1000.0;
    let answer: PollAnswer<'_> =
        serde_json::from_slice(&answer).while_doing("read the poll's answer")?;
    match answer.records.is_empty() {
        true => Err(Failure::failed("the node started without its records")),
        false => Ok((node, millis)),
    }
}
