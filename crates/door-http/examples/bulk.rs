//! Measures NDJSON publishing: messages of 1 KB over one connection, each chunk on disk before it
//! counts.
//!
//! `cargo run --release -p door-http --example bulk -- 2000000000 8`: bytes, partitions. The client
//! is a thread of the same process that writes one prepared block again and again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use broker::seams::{OsEntropy, SystemClock};
use broker::{Alone, Broker, BrokerOptions};
use seglog::{LogOptions, LogStore, RealDisk};
use tokio::net::TcpListener;

const LINES_PER_BLOCK: usize = 1000;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let bytes: usize = arguments
        .next()
        .as_deref()
        .unwrap_or("1000000000")
        .parse()?;
    let partitions = arguments.next().as_deref().unwrap_or("8").parse()?;
    let data = tempfile::tempdir_in(".")?;
    let store = LogStore::open(
        Arc::new(RealDisk::open(data.path())?),
        LogOptions::default(),
        None,
    )?;
    let options = BrokerOptions {
        auto_create_topics: true,
        default_partitions: partitions,
        commit_retention: Duration::from_secs(3600),
        retention_interval: Duration::from_secs(3600),
        initial_rebalance_delay: Duration::ZERO,
        topic_defaults: broker::TopicSettings::default(),
    };
    let clock = Arc::new(SystemClock::new());
    let alone = Alone::open(data.path(), clock.clone(), Arc::new(OsEntropy)).await?;
    let broker = Broker::open(
        data.path(),
        Arc::new(store),
        alone,
        options,
        clock,
        Arc::new(OsEntropy),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let options = door_http::ServerOptions::default();
    tokio::spawn(door_http::serve(
        listener,
        broker.await?,
        options,
        std::future::pending(),
    ));
    tokio::task::spawn_blocking(move || send(address, bytes)).await?
}

fn send(address: SocketAddr, bytes: usize) -> Result<()> {
    let line = format!("{{\"message\":\"{}\"}}\n", "x".repeat(1000));
    let block = line.repeat(LINES_PER_BLOCK);
    let blocks = (bytes / (1000 * LINES_PER_BLOCK)).max(1);
    let head = format!(
        "POST /topics/t/records HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
        blocks * block.len()
    );
    let mut stream = TcpStream::connect(address)?;
    let begun = Instant::now();
    stream.write_all(head.as_bytes())?;
    for _ in 0..blocks {
        stream.write_all(block.as_bytes())?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let took = begun.elapsed();
    let megabytes = (blocks * LINES_PER_BLOCK) as f64 / 1000.0;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", answer.lines().last().unwrap_or_default())?;
    writeln!(
        stdout,
        "{megabytes} MB in {took:?}: {:.0} MB/s",
        megabytes / took.as_secs_f64()
    )?;
    Ok(())
}
