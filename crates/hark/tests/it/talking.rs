//! Commands that talk to a node.

use serde_json::Value;

use crate::support::{Node, node, run, run_with_input};

#[test]
fn topics_are_made_shown_changed_and_deleted() {
    let (_data, node) = node();
    node.ok(&[
        "topic",
        "create",
        "orders",
        "--partitions",
        "3",
        "--retention",
        "7d",
    ]);
    let topic = node.json(&["topic", "describe", "orders"]);
    assert_eq!(topic["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(topic["config"]["retention_ms"], 604_800_000);

    let shown = node.ok(&["topic", "config", "orders", "--segment-bytes", "1MiB"]);
    assert!(shown.contains("segment-bytes      1.00 MiB"), "{shown}");
    assert!(shown.contains("retention          7d"), "{shown}");
    let shown = node.ok(&["topic", "config", "orders", "--retention", "default"]);
    assert!(
        shown.contains("retention          no limit (default)"),
        "{shown}"
    );

    let list = node.ok(&["topic", "list"]);
    assert!(
        list.starts_with("TOPIC") && list.contains("orders"),
        "{list}"
    );
    node.ok(&["topic", "delete", "orders", "--yes"]);
    assert_eq!(
        node.json(&["topic", "list"])["topics"],
        Value::Array(vec![])
    );
}

#[test]
fn what_does_not_exist_ends_with_4_and_a_conflict_with_5() {
    let (_data, node) = node();
    node.ok(&["topic", "create", "there"]);
    let cases: [(&[&str], i32, &str); 8] = [
        (&["topic", "describe", "gone"], 4, "unknown_topic"),
        (&["topic", "delete", "gone", "--yes"], 4, "unknown_topic"),
        (&["topic", "config", "gone"], 4, "unknown_topic"),
        (&["sub", "gone"], 4, "unknown_topic"),
        (&["group", "describe", "gone"], 4, "unknown_group"),
        (
            &["pub", "there", "m", "--partition", "7"],
            4,
            "unknown_partition",
        ),
        (&["topic", "create", "there"], 5, "topic_exists"),
        (
            &["topic", "create", "t", "--partitions", "0"],
            5,
            "invalid_partitions",
        ),
    ];
    for (args, code, name) in cases {
        let answer = run(&mut node.hark(args));
        assert_eq!(answer.code, Some(code), "{args:?}: {answer:?}");
        assert!(answer.stderr.contains(name), "{args:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "{args:?}");
    }
}

#[test]
fn one_message_goes_in_and_comes_out() {
    let (_data, node) = node();
    let receipt = node.ok(&[
        "pub", "t", "hello", "--key", "k", "-H", "a=1", "-H", "b=x=y",
    ]);
    assert_eq!(receipt, "published to t, partition 0, offset 0\n");
    assert_eq!(
        node.ok(&["sub", "t", "--from", "earliest", "-n", "1"]),
        "hello\n"
    );
    let json = node.ok(&["sub", "t", "--from", "0", "-n", "1", "--json"]);
    let record: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(record["message"], "hello");
    assert_eq!(record["key"], "k");
    assert_eq!(record["headers"], serde_json::json!({"a": "1", "b": "x=y"}));
}

#[test]
fn a_number_below_zero_is_a_message() {
    let (_data, node) = node();
    node.ok(&["pub", "t", "-5"]);
    assert_eq!(
        node.ok(&["sub", "t", "--from", "earliest", "-n", "1"]),
        "-5\n"
    );
}

#[test]
fn lines_go_in_and_come_out_in_order_per_key() {
    let (data, node) = node();
    node.ok(&["topic", "create", "lines", "--partitions", "4"]);
    let input: String = (0..5000)
        .map(|n| format!("key{}\tline {n}\n", n % 7))
        .collect();
    let acks = data.path().join("acks");
    let mut publish = node.hark(&["pub", "lines", "--key-separator", "\\t", "--acks-file"]);
    let answer = run_with_input(publish.arg(&acks), &input);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(
        answer.stdout.starts_with("published 5000 lines"),
        "{answer:?}"
    );
    let acks = std::fs::read_to_string(acks).unwrap();
    assert!(
        acks.starts_with("1 ") && acks.ends_with(" 5000\n"),
        "{acks}"
    );

    let read = [
        "sub",
        "lines",
        "--from",
        "earliest",
        "-n",
        "5000",
        "--key-separator",
        "\\t",
    ];
    for group in [None, Some("readers")] {
        let with_group = group.map_or(vec![], |group| vec!["--group", group]);
        let output = node.ok(&[&read[..], &with_group].concat());
        assert_eq!(by_key(&output), by_key(&input), "{group:?}");
    }
}

/// The lines of each key, in their order.
fn by_key(text: &str) -> std::collections::BTreeMap<&str, Vec<&str>> {
    let mut keys = std::collections::BTreeMap::new();
    for line in text.lines() {
        let (key, message) = line.split_once('\t').unwrap();
        keys.entry(key).or_insert_with(Vec::new).push(message);
    }
    keys
}

#[test]
fn a_line_that_cannot_be_taken_is_named_and_those_before_are_safe() {
    let (_data, node) = node();
    let mut publish = node.hark(&["pub", "t", "--key-separator", ":"]);
    let answer = run_with_input(&mut publish, "a:1\nb:2\nnothing\nc:3\n");
    assert_eq!(answer.code, Some(5), "{answer:?}");
    assert!(answer.stderr.contains("line 3"), "{answer:?}");
    assert!(answer.stdout.starts_with("published 2 lines"), "{answer:?}");

    let mut publish = node.hark(&["pub", "t"]);
    let large = "x".repeat(2 << 20);
    let answer = run_with_input(&mut publish, &format!("small\n{large}\nsmall\n"));
    assert_eq!(answer.code, Some(5), "{answer:?}");
    assert!(answer.stderr.contains("line 2"), "{}", answer.stderr);
    assert!(answer.stdout.starts_with("published 1 line "), "{answer:?}");
}

#[test]
fn a_message_larger_than_the_topic_takes_is_refused() {
    let (_data, node) = node();
    node.ok(&["topic", "create", "t", "--max-message-bytes", "200B"]);
    let answer = run(&mut node.hark(&["pub", "t", &"x".repeat(200)]));
    assert_eq!(answer.code, Some(5), "{answer:?}");
    assert!(answer.stderr.contains("message_too_large"), "{answer:?}");
    node.ok(&["pub", "t", &"x".repeat(100)]);
}

#[test]
fn an_unknown_topic_is_not_made_where_that_is_switched_off() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &["--no-auto-create-topics"]);
    for args in [&["pub", "t", "m"][..], &["pub", "t"]] {
        let answer = run_with_input(&mut node.hark(args), "line\n");
        assert_eq!(answer.code, Some(4), "{answer:?}");
        assert!(answer.stderr.contains("unknown_topic"), "{answer:?}");
    }
}

#[test]
fn bytes_that_are_no_text_survive() {
    let (_data, node) = node();
    let mut publish = node.hark(&["pub", "t"]);
    publish
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut child = publish.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"\xff\x00\xfe\n").unwrap();
    assert!(child.wait().unwrap().success());
    let output = node
        .hark(&["sub", "t", "--from", "earliest", "-n", "1"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"\xff\x00\xfe\n");
}

#[test]
fn a_group_goes_on_where_it_ended_and_can_be_reset() {
    let (_data, node) = node();
    for message in ["one", "two", "three"] {
        node.ok(&["pub", "t", message]);
    }
    let read = |count: &str| node.ok(&["sub", "t", "--group", "g", "-n", count, "-t", "20"]);
    assert_eq!(read("2"), "one\ntwo\n");
    assert_eq!(read("1"), "three\n");

    let group = node.json(&["group", "describe", "g"]);
    assert_eq!(group["commits"][0]["offset"], 3);
    assert_eq!(group["members"], Value::Array(vec![]), "it has left");
    assert!(node.ok(&["group", "list"]).contains("empty"));
    node.ok(&["group", "reset", "g", "t", "--from", "1"]);
    assert_eq!(read("1"), "two\n");
    node.ok(&["group", "delete", "g"]);
    assert_eq!(
        run(&mut node.hark(&["group", "describe", "g"])).code,
        Some(4)
    );
}

#[test]
fn a_reading_without_enough_ends_with_7() {
    let (_data, node) = node();
    node.ok(&["pub", "t", "only"]);
    for group in [&[][..], &["--group", "g"]] {
        let args = [
            &["sub", "t", "--from", "earliest", "-n", "2", "-t", "300ms"],
            group,
        ]
        .concat();
        let answer = run(&mut node.hark(&args));
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(7), "only\n"),
            "{answer:?}"
        );
    }
    let answer = run(&mut node.hark(&["sub", "t", "--from", "earliest", "-t", "300ms"]));
    assert_eq!(
        (answer.code, answer.stdout.as_str()),
        (Some(0), "only\n"),
        "{answer:?}"
    );
}

#[test]
fn a_server_that_is_not_there_is_passed_over() {
    let (_data, node) = node();
    let servers = format!("{},{}", crate::support::nobody(), node.url);
    let answer = run(node
        .hark(&["topic", "create", "t"])
        .env("HARK_SERVER", servers));
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

#[test]
fn status_shows_the_node() {
    let (_data, node) = node();
    let status = node.ok(&["status"]);
    for word in ["NODE", "health", "ok", "store", "log"] {
        assert!(status.contains(word), "{status}");
    }
    assert_eq!(node.json(&["status"])["node"], "node");
}
