//! Commands and several nodes: any of them answers, and one that dies is passed over.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::eventually;

use crate::support::{Bound, Node, run};

const PATIENCE: Duration = Duration::from_secs(30);
const HALF: usize = 1000;

/// A cluster of three.
fn cluster() -> (TempDir, Vec<Node>) {
    let directory = tempfile::tempdir().unwrap();
    let mut nodes: Vec<Node> = Vec::new();
    for name in ["d0", "d1", "d2"] {
        let peer = nodes.first().map(|first| first.banner["peer"].clone());
        let mut options = vec!["--peer-address", "127.0.0.1:0"];
        if let Some(peer) = &peer {
            options.extend(["--peers", peer.as_str().unwrap()]);
        }
        nodes.push(Node::start(&directory.path().join(name), &options));
    }
    (directory, nodes)
}

fn id(node: &Node) -> u64 {
    node.banner["id"].as_u64().unwrap()
}

/// The node that leads the only partition of a topic, and another one.
fn leader_and_other<'a>(nodes: &'a [Node], topic: &str) -> (&'a Node, &'a Node) {
    let described = nodes[0].json(&["topic", "describe", topic]);
    let leads = |node: &&Node| described["partitions"][0]["leader"] == id(node);
    let leader = nodes.iter().find(leads).unwrap();
    let other = nodes.iter().rfind(|node| !leads(node)).unwrap();
    (leader, other)
}

fn start(node: &Node, args: &[&str]) -> (Bound, BufReader<ChildStdout>) {
    let mut command = node.hark(args);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child: Child = piped.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (Bound(child), stdout)
}

fn until_acknowledged(acks: &Path, lines: usize) {
    eventually(&format!("{lines} lines are safe"), PATIENCE, || {
        let acks = std::fs::read_to_string(acks).unwrap_or_default();
        acks.ends_with(&format!(" {lines}\n"))
    });
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("line {n}\n")).collect()
}

#[test]
fn a_publisher_and_a_follower_go_on_when_the_only_server_they_know_dies() {
    let (directory, nodes) = cluster();
    nodes[0].ok(&["topic", "create", "t"]);
    let (leader, other) = leader_and_other(&nodes, "t");
    let (acks, count) = (directory.path().join("acks"), (2 * HALF).to_string());
    let follow = ["sub", "t", "--from", "earliest", "-n", &count, "-t", "60"];
    let (mut follower, mut read) = start(other, &follow);
    let publish = ["pub", "t", "--acks-file", acks.to_str().unwrap()];
    let (mut publisher, mut said) = start(other, &publish);
    let mut input = publisher.0.stdin.take().unwrap();

    input.write_all(lines(0..HALF).as_bytes()).unwrap();
    until_acknowledged(&acks, HALF);
    // Before it shows anything it knows where else to go.
    let mut messages = String::new();
    read.read_line(&mut messages).unwrap();
    other.signal("KILL");
    input.write_all(lines(HALF..2 * HALF).as_bytes()).unwrap();
    drop(input);

    assert!(publisher.0.wait().unwrap().success());
    let mut summary = String::new();
    said.read_to_string(&mut summary).unwrap();
    assert!(
        summary.starts_with(&format!("published {count} lines")),
        "{summary}"
    );
    read.read_to_string(&mut messages).unwrap();
    assert!(follower.0.wait().unwrap().success());
    assert_eq!(messages, lines(0..2 * HALF));
    let described = leader.json(&["topic", "describe", "t"]);
    assert_eq!(
        described["partitions"][0]["end"],
        2 * HALF,
        "each is there once"
    );
}

#[test]
fn servers_are_named_one_by_one_or_together_and_a_dead_one_is_passed_over() {
    let (_directory, nodes) = cluster();
    let nobody = crate::support::nobody();
    let together = format!("{nobody},{}", nodes[2].url);
    let one_by_one = ["--server", &nobody, "--server", &nodes[1].url];
    for servers in [&["--server", together.as_str()][..], &one_by_one] {
        let args = [&["status", "--output", "json"], servers].concat();
        let answer = run(&mut crate::support::hark(&args));
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let status: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(status["nodes"].as_array().unwrap().len(), 3, "{status}");
    }
}

