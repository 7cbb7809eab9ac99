//! Clusters of processes of this machine: how fast they form, decide and notice, and what they cost
//! when nothing happens.

mod nodes;
mod usage;

use std::time::Instant;

use clap::Args;
use tokio::task::JoinSet;

use self::nodes::Nodes;
use self::usage::Usage;
use super::connection::{Connection, request};
use super::report::Times;
use super::scratch::Scratch;
use super::{Session, count_bar};
use crate::exit::{Outcome, While as _};
use crate::units::Span;

/// Requests for new topics that are under way together.
const AT_ONCE: u32 = 16;
/// The smallest cluster that decides when one of its nodes is dead.
const NODES_TO_KILL_ONE: u16 = 3;

/// Options of `hark bench cluster`.
#[derive(Debug, Clone, Args)]
pub(super) struct ClusterArgs {
    /// How many nodes; each number is a cluster of its own.
    #[arg(
        long,
        env = "HARK_BENCH_CLUSTER_NODES",
        value_name = "N,…",
        value_delimiter = ',',
        default_values_t = [3, 5, 9],
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    nodes: Vec<u16>,
    /// How many topics are made, one after the other and as many again 16 at a time.
    #[arg(
        long,
        env = "HARK_BENCH_CLUSTER_TOPICS",
        value_name = "N",
        default_value_t = 1000
    )]
    topics: u32,
    /// How often each cluster is formed, and how often a node of it is killed.
    #[arg(
        long,
        env = "HARK_BENCH_CLUSTER_ROUNDS",
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    rounds: u32,
    /// How long each cluster is left alone.
    #[arg(
        long,
        env = "HARK_BENCH_CLUSTER_IDLE",
        value_name = "DURATION",
        default_value = "30s"
    )]
    idle: Span,
}

/// Measures.
pub(super) async fn run(session: &mut Session, args: &ClusterArgs) -> Outcome {
    for count in &args.nodes {
        for _ in 1..args.rounds {
            let scratch = Scratch::new(&session.dir)?;
            form(session, &scratch, *count).await?;
        }
        let scratch = Scratch::new(&session.dir)?;
        let mut nodes = form(session, &scratch, *count).await?;
        idle(session, args, &nodes).await?;
        topics(session, args, &nodes).await?;
        if *count >= NODES_TO_KILL_ONE {
            deaths(session, args, &mut nodes).await?;
        }
    }
    Ok(())
}

/// From the first process to a topic in a cluster where everyone sees everyone.
async fn form(session: &mut Session, scratch: &Scratch, count: u16) -> Outcome<Nodes> {
    let started = Instant::now();
    let nodes = Nodes::start(scratch.path(), count)?;
    nodes.agree().await?;
    nodes.any().make_topic("first", 1).await?;
    let name = format!("{count} nodes: from their start to a topic");
    session.report.millis(&name, millis(started), "");
    Ok(nodes)
}

/// What the nodes cost while nothing happens.
async fn idle(session: &mut Session, args: &ClusterArgs, nodes: &Nodes) -> Outcome {
    nodes.settle().await?;
    let before = Usage::of(nodes)?;
    tokio::time::sleep(args.idle.0).await;
    let used = Usage::of(nodes)?.since(&before);
    let (count, seconds) = (nodes.count() as f64, args.idle.0.as_secs_f64());
    let name = format!("{count} nodes idle: processor time of each in a second");
    let each = used.processor.as_secs_f64() * 1000.0 / count / seconds;
    session
        .report
        .millis(&name, each, "user and system, as the kernel counts");
    let name = format!("{count} nodes idle: sent by each");
    let each = used.loopback_bytes as f64 / count / seconds;
    let beside = "everything on the loopback interface, with all headers";
    session.report.rate(&name, each, beside);
    let name = format!("{count} nodes idle: memory of each");
    session.report.bytes(&name, used.memory as f64 / count, "");
    Ok(())
}

/// Makes topics of one partition, on a node that must ask the controller where there is another one.
async fn topics(session: &mut Session, args: &ClusterArgs, nodes: &Nodes) -> Outcome {
    let count = nodes.count();
    let asked = nodes.follower().await?.address;
    let started = Instant::now();
    make_topics(vec![asked], "one", args.topics).await?;
    let name = format!("{count} nodes: {} topics, one after the other", args.topics);
    let beside = "asked of a node that is not the controller";
    session.report.millis(&name, millis(started), beside);

    let everyone: Vec<_> = (0..AT_ONCE)
        .map(|n| nodes.nth(n as usize).address)
        .collect();
    let started = Instant::now();
    make_topics(everyone, "many", args.topics).await?;
    let name = format!("{count} nodes: {} topics, {AT_ONCE} at a time", args.topics);
    session
        .report
        .millis(&name, millis(started), "asked of all nodes");
    Ok(())
}

/// Makes so many topics over one connection to each address.
async fn make_topics(addresses: Vec<std::net::SocketAddr>, prefix: &str, count: u32) -> Outcome {
    let bar = count_bar("topics", u64::from(count));
    let lanes = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut makers = JoinSet::new();
    for (lane, address) in (0..lanes).zip(addresses) {
        let (bar, prefix) = (bar.clone(), prefix.to_owned());
        makers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            for n in (lane..count).step_by(lanes as usize) {
                let target = format!("/admin/topics?name={prefix}-{n}&partitions=1");
                let make = request("POST", &target, "application/json", b"");
                connection.exchange(&make).await?;
                bar.inc(1);
            }
            Outcome::Ok(())
        });
    }
    while let Some(made) = makers.join_next().await {
        made.while_doing("make topics")??;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Kills a node that is not the controller, then the controller, again and again.
async fn deaths(session: &mut Session, args: &ClusterArgs, nodes: &mut Nodes) -> Outcome {
    let count = nodes.count();
    let (mut noticed, mut elected, mut decided) = (Times::new(), Times::new(), Times::new());
    for round in 0..args.rounds {
        let controller = nodes.agree().await?;
        let victim = (controller + 1) % count;
        let killed = Instant::now();
        nodes.kill(victim)?;
        nodes.see_down(victim).await?;
        noticed.note(killed.elapsed());
        nodes.start_again(victim).await?;

        let controller = nodes.agree().await?;
        let killed = Instant::now();
        nodes.kill(controller)?;
        nodes.have_another(controller).await?;
        elected.note(killed.elapsed());
        let topic = format!("after-{round}");
        nodes.any().make_topic(&topic, 1).await?;
        decided.note(killed.elapsed());
        nodes.start_again(controller).await?;
    }
    let rows = [
        ("a killed node is seen down by all", &noticed),
        ("all have another controller after a kill", &elected),
        ("a topic is made after that kill", &decided),
    ];
    for (what, times) in rows {
        for (quantile, name) in [(0.5, "p50"), (1.0, "max")] {
            let name = format!("{count} nodes: {what}, {name}");
            let beside = format!("of {}", args.rounds);
            session
                .report
                .millis(&name, times.quantile_ms(quantile), beside);
        }
    }
    Ok(())
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
