//! What a person, or a program, is told of the local cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use door_http::dto::{NodeAnswer, StatusAnswer};
use model::NodeId;
use serde::Serialize;

use super::block_on;
use super::roster::{LocalNode, Roster};
use crate::client::{Client, Request};
use crate::exit::{Exit, Failure, Outcome, While as _};
use crate::output::{Format, Out, Table};

/// How often it is looked whether the cluster has formed.
const LOOK: Duration = Duration::from_millis(50);
/// How long one node has to tell how it is.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a node that answers is given to be registered.
const REGISTRATION: Duration = Duration::from_secs(5);
/// Lines of a log that are shown.
const LOG_LINES: usize = 40;

/// The local cluster, for a program.
#[derive(Debug, Serialize)]
struct LocalAnswer {
    /// The node that decides, if those asked know of one.
    controller: Option<u16>,
    nodes: Vec<LocalNodeAnswer>,
}

#[derive(Debug, Serialize)]
struct LocalNodeAnswer {
    id: u16,
    running: bool,
    pid: Option<i32>,
    http: String,
    peer: String,
    data: String,
    controller: bool,
    /// What the cluster says of it, if anybody could be asked.
    cluster: Option<NodeAnswer>,
}

/// Waits until every node that runs sees all of them alive under one controller, and tells what to try.
pub(super) fn formed(roster: &Roster, patience: Duration, out: &mut Out) -> Outcome {
    let begun = Instant::now();
    block_on(async {
        while !is_formed(roster).await {
            if let Some(node) = roster.nodes().find(|node| !node.is_running()) {
                return Err(ended(roster, node));
            }
            if begun.elapsed() >= patience {
                return Err(Failure::new(
                    Exit::Timeout,
                    "the cluster has not formed yet; look with `hark local status` and `hark local logs`",
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    })?;
    if out.format == Format::Json {
        return status(roster, out);
    }
    out.line(&try_out(roster, begun.elapsed()))
}

/// Waits until one node answers, and a while for its cluster to register it.
pub(super) fn answers(node: &LocalNode, patience: Duration, out: &mut Out) -> Outcome {
    let waits_for = block_on(registered(node, patience))?;
    let started = [node.id().0];
    if out.format == Format::Json {
        return out.json(&BTreeMap::from([("started", started)]));
    }
    let rest = waits_for.map_or_else(String::new, |what| {
        format!("; it answers readers, and waits for {what}")
    });
    out.line(&format!(
        "started node {} on http://{}{rest}",
        node.id(),
        node.http
    ))
}

/// For what a node that answers still waits.
async fn registered(node: &LocalNode, patience: Duration) -> Outcome<Option<String>> {
    let begun = Instant::now();
    loop {
        let is_late = begun.elapsed() >= patience || !node.is_running();
        match ask(node).await {
            Some(status) if status.waits_for.is_none() => return Ok(None),
            Some(status) if begun.elapsed() >= REGISTRATION => return Ok(status.waits_for),
            None if is_late => {
                return Err(Failure::failed(format!(
                    "node {0} does not answer; see `hark local logs {0}`",
                    node.id()
                )));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Every node: whether it runs, and what the cluster says of it.
pub(super) fn status(roster: &Roster, out: &mut Out) -> Outcome {
    let statuses = block_on(async { Ok(ask_all(roster).await) })?;
    // Who knows of a controller knows more than who does not.
    let known = statuses
        .values()
        .max_by_key(|status| (status.cluster.controller.is_some(), status.cluster.revision));
    let controller = known.and_then(|status| status.cluster.controller);
    let told = |id: NodeId| {
        let nodes = known.map(|status| status.cluster.nodes.iter());
        nodes
            .into_iter()
            .flatten()
            .find(|node| node.id == id.0)
            .cloned()
    };
    let nodes = roster.nodes().map(|node| LocalNodeAnswer {
        id: node.id().0,
        running: node.is_running(),
        pid: node.pid(),
        http: format!("http://{}", node.http),
        peer: node.peer.to_string(),
        data: roster.data(node).display().to_string(),
        controller: controller == Some(node.id().0),
        cluster: told(node.id()),
    });
    let answer = LocalAnswer {
        controller,
        nodes: nodes.collect(),
    };
    out.show(&answer, || table(&answer))
}

/// Which nodes were `stopped` or `killed`.
pub(super) fn ended_by(how: &str, ids: &[NodeId], wiped: bool, out: &mut Out) -> Outcome {
    let ids: Vec<u16> = ids.iter().map(|id| id.0).collect();
    if out.format == Format::Json {
        return out.json(&BTreeMap::from([("stopped", ids)]));
    }
    let names: Vec<String> = ids.iter().map(u16::to_string).collect();
    let what = match names.as_slice() {
        [] => "no node was running".to_owned(),
        [one] => format!("{how} node {one}"),
        several => format!("{how} nodes {}", several.join(", ")),
    };
    let data = if wiped { "; their data is removed" } else { "" };
    out.line(&format!("{what}{data}"))
}

/// The end of a node's log, and what it said before it had one.
pub(super) fn logs(roster: &Roster, node: &LocalNode, out: &mut Out) -> Outcome {
    let said = std::fs::read_to_string(roster.says(node)).unwrap_or_default();
    out.foreign(&said)?;
    let Some(log) = newest_log(roster, node)? else {
        return Ok(());
    };
    let text = std::fs::read(&log).while_doing(format_args!("read {}", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
        out.foreign(line)?;
        out.line("")?;
    }
    Ok(())
}

fn newest_log(roster: &Roster, node: &LocalNode) -> Outcome<Option<std::path::PathBuf>> {
    let dir = roster.data(node).join("logs");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        return Ok(None);
    };
    let mut logs = Vec::new();
    for entry in entries {
        let entry = entry.while_doing(format_args!("list {}", dir.display()))?;
        let changed = entry.metadata().and_then(|data| data.modified());
        logs.push((changed.ok(), entry.path()));
    }
    Ok(logs.into_iter().max().map(|(_, path)| path))
}

async fn is_formed(roster: &Roster) -> bool {
    let statuses = ask_all(roster).await;
    let all = roster.nodes().count();
    statuses.len() == all
        && statuses.values().all(|status| {
            let cluster = &status.cluster;
            let alive = cluster.nodes.iter().filter(|it| it.liveness == "alive");
            cluster.controller.is_some() && alive.count() == all
        })
}

async fn ask_all(roster: &Roster) -> BTreeMap<u16, StatusAnswer> {
    let asked = roster.nodes().filter(|node| node.is_running());
    let asked = asked.map(async |node| Some((node.id().0, ask(node).await?)));
    let answers = futures_util::future::join_all(asked).await;
    answers.into_iter().flatten().collect()
}

async fn ask(node: &LocalNode) -> Option<StatusAnswer> {
    let client = Client::new(&format!("http://{}", node.http)).ok()?;
    let request = Request::get(&["status"]);
    let answer = tokio::time::timeout(ANSWER, client.ask(&request)).await;
    answer.ok()?.ok()
}

/// Why a node that was just started is not there.
fn ended(roster: &Roster, node: &LocalNode) -> Failure {
    let said = std::fs::read_to_string(roster.says(node)).unwrap_or_default();
    Failure::failed(format!(
        "node {} has ended; it said:\n{}",
        node.id(),
        said.trim()
    ))
}

fn try_out(roster: &Roster, took: Duration) -> String {
    let mut servers = roster.nodes().map(|node| node.http.to_string());
    let first = servers.next().unwrap_or_default();
    let others: Vec<String> = servers.collect();
    let mut text = format!(
        "{} nodes, formed in {:.1} s:\n",
        others.len() + 1,
        took.as_secs_f64()
    );
    for node in roster.nodes() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  node {}  http://{}", node.id(), node.http);
    }
    let last = others.last().unwrap_or(&first);
    let _ = write!(
        text,
        "\nTry:\n  \
         hark --server {first} topic create orders --partitions 12\n  \
         echo hello | hark --server {first} pub orders\n  \
         hark --server {last} sub orders --from earliest --count 1\n  \
         hark local kill 0 && hark local status && hark local start 0\n  \
         hark local down"
    );
    text
}

fn table(answer: &LocalAnswer) -> Table {
    let mut table = Table::new(&["NODE", "PROCESS", "HTTP", "LIVENESS", "ROLE", "DATA"]);
    for node in &answer.nodes {
        let process = match node.pid {
            Some(pid) => pid.to_string(),
            None => "not running".to_owned(),
        };
        let told = |get: fn(&NodeAnswer) -> &str| node.cluster.as_ref().map_or("-", get).to_owned();
        let role = if node.controller {
            "controller".to_owned()
        } else {
            told(|it| &it.role)
        };
        table.row([
            node.id.to_string(),
            process,
            node.http.clone(),
            told(|it| &it.liveness),
            role,
            node.data.clone(),
        ]);
    }
    table
}
