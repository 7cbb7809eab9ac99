//! Many idle long polls on one node, and one publish that wakes them all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::{mpsc, watch};

use super::child::Node;
use super::connection::{Connection, request};
use super::report::Times;
use super::scratch::Scratch;
use super::{Session, count_bar};
use crate::exit::{Failure, Outcome, While as _};

/// Polls that connect at the same time, so that the node's accept queue is not overrun.
const CONNECTING_AT_ONCE: usize = 200;
/// How long until all polls wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options of `hark bench idle`.
#[derive(Debug, Clone, Args)]
pub(super) struct IdleArgs {
    /// How many long polls.
    #[arg(
        long,
        env = "HARK_BENCH_IDLE_COUNT",
        value_name = "N",
        default_value_t = 10_000
    )]
    count: u32,
    /// How many publishes, each to all of them.
    #[arg(
        long,
        env = "HARK_BENCH_IDLE_ROUNDS",
        value_name = "N",
        default_value_t = 5
    )]
    rounds: u32,
}

/// Measures.
pub(super) async fn run(session: &mut Session, args: &IdleArgs) -> Outcome {
    check_files(args.count)?;
    let scratch = Scratch::new(&session.dir)?;
    let node = Node::start(&scratch.path().join("node")).await?;
    node.make_topic("idle", 1).await?;
    // One poll and one publish, so that what is made on first use is there before it is counted.
    let mut publisher = Connection::open(node.address).await?;
    wake(&mut publisher).await?;
    let before = node.resident_bytes()?;

    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (round, rounds) = watch::channel(());
    let pollers = connect_all(node.address, args, &arrived, &rounds).await?;
    wait_until_all_wait(&node, args.count).await?;
    let after = node.resident_bytes()?;
    let each = after.saturating_sub(before) as f64 / f64::from(args.count.max(1));
    let name = format!("{} idle long polls, memory of the node each", args.count);
    let beside = format!("{} before", crate::units::Size(before));
    session.report.bytes(&name, each, beside);

    let mut times = Times::new();
    for _ in 0..args.rounds {
        wait_until_all_wait(&node, args.count).await?;
        let started = Instant::now();
        wake(&mut publisher).await?;
        for _ in 0..args.count {
            let arrival = tokio::time::timeout(PATIENCE, arrivals.recv()).await;
            let at: Instant = arrival
                .while_doing("wake every poll")?
                .ok_or_else(|| Failure::failed("a poll failed"))?;
            times.note(at.saturating_duration_since(started));
        }
        // The pollers hold `rounds`, so somebody listens.
        let _ = round.send(());
    }
    pollers.iter().for_each(tokio::task::JoinHandle::abort);
    session
        .report
        .millis("one publish reaches all, p50", times.quantile_ms(0.5), "");
    session
        .report
        .millis("one publish reaches all, p99", times.quantile_ms(0.99), "");
    session
        .report
        .millis("one publish reaches all, max", times.quantile_ms(1.0), "");
    Ok(())
}

async fn connect_all(
    address: SocketAddr,
    args: &IdleArgs,
    arrived: &mpsc::UnboundedSender<Instant>,
    rounds: &watch::Receiver<()>,
) -> Outcome<Vec<tokio::task::JoinHandle<Outcome>>> {
    let bar = count_bar("connect", u64::from(args.count));
    let connecting = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTING_AT_ONCE));
    let mut pollers = Vec::new();
    for _ in 0..args.count {
        let turn = connecting
            .clone()
            .acquire_owned()
            .await
            .while_doing("connect")?;
        let (arrived, rounds, bar) = (arrived.clone(), rounds.clone(), bar.clone());
        pollers.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            drop(turn);
            bar.inc(1);
            poll_for_ever(&mut connection, &arrived, rounds).await
        }));
    }
    bar.finish_and_clear();
    Ok(pollers)
}

/// Polls once a round. The next poll begins when all have their answer: else the polls of those who
/// were served first would compete with the answers of those who were not, on the same processors.
async fn poll_for_ever(
    connection: &mut Connection,
    arrived: &mpsc::UnboundedSender<Instant>,
    mut rounds: watch::Receiver<()>,
) -> Outcome {
    let target = "/poll?topic=idle&from=latest&timeout_ms=300000";
    let poll = request("GET", target, "application/json", b"");
    loop {
        connection.exchange(&poll).await?;
        if arrived.send(Instant::now()).is_err() || rounds.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn wake(publisher: &mut Connection) -> Outcome {
    let body = br#"{"topic":"idle","message":"wake up"}"#;
    publisher
        .exchange(&request("POST", "/publish", "application/json", body))
        .await?;
    Ok(())
}

async fn wait_until_all_wait(node: &Node, count: u32) -> Outcome {
    let started = Instant::now();
    while node.status().await?.counters.polls_waiting < u64::from(count) {
        if started.elapsed() > PATIENCE {
            return Err(Failure::failed("not all polls came to wait"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Both this process and the node, which inherits the limit, need a file for every poll.
fn check_files(count: u32) -> Outcome {
    let wanted = u64::from(count) + 256;
    if crate::files::raise_limit() >= wanted {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "this measurement needs {wanted} open files; allow them with: ulimit -Hn {wanted}"
    )))
}
