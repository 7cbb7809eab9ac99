//! What membership costs and how soon it sees a death, on a simulated network:
//! `cargo run --release -p peer --example membership`.
//!
//! It takes some minutes, most of them for the thousand nodes. Times and bytes are those of the simulation;
//! bytes are of datagrams and calls, without the headers of UDP, TCP and IP.

#[path = "../tests/it/membership/net.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a part of the tests, which use more of it"
)]
mod net;

use std::time::Duration;

use model::NodeId;
use net::Net;
use peer::membership::{Liveness, Profile};

const WATCHED: Duration = Duration::from_secs(120);

#[expect(clippy::print_stdout, reason = "its purpose")]
fn main() {
    println!(
        "nodes | forms in s | idle, of each node: datagrams/s, bytes/s, of calls, busiest node \
         | a death seen by the first after s: median, worst | by all: median, worst | false downs"
    );
    for (nodes, runs) in [(3, 50), (9, 50), (100, 10), (1000, 2)] {
        let runs: Vec<Run> = (0..runs).map(|seed| run(nodes, seed)).collect();
        let of = |figure: fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<_>>();
        println!(
            "{nodes} | {:.1} | {:.1}, {:.0}, {:.0}, {:.0} | {:.1}, {:.1} | {:.1}, {:.1} | {}",
            median(of(|run| run.forming)),
            median(of(|run| run.datagrams)),
            median(of(|run| run.bytes)),
            median(of(|run| run.call_bytes)),
            worst(of(|run| run.busiest)),
            median(of(|run| run.first)),
            worst(of(|run| run.first)),
            median(of(|run| run.all)),
            worst(of(|run| run.all)),
            runs.iter().map(|run| run.false_downs).sum::<usize>(),
        );
    }
}

/// What one run showed; per second and node, or in seconds.
struct Run {
    forming: f64,
    datagrams: f64,
    bytes: f64,
    call_bytes: f64,
    busiest: f64,
    first: f64,
    all: f64,
    false_downs: usize,
}

fn run(nodes: u16, seed: u64) -> Run {
    let mut net = Net::new(nodes, Profile::LAN, seed);
    let forming = run_until(&mut net, Net::all_see_all);
    net.run(Duration::from_secs(30));
    let before: Vec<net::Traffic> = (0..usize::from(nodes)).map(|n| net.traffic(n)).collect();
    net.run(WATCHED);
    let spent = |figure: fn(&net::Traffic) -> u64| {
        let each = before
            .iter()
            .enumerate()
            .map(move |(n, before)| (n, figure(before)));
        each.map(|(n, before)| (figure(&net.traffic(n)) - before) as f64 / WATCHED.as_secs_f64())
            .collect::<Vec<_>>()
    };
    let mean = |all: Vec<f64>| all.iter().sum::<f64>() / f64::from(nodes);
    let (datagrams, bytes, call_bytes) = (
        mean(spent(|t| t.datagrams)),
        mean(spent(|t| t.bytes)),
        mean(spent(|t| t.call_bytes)),
    );
    let busiest = worst(spent(|t| t.bytes + t.call_bytes));

    let (dead, died_at) = (NodeId(nodes / 2), net.now);
    net.kill(usize::from(dead.0));
    let all = run_until(&mut net, |net| net.all_see(dead, Liveness::Down));
    let is_down = |sight: &&net::Sight| sight.of == dead && sight.liveness == Liveness::Down;
    let first = net
        .sights
        .iter()
        .find(is_down)
        .map(|sight| sight.at.since(died_at));
    net.run(Duration::from_secs(10));
    Run {
        forming: forming.as_secs_f64(),
        datagrams,
        bytes,
        call_bytes,
        busiest,
        first: first.unwrap_or_default().as_secs_f64(),
        all: all.as_secs_f64(),
        false_downs: net.false_downs(died_at, &[dead], &[]).len(),
    }
}

/// To a tenth of a second: in a large cluster the question costs more than the answer changes.
fn run_until(net: &mut Net, condition: impl Fn(&Net) -> bool) -> Duration {
    let started = net.now;
    while !condition(net) {
        assert!(net.now.since(started) < Duration::from_secs(300), "never");
        net.run(Duration::from_millis(100));
    }
    net.now.since(started)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn worst(all: Vec<f64>) -> f64 {
    all.into_iter().fold(0.0, f64::max)
}
