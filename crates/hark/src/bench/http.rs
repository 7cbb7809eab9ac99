//! NDJSON over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use clap::Args;
use reqwest::Url;
use tokio::task::JoinSet;

use super::child::Node;
use super::connection::{Connection, request};
use super::local::RECORD_BYTES;
use super::produce::{Load, produce};
use super::scratch::Scratch;
use super::{Session, byte_bar, local};
use crate::exit::{Failure, Outcome, While as _};
use crate::units::Size;

/// Messages of one request.
const LINES: usize = 1024;

/// Options of `hark bench http`.
#[derive(Debug, Clone, Args)]
pub(super) struct HttpArgs {
    /// How many bytes of messages, of 1 KB each.
    #[arg(
        long,
        env = "HARK_BENCH_HTTP_BYTES",
        value_name = "SIZE",
        default_value = "2GB"
    )]
    bytes: Size,
    /// Connections at once.
    #[arg(
        long,
        env = "HARK_BENCH_HTTP_CONNECTIONS",
        value_name = "N",
        default_value_t = 4
    )]
    connections: u32,
    /// Partitions of the topic.
    #[arg(
        long,
        env = "HARK_BENCH_HTTP_PARTITIONS",
        value_name = "N",
        default_value_t = 4
    )]
    partitions: u32,
}

/// What is published, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flood<'a> {
    pub topic: &'a str,
    /// Of messages, of 1 KB each.
    pub bytes: u64,
    /// At once.
    pub connections: u32,
}

/// Measures: against the server that was named, or a node started for it.
pub(super) async fn run(session: &mut Session, args: &HttpArgs) -> Outcome {
    let scratch = Scratch::new(&session.dir)?;
    let in_process = in_process(session, args).await?;
    let flood = Flood {
        topic: "http",
        bytes: args.bytes.0,
        connections: args.connections,
    };
    let rate = match &session.server {
        Some(server) => publish(address_of(server).await?, flood).await?,
        None => {
            let node = Node::start(&scratch.path().join("node")).await?;
            node.make_topic(flood.topic, args.partitions).await?;
            publish(node.address, flood).await?
        }
    };
    let beside = format!(
        "{:.0} % of {} in process",
        100.0 * rate / in_process,
        super::rate(in_process)
    );
    session
        .report
        .rate("publish NDJSON over HTTP", rate, beside);
    Ok(())
}

/// The same amount without HTTP, to compare with.
async fn in_process(session: &Session, args: &HttpArgs) -> Outcome<f64> {
    let scratch = Scratch::new(&session.dir)?;
    let broker = local::open(scratch.path()).await?;
    let topic = local::topic(&broker, "compare", args.partitions).await?;
    let batch = local::batch(64)?;
    let batches = args.bytes.0.div_ceil(batch.bytes().len() as u64);
    let load = Load {
        topic,
        partitions: args.partitions,
        batch,
        batches,
        in_flight: 256,
    };
    let rates = produce(&broker, load, "in process").await?;
    broker.close().await;
    Ok(rates.mean)
}

/// Publishes; bytes of messages per second.
pub(super) async fn publish(address: std::net::SocketAddr, flood: Flood<'_>) -> Outcome<f64> {
    let line = format!("{{\"message\":\"{}\"}}\n", "m".repeat(RECORD_BYTES));
    let body = line.repeat(LINES);
    let target = format!("/topics/{}/records", flood.topic);
    let publish = request("POST", &target, "application/x-ndjson", body.as_bytes());
    let per_request = (LINES * RECORD_BYTES) as u64;
    let left = Arc::new(AtomicU64::new(flood.bytes.div_ceil(per_request)));
    let bar = byte_bar(flood.topic, flood.bytes);
    let started = Instant::now();
    let mut publishers = JoinSet::new();
    for _ in 0..flood.connections.max(1) {
        publishers.spawn(publisher(
            address,
            publish.clone(),
            Arc::clone(&left),
            bar.clone(),
        ));
    }
    let mut requests = 0;
    while let Some(outcome) = publishers.join_next().await {
        requests += outcome.while_doing("publish")??;
    }
    bar.finish_and_clear();
    Ok((requests * per_request) as f64 / started.elapsed().as_secs_f64())
}

/// One connection; how many requests it sent.
async fn publisher(
    address: std::net::SocketAddr,
    publish: Bytes,
    left: Arc<AtomicU64>,
    bar: indicatif::ProgressBar,
) -> Outcome<u64> {
    let mut connection = Connection::open(address).await?;
    let mut sent = 0;
    let take = |left: u64| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        connection.exchange(&publish).await?;
        bar.inc((LINES * RECORD_BYTES) as u64);
        sent += 1;
    }
    Ok(sent)
}

async fn address_of(server: &str) -> Outcome<std::net::SocketAddr> {
    let wrong = || Failure::config(format!("server '{server}': write http://HOST:PORT"));
    let url = Url::parse(server).map_err(|_| wrong())?;
    let host = url
        .host_str()
        .ok_or_else(wrong)?
        .trim_matches(['[', ']'])
        .to_owned();
    let port = url.port_or_known_default().ok_or_else(wrong)?;
    let mut found = tokio::net::lookup_host((host, port))
        .await
        .while_doing("find the server")?;
    found.next().ok_or_else(wrong)
}
