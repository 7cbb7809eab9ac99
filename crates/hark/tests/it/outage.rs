//! Commands that go on while their node dies and comes back, or its answers are lost.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use test_support::eventually;

use crate::lossy::LossyWay;
use crate::support::{Node, node, run, run_with_input};

const PATIENCE: Duration = Duration::from_secs(30);
const HALF: usize = 2000;

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("line {n}\n")).collect()
}

fn start(node: &Node, args: &[&str]) -> Child {
    spawn(node.hark(args))
}

fn spawn(mut command: Command) -> Child {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    piped.spawn().unwrap()
}

/// `hark pub` and its standard input.
fn start_publisher(node: &Node, topic: &str, acks: &Path) -> (Child, ChildStdin) {
    let args = ["pub", topic, "--acks-file", acks.to_str().unwrap()];
    let mut publisher = start(node, &args);
    let input = publisher.stdin.take().unwrap();
    (publisher, input)
}

fn until_acknowledged(acks: &Path, lines: usize) {
    eventually(&format!("{lines} lines are safe"), PATIENCE, || {
        let acks = std::fs::read_to_string(acks).unwrap_or_default();
        acks.ends_with(&format!(" {lines}\n"))
    });
}

fn output_of(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Kills the node and starts it again at the same address.
fn restart(node: Node, data: &Path) -> Node {
    let address = node.banner["address"].as_str().unwrap().to_owned();
    node.signal("KILL");
    assert_eq!(node.wait().0, None, "killed");
    Node::start_at(&address, &data.join("data"), &[])
}

/// Everything in a topic, which must be `count` messages: those of each key in order of position.
fn by_key(node: &Node, topic: &str, count: usize) -> BTreeMap<String, Vec<String>> {
    let described = node.json(&["topic", "describe", topic]);
    let partitions = described["partitions"].as_array().unwrap().iter();
    let ends = partitions.map(|partition| partition["end"].as_u64().unwrap());
    assert_eq!(ends.sum::<u64>(), count as u64, "{described}");

    let count = count.to_string();
    let args = ["sub", topic, "--from", "earliest", "--json", "-n", &count];
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in node.ok(&[&args[..], &["-t", "30s"]].concat()).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        keys.entry(text("key")).or_default().push(text("message"));
    }
    keys
}

/// Lines of several keys for `--key-separator :`, and what a topic should hold then.
fn keyed(count: usize) -> (String, BTreeMap<String, Vec<String>>) {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut text = String::new();
    for n in 0..count {
        let (key, message) = (format!("k{}", n % 13), format!("line {n}"));
        text.push_str(&format!("{key}:{message}\n"));
        keys.entry(key).or_default().push(message);
    }
    (text, keys)
}

#[test]
fn publisher_and_followers_survive_a_killed_node() {
    let (data, mut node) = node();
    node.ok(&["topic", "create", "t"]);
    let (acks, count) = (data.path().join("acks"), (2 * HALF).to_string());
    let follow = ["sub", "t", "--from", "earliest", "-n", &count, "-t", "60"];
    let alone = start(&node, &follow);
    let member = start(
        &node,
        &[&follow[..], &["--group", "g", "--consumer", "c"]].concat(),
    );
    let (publisher, mut input) = start_publisher(&node, "t", &acks);

    input.write_all(lines(0..HALF).as_bytes()).unwrap();
    until_acknowledged(&acks, HALF);
    node = restart(node, data.path());
    input.write_all(lines(HALF..2 * HALF).as_bytes()).unwrap();
    drop(input);

    let said = output_of(publisher);
    assert!(
        said.starts_with(&format!("published {count} lines")),
        "{said}"
    );
    assert_eq!(output_of(alone), lines(0..2 * HALF));
    assert_eq!(output_of(member), lines(0..2 * HALF));
    let group = node.json(&["group", "describe", "g"]);
    assert_eq!(group["commits"][0]["lag"], 0);
}

/// Batches are under way at every kill; the answers to some of them are never heard.
#[test]
fn lines_under_way_at_a_kill_are_there_once() {
    const PIECES: usize = 40;
    let (data, mut node) = node();
    node.ok(&["topic", "create", "t"]);
    let acks = data.path().join("acks");
    let (publisher, mut input) = start_publisher(&node, "t", &acks);
    for piece in 0..PIECES {
        let of_piece = piece * 50..(piece + 1) * 50;
        input.write_all(lines(of_piece).as_bytes()).unwrap();
        if piece % 10 == 5 {
            node = restart(node, data.path());
        }
    }
    drop(input);
    let said = output_of(publisher);
    assert!(said.starts_with("published 2000 lines"), "{said}");
    let messages = by_key(&node, "t", PIECES * 50).remove("").unwrap();
    let expected: Vec<String> = lines(0..PIECES * 50).lines().map(str::to_owned).collect();
    assert_eq!(messages, expected);
}

