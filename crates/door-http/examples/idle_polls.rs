//! Measures what an idle long poll costs a node, and how soon one record reaches all of them.
//!
//! `cargo run --release -p door-http --example idle_polls -- 10000`. The clients live in a second
//! process, so that only the node is measured. Both need as many file descriptors.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use broker::seams::{OsEntropy, SystemClock};
use broker::{Alone, Broker, BrokerOptions, NewTopic, Publish, TopicSettings};
use model::{Mode, Record};
use seglog::{LogOptions, LogStore, RealDisk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().as_deref().unwrap_or("10000").parse()?;
    match arguments.next() {
        Some(address) => clients(count, &address).await,
        None => node(count).await,
    }
}

async fn node(count: usize) -> Result<()> {
    let data = tempfile::tempdir()?;
    let broker = open(data.path()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let options = door_http::ServerOptions::default();
    tokio::spawn(door_http::serve(
        listener,
        broker.clone(),
        options,
        std::future::pending(),
    ));

    let before = resident_bytes()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([count.to_string(), address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    while broker.counters().polls_waiting < count as u64 {
        if child.try_wait()?.is_some() {
            bail!("the clients have ended");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = resident_bytes()?;
    let (total, each) = ((after - before) / 1024, (after - before) / count);
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "{count} idle polls: {total} KiB, {each} bytes each; node before: {} KiB",
        before / 1024
    )?;

    // One monotonic clock serves both processes, so the child can be told when it began.
    writeln!(
        child.stdin.take().context("no pipe to the clients")?,
        "publish"
    )?;
    let record = Record {
        value: Some("news".into()),
        ..Record::default()
    };
    let publish = Publish {
        topic: "t".parse()?,
        partition: None,
        records: vec![record],
    };
    broker.publish(publish).await?;
    let pipe = child.stdout.take().context("no pipe from the clients")?;
    for line in BufReader::new(pipe).lines() {
        writeln!(stdout, "{}", line?)?;
    }
    child.wait()?;
    Ok(())
}

async fn open(data: &std::path::Path) -> Result<Broker> {
    let store = LogStore::open(Arc::new(RealDisk::open(data)?), LogOptions::default(), None)?;
    let options = BrokerOptions {
        auto_create_topics: true,
        default_partitions: 1,
        commit_retention: Duration::from_secs(3600),
        retention_interval: Duration::from_secs(3600),
        initial_rebalance_delay: Duration::ZERO,
        topic_defaults: TopicSettings::default(),
    };
    let clock = Arc::new(SystemClock::new());
    let (store, entropy) = (Arc::new(store), Arc::new(OsEntropy));
    let alone = Alone::open(data, clock.clone(), entropy.clone()).await?;
    let broker = Broker::open(data, store, alone, options, clock, entropy).await?;
    let topic = NewTopic {
        name: "t".parse()?,
        partitions: Some(1),
        replication_factor: None,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
    };
    broker.create_topic(topic).await?;
    Ok(broker)
}

/// Opens all polls, waits for the word, and times the answers from then on.
async fn clients(count: usize, address: &str) -> Result<()> {
    let request =
        format!("GET /poll?topic=t&timeout_ms=300000 HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut polls = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        polls.push(tokio::spawn(async move {
            let mut buf = [0; 1024];
            let read = stream.read(&mut buf).await;
            // Closing now would take time from those who still wait.
            (read.unwrap_or(0) > 0, Instant::now(), stream)
        }));
    }
    let mut word = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut word)).await??;
    let begun = Instant::now();
    let (mut times, mut open) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for poll in polls {
        let (answered, at, stream) = poll.await?;
        if !answered {
            bail!("a poll was not answered");
        }
        times.push(at.saturating_duration_since(begun));
        open.push(stream);
    }
    times.sort_unstable();
    let at = |share: f64| {
        times
            .get(((count as f64 * share) as usize).min(count - 1))
            .copied()
    };
    let line = format!(
        "one publish reached all: p50 {:?}, p99 {:?}, max {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn resident_bytes() -> Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).context("statm has another form")?;
    Ok(pages.parse::<usize>()? * 4096)
}
