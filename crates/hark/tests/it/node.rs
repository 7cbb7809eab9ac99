//! The life of a node: start, banner, lock, keys, stop.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::json;
use test_support::eventually;

use crate::support::{Bound, Node, hark, nobody, node, run};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_banner_says_where_it_is_and_what_to_type() {
    let data = tempfile::tempdir().unwrap();
    let mut command = hark(&["serve", "--http", "127.0.0.1:0", "--log-level", "error"]);
    command
        .arg("--data")
        .arg(data.path())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let banner: Vec<String> = lines.by_ref().take(10).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let text = banner.join("\n");
    let url = text
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    assert!(text.contains("not encrypted"), "{text}");
    assert!(text.contains(data.path().to_str().unwrap()), "{text}");
    for line in [format!("curl {url}/publish"), format!("curl {url}/status")] {
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let (data, first) = node();
    let mut second = hark(&["serve", "--http", "127.0.0.1:0"]);
    let answer = run(second.arg("--data").arg(data.path().join("data")));
    assert_eq!(answer.code, Some(5), "{answer:?}");
    assert!(
        answer.stderr.contains("in use by another process"),
        "{answer:?}"
    );
    assert!(answer.stderr.contains("--data"), "{answer:?}");
    assert_eq!(first.json(&["status"])["health"], "ok");
}

#[test]
fn an_address_in_use_is_refused() {
    let (_data, first) = node();
    let other = tempfile::tempdir().unwrap();
    let address = first.banner["address"].as_str().unwrap();
    let mut second = hark(&["serve", "--http", address]);
    let answer = run(second.arg("--data").arg(other.path()));
    assert_eq!(answer.code, Some(5), "{answer:?}");
    assert!(answer.stderr.contains(address), "{answer:?}");
}

#[test]
fn a_signal_ends_it_in_order_and_nothing_is_lost() {
    let (data, first) = node();
    first.ok(&["pub", "t", "kept"]);
    for signal in ["TERM", "INT"] {
        let node = Node::start(&data.path().join(signal), &[]);
        node.signal(signal);
        assert_eq!(node.wait(), (Some(0), String::new()), "{signal}");
    }
    first.signal("TERM");
    assert_eq!(first.wait().0, Some(0));
    let again = Node::start(&data.path().join("data"), &[]);
    assert_eq!(
        again.ok(&["sub", "t", "--from", "earliest", "--count", "1"]),
        "kept\n"
    );
}

/// A start can take long, here for ever: the file that names the engine is a pipe without a writer.
#[test]
fn a_signal_ends_a_start_that_is_not_done() {
    let data = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(data.path().join("ENGINE"))
        .status();
    assert!(made.unwrap().success());
    let address = nobody().replace("http://", "");
    let mut command = hark(&["serve", "--http", &address]);
    command
        .arg("--data")
        .arg(data.path())
        .stderr(std::process::Stdio::null());
    let mut child = Bound(command.spawn().unwrap());
    eventually("it starts", PATIENCE, || {
        data.path().join("control.db").exists()
    });
    let early = std::net::TcpStream::connect(&address);
    assert!(early.is_err(), "a client is not left waiting");
    let mut kill = std::process::Command::new("kill");
    let told = kill
        .args(["-s", "TERM", &child.0.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    let mut ended = None;
    eventually("it ends", PATIENCE, || {
        ended = child.0.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[test]
fn the_engine_of_a_directory_does_not_change() {
    let data = tempfile::tempdir().unwrap();
    drop(Node::start(data.path(), &["--store", "sqlite"]));
    let mut other = hark(&["serve", "--http", "127.0.0.1:0", "--store", "log"]);
    let answer = run(other.arg("--data").arg(data.path()));
    assert_eq!(answer.code, Some(78), "{answer:?}");
    assert!(answer.stderr.contains("--store sqlite"), "{answer:?}");
}

#[test]
fn an_encrypted_directory_wants_its_key() {
    let data = tempfile::tempdir().unwrap();
    let keys = data.path().join("keys");
    fs::write(&keys, format!("1:{}\n", "ab".repeat(32))).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    let directory = data.path().join("data");
    let key_file = ["--encryption-key-file", keys.to_str().unwrap()];
    let node = Node::start(&directory, &key_file);
    assert_eq!(node.banner["encrypted"], json!(true));
    node.ok(&["pub", "t", "a secret that no file may hold"]);
    node.signal("TERM");
    assert_eq!(node.wait().0, Some(0));

    let start = |key: Option<String>| {
        let mut command = hark(&["serve", "--http", "127.0.0.1:0"]);
        command.arg("--data").arg(&directory);
        key.map(|key| command.env("HARK_STORAGE_KEY", key));
        run(&mut command)
    };
    for key in [
        None,
        Some(format!("1:{}", "cd".repeat(32))),
        Some("rubbish".to_owned()),
    ] {
        let answer = start(key.clone());
        assert_eq!(answer.code, Some(78), "{key:?}: {answer:?}");
        assert!(
            !answer.stderr.contains("cdcdcd"),
            "a key was shown: {answer:?}"
        );
    }
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = hark(&["serve", "--http", "127.0.0.1:0"]);
    let answer = run(command.args(key_file).arg("--data").arg(&directory));
    assert_eq!(answer.code, Some(78), "{answer:?}");
    assert!(answer.stderr.contains("chmod 600"), "{answer:?}");
}

/// What a node holds is said by `hark.db`: without it, or with an older one, everything would begin anew.
#[test]
fn a_lost_or_older_hark_db_is_refused_and_nothing_is_lost() {
    let (directory, first) = node();
    let data = directory.path().join("data");
    let (database, backup) = (data.join("hark.db"), directory.path().join("backup"));
    let newest = directory.path().join("newest");
    let stop = |node: Node| {
        node.signal("TERM");
        assert_eq!(node.wait().0, Some(0));
    };
    first.ok(&["pub", "old", "kept"]);
    stop(first);
    fs::copy(&database, &backup).unwrap();
    let second = Node::start(&data, &[]);
    second.ok(&["pub", "new", "kept too"]);
    stop(second);
    fs::rename(&database, &newest).unwrap();

    let refused = || {
        let mut serve = hark(&["serve", "--http", "127.0.0.1:0"]);
        let answer = run(serve.arg("--data").arg(&data));
        assert_eq!(answer.code, Some(5), "{answer:?}");
        assert!(answer.stderr.contains("hark node replace"), "{answer:?}");
        answer.stderr
    };
    for _ in 0..2 {
        let why = refused();
        assert!(why.contains("hark.db is missing"), "{why}");
    }
    fs::copy(&backup, &database).unwrap();
    let why = refused();
    assert!(why.contains("hark.db is older"), "{why}");
    fs::rename(&newest, &database).unwrap();
    let again = Node::start(&data, &[]);
    for (topic, message) in [("old", "kept\n"), ("new", "kept too\n")] {
        let read = again.ok(&["sub", topic, "--from", "earliest", "--count", "1"]);
        assert_eq!(read, message);
    }
}