/// Waits until every node sees all of them alive and voting, under one controller.
fn until_formed(nodes: &[Node]) {
    eventually("all see all alive and voting", PATIENCE, || {
        nodes.iter().all(|node| {
            let cluster = node.json(&["node", "list"]);
            let seen = cluster["nodes"].as_array().unwrap();
            let whole = |node: &&Value| node["liveness"] == "alive" && node["role"] == "voter";
            !cluster["controller"].is_null() && seen.iter().filter(whole).count() == nodes.len()
        })
    });
}

#[test]
fn nodes_are_listed_and_a_new_one_is_explained() {
    let (_directory, nodes) = cluster();
    until_formed(&nodes);
    let list = nodes[1].ok(&["node", "list"]);
    let status = nodes[1].ok(&["status"]);
    for word in ["CORNER", "NEIGHBOURS", "010", "controller", "voter", "here"] {
        assert!(list.contains(word), "{word}: {list}");
        assert!(status.contains(word), "{word}: {status}");
    }
    let controller = |node: &Node, args: &[&str]| node.json(args)["controller"].clone();
    assert_eq!(
        controller(&nodes[1], &["status"]),
        controller(&nodes[0], &["node", "list"])
    );

    let plan = nodes[0].json(&["node", "add", "--rack", "r"]);
    assert_eq!((&plan["id"], &plan["changed"]), (&json!(3), &json!(false)));
    let serve = plan["serve"].as_str().unwrap();
    let peer = nodes[0].banner["peer"].as_str().unwrap();
    for word in ["--id 3 ", "--rack r", peer] {
        assert!(serve.contains(word), "{word}: {serve}");
    }
}

#[test]
fn a_drained_node_gets_nothing_new_and_can_be_removed() {
    let (_directory, mut nodes) = cluster();
    let drained = nodes[0].json(&["node", "drain", "010"]);
    assert_eq!(drained["nodes"][2]["state"], "draining");
    nodes[1].ok(&["topic", "create", "t", "--partitions", "12"]);
    let described = nodes[2].json(&["topic", "describe", "t"]);
    let partitions = described["partitions"].as_array().unwrap();
    let led = |id: u64| partitions.iter().filter(|it| it["leader"] == id).count();
    assert!(led(0) > 0 && led(1) > 0 && led(2) == 0, "{described}");
    let shown = nodes[2].ok(&["topic", "describe", "t"]);
    let http = nodes[1].url.strip_prefix("http://").unwrap();
    assert!(shown.contains("LEADER") && shown.contains(http), "{shown}");
    let active = nodes[0].json(&["node", "activate", "2"]);
    assert_eq!(active["nodes"][2]["state"], "active");

    let refused: [(&[&str], &str); 2] = [
        (&["node", "replace", "2", "--yes"], "node_in_use"),
        (&["node", "remove", "1", "--yes"], "--lose-partitions"),
    ];
    for (args, says) in refused {
        let answer = run(&mut nodes[0].hark(args));
        assert_eq!(answer.code, Some(5), "{answer:?}");
        assert!(answer.stderr.contains(says), "{answer:?}");
    }
    let gone = nodes.pop().unwrap();
    gone.signal("TERM");
    assert_eq!(gone.wait().0, Some(0));
    let cluster = nodes[0].json(&["node", "remove", "2", "--yes"]);
    assert_eq!(cluster["nodes"].as_array().unwrap().len(), 2);
    let added = nodes[0].json(&["node", "add"]);
    assert_eq!(added["id"], 3, "a removed id never comes back");
    assert_eq!(
        run(&mut nodes[0].hark(&["node", "drain", "2"])).code,
        Some(4)
    );
}

#[test]
fn a_node_that_is_removed_while_it_runs_ends_and_says_why() {
    let (_directory, mut nodes) = cluster();
    until_formed(&nodes);
    nodes[0].ok(&["node", "remove", "2", "--yes"]);
    let (code, said) = nodes.pop().unwrap().complaint();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("was removed"), "{said}");
}