#[test]
fn lines_whose_answers_are_lost_are_there_once() {
    let (_data, node) = node();
    node.ok(&["topic", "create", "t", "--partitions", "4"]);
    let way = LossyWay::to(node.banner["address"].as_str().unwrap(), 3);
    let (text, expected) = keyed(20_000);
    let mut publish = node.hark(&["pub", "t", "--key-separator", ":"]);
    let answer = run_with_input(publish.env("HARK_SERVER", &way.url), &text);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(
        answer.stdout.starts_with("published 20000 lines"),
        "{answer:?}"
    );
    assert!(answer.stderr.contains("trying again"), "{answer:?}");
    assert!(answer.stdout.contains("recognised"), "{answer:?}");
    assert!(way.lost() > 0);
    assert_eq!(by_key(&node, "t", 20_000), expected);
}

#[test]
fn a_message_whose_answer_is_lost_is_there_once() {
    let (_data, node) = node();
    // The first answers are the producer's identity and who else there is; the third, the receipt, is
    // lost.
    let way = LossyWay::to(node.banner["address"].as_str().unwrap(), 3);
    let answer = run(node.hark(&["pub", "t", "m"]).env("HARK_SERVER", &way.url));
    assert_eq!(
        (answer.code, answer.stdout.as_str()),
        (Some(0), "published to t, partition 0, offset 0\n"),
        "{answer:?}"
    );
    assert_eq!(way.lost(), 1);
    let messages = by_key(&node, "t", 1).remove("").unwrap();
    assert_eq!(messages, ["m"]);
}

#[test]
fn giving_up_says_what_is_safe_and_what_is_not_known() {
    let (data, node) = node();
    let acks = data.path().join("acks");
    // The answers are the producer's identity, who else there is, the first receipt, and one that is
    // lost.
    let way = LossyWay::to(node.banner["address"].as_str().unwrap(), 4);
    let mut publish = node.hark(&["pub", "t", "--retry-for", "0s", "--acks-file"]);
    publish.arg(&acks).env("HARK_SERVER", &way.url);
    let mut publisher = spawn(publish);
    let mut input = publisher.stdin.take().unwrap();
    input.write_all(b"one\ntwo\n").unwrap();
    until_acknowledged(&acks, 2);
    input.write_all(b"three\n").unwrap();
    let output = publisher.wait_with_output().unwrap();
    let why = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("line 3 of the input"), "{why}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("published 2 lines"), "{said}");
    assert!(said.contains("1 more line sent"), "{said}");
    assert_eq!(std::fs::read_to_string(&acks).unwrap(), "1 2\n");
}

#[test]
fn a_topic_that_goes_away_ends_the_publishing() {
    for (made_again, code, name) in [(false, 4, "unknown_topic"), (true, 5, "topic_replaced")] {
        let (data, node) = node();
        let acks = data.path().join("acks");
        let (publisher, mut input) = start_publisher(&node, "t", &acks);
        input.write_all(b"one\n").unwrap();
        until_acknowledged(&acks, 1);
        node.ok(&["topic", "delete", "t", "--yes"]);
        if made_again {
            node.ok(&["topic", "create", "t"]);
        }
        input.write_all(b"two\n").unwrap();
        drop(input);
        let output = publisher.wait_with_output().unwrap();
        let why = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{why}");
        assert!(why.contains("line 2") && why.contains(name), "{why}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            said.starts_with("published 1 line ") && !said.contains("more"),
            "{said}"
        );
    }
}

#[test]
fn an_interrupt_ends_it_in_order() {
    let (data, node) = node();
    let acks = data.path().join("acks");
    let (publisher, mut input) = start_publisher(&node, "t", &acks);
    input.write_all(b"one\n").unwrap();
    until_acknowledged(&acks, 1);
    let pid = publisher.id().to_string();
    let interrupt = Command::new("kill").args(["-s", "INT", &pid]).status();
    assert!(interrupt.unwrap().success());
    let output = publisher.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("published 1 line "), "{said}");
}
