//! Nodes that find each other: by a list, a file, a service; who is refused; what a person is told.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use test_support::eventually;

use crate::support::{Bound, Node, hark, run};

const PATIENCE: Duration = Duration::from_secs(20);

/// Addresses on which nobody listens, neither over TCP nor over UDP.
fn free(count: usize) -> Vec<SocketAddr> {
    let sockets: Vec<_> = std::iter::repeat_with(|| TcpListener::bind("127.0.0.1:0").unwrap())
        .filter(|tcp| UdpSocket::bind(tcp.local_addr().unwrap()).is_ok())
        .take(count)
        .collect();
    sockets
        .iter()
        .map(|tcp| tcp.local_addr().unwrap())
        .collect()
}

/// Starts nodes at once, each with its options: none is there before all are.
fn together(directory: &Path, options: &[Vec<String>]) -> Vec<Node> {
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..)
            .zip(options)
            .map(|(n, options)| {
                scope.spawn(move || {
                    let options: Vec<&str> = options.iter().map(String::as_str).collect();
                    Node::start(&directory.join(format!("d{n}")), &options)
                })
            })
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    })
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// They agree on one cluster, which exactly one of them has founded; their ids.
fn check_one_cluster(nodes: &[Node]) -> Vec<u64> {
    let of = |key: &str| {
        nodes
            .iter()
            .map(|node| node.banner[key].clone())
            .collect::<Vec<Value>>()
    };
    let clusters = of("cluster");
    assert!(
        clusters.iter().all(|cluster| *cluster == clusters[0]),
        "{clusters:?}"
    );
    let founders = of("entry")
        .iter()
        .filter(|entry| *entry == "founded")
        .count();
    assert_eq!(founders, 1, "{:?}", of("entry"));
    of("id").iter().map(|id| id.as_u64().unwrap()).collect()
}

/// Something published at the first is read at the last.
fn check_one_system(nodes: &[Node]) {
    let (first, last) = (&nodes[0], &nodes[nodes.len() - 1]);
    first.ok(&["topic", "create", "t", "--partitions", "6"]);
    first.ok(&["pub", "t", "hello"]);
    let read = last.ok(&["sub", "t", "--from", "earliest", "--count", "1"]);
    assert_eq!(read, "hello\n");
}

#[test]
fn three_with_one_file_form_a_cluster_and_come_back_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = free(3);
    let map: serde_json::Map<String, Value> = ["A", "B", "C"]
        .iter()
        .zip(&addresses)
        .map(|(name, address)| ((*name).to_owned(), json!(["127.0.0.1", address.port()])))
        .collect();
    let file = directory.path().join("peers.json");
    fs::write(&file, Value::Object(map).to_string()).unwrap();
    let options = ["C", "A", "B"]
        .map(|name| strings(&["--peers-file", file.to_str().unwrap(), "--id", name]));
    let nodes = together(directory.path(), &options);
    assert_eq!(check_one_cluster(&nodes), [2, 0, 1]);
    assert_eq!(nodes[1].banner["peer"], addresses[0].to_string());
    check_one_system(&nodes);
    let cluster = nodes[0].banner["cluster"].clone();
    for node in &nodes {
        node.signal("TERM");
    }
    for node in nodes {
        assert_eq!(node.wait().0, Some(0));
    }
    // Their logs know where everybody is: no file, no id. And one is enough of two thirds to begin.
    let again = together(
        directory.path(),
        &addresses_of(&[addresses[2], addresses[0], addresses[1]]),
    );
    for node in &again {
        assert_eq!(node.banner["entry"], "resumed");
        assert_eq!(node.banner["cluster"], cluster);
    }
    let read = again[0].ok(&["sub", "t", "--from", "earliest", "--count", "1"]);
    assert_eq!(read, "hello\n");
}

fn addresses_of(addresses: &[SocketAddr]) -> Vec<Vec<String>> {
    let options = |address: &SocketAddr| strings(&["--peer-address", &address.to_string()]);
    addresses.iter().map(options).collect()
}

/// All that its log knows of the others is wrong; one hint is enough to find them all.
#[test]
fn a_cluster_that_starts_again_at_other_addresses_finds_itself() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = free(6);
    let (old, new) = addresses.split_at(3);
    let peers = old
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let mut options = addresses_of(old);
    for options in &mut options {
        options.extend(strings(&["--peers", &peers]));
    }
    let nodes = together(directory.path(), &options);
    check_one_cluster(&nodes);
    drop(nodes);
    let mut options = addresses_of(new);
    for options in &mut options {
        options.extend(strings(&["--peers", &new[0].to_string()]));
    }
    for node in together(directory.path(), &options) {
        assert_eq!(node.banner["entry"], "resumed");
        assert_eq!(node.banner["nodes"], 3);
    }
}

#[test]
fn whoever_is_not_who_it_says_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let address = free(1)[0].to_string();
    let first = Node::start(&at("first"), &["--id", "5", "--peer-address", &address]);
    let peers = ["--peers", &address, "--peer-address", "127.0.0.1:0"];
    let second = Node::start(&at("second"), &peers);
    assert_eq!(
        (&first.banner["id"], &second.banner["id"]),
        (&json!(5), &json!(0))
    );

    let refused = |data: &str, options: &[&str], says: &str| {
        let mut command = hark(&["serve", "--http", "127.0.0.1:0", "--log-level", "error"]);
        let answer = run(command
            .args(options)
            .args(peers)
            .arg("--data")
            .arg(at(data)));
        assert_eq!(answer.code, Some(5), "{data}: {answer:?}");
        assert!(answer.stderr.contains(says), "{data}: {answer:?}");
    };
    refused("other", &["--id", "5"], "choose another id");
    copy(&at("second"), &at("copy"));
    refused("copy", &[], "is running already");
    second.signal("TERM");
    assert_eq!(second.wait().0, Some(0));
    refused("second", &["--id", "7"], "belongs to node 0");
    // It runs once more, so the copy is an old one now.
    let _second = Node::start(&at("second"), &peers);
    refused("copy", &[], "old copy");

    let alone = Node::start(&at("alone"), &["--peer-address", "127.0.0.1:0"]);
    drop(alone);
    refused("alone", &["--id", "0"], "belongs to cluster");
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(from)
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_node_says_for_whom_it_waits_and_founds_when_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let addresses: Vec<String> = free(3).iter().map(ToString::to_string).collect();
    let [silent, own, other] = &addresses[..] else {
        panic!("three were asked for");
    };
    let peers = format!("{silent},{other}");
    let mut command = hark(&["--output", "json", "serve", "--http", "127.0.0.1:0"]);
    command
        .args([
            "--log-level",
            "error",
            "--peers",
            &peers,
            "--peer-address",
            own,
            "--data",
        ])
        .arg(directory.path().join("waits"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Bound(command.spawn().unwrap());
    let mut said = String::new();
    let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    for part in ["waiting for", silent, other] {
        assert!(said.contains(part), "{said}");
    }
    assert!(said.contains("--bootstrap"), "{said}");

    let bootstrap = ["--peers", own, "--peer-address", other, "--bootstrap"];
    let founder = Node::start(&directory.path().join("founds"), &bootstrap);
    assert_eq!(founder.banner["entry"], "founded");
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    let mut banner = String::new();
    stdout.read_line(&mut banner).unwrap();
    let banner: Value = serde_json::from_str(&banner).unwrap();
    assert_eq!(banner["entry"], "joined");
    assert_eq!(banner["cluster"], founder.banner["cluster"]);
}

#[test]
fn a_discovery_service_brings_nodes_together_and_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let map = directory.path().join("brokers.json");
    let (service, url) = discovery(&map, "127.0.0.1:0");
    // One that only listens: it sees what is pushed.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let watcher = json!({"peer": "192.0.2.1:1", "http": format!("http://{}", listener.local_addr().unwrap())});
    register(&url, &watcher);
    assert_eq!(pushed(&listener)["brokers"], json!([watcher]));
    unregister(&url, "192.0.2.1:1");

    let options = vec![strings(&["--discovery", &url, "--peer-address", "127.0.0.1:0"]); 3];
    let nodes = together(directory.path(), &options);
    let mut ids = check_one_cluster(&nodes);
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2]);
    check_one_system(&nodes);
    let known = || -> Value { serde_json::from_slice(&fs::read(&map).unwrap()).unwrap() };
    eventually("all have registered with their ids", PATIENCE, || {
        let map = known();
        let brokers = map["brokers"].as_array().unwrap();
        brokers.len() == 3 && brokers.iter().all(|broker| broker["id"].is_u64())
    });

    drop(service);
    nodes[1].ok(&["pub", "t", "without it"]);
    let before = known();
    let (_service, url) = discovery(&map, url.trim_start_matches("http://"));
    assert_eq!(get(&url, "/brokers"), before);
}

fn discovery(map: &Path, listen: &str) -> (Bound, String) {
    let mut command = hark(&["--output", "json", "discovery", "--listen", listen]);
    command.arg("--file").arg(map).stdout(Stdio::piped());
    let mut child = Bound(command.spawn().unwrap());
    let mut line = String::new();
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    (
        child,
        format!("http://{}", said["address"].as_str().unwrap()),
    )
}

fn curl(arguments: &[&str]) -> Value {
    let output = std::process::Command::new("curl")
        .args(["-sf"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn post(url: &str, path: &str, body: &Value) -> Value {
    let json = "content-type: application/json";
    curl(&["-H", json, "-d", &body.to_string(), &format!("{url}{path}")])
}

fn register(url: &str, broker: &Value) {
    let map = post(url, "/register", broker);
    assert!(map["brokers"].as_array().unwrap().contains(broker), "{map}");
}

fn unregister(url: &str, peer: &str) {
    let map = post(url, "/unregister", &json!({"peer": peer}));
    assert_eq!(map["brokers"], json!([]));
}

fn get(url: &str, path: &str) -> Value {
    curl(&[&format!("{url}{path}")])
}

/// The body of the next request.
fn pushed(listener: &TcpListener) -> Value {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn certificates_of_one_authority_make_a_cluster_and_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("made");
    let init = |dir: &Path, whom: &[&str]| {
        let mut command = hark(&["init", "--dir", dir.to_str().unwrap()]);
        run(command.args(whom))
    };
    let answer = init(&made, &["--ids", "011,5"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    for part in ["node-3", "node-5", "ca.key offline"] {
        assert!(answer.stdout.contains(part), "{answer:?}");
    }
    assert_eq!(init(&made, &["--ids", "5"]).code, Some(5));
    assert_eq!(init(&made, &["--ids", "5,101"]).code, Some(2));
    assert_eq!(init(&made, &[]).code, Some(2));
    assert_eq!(
        init(&directory.path().join("others"), &["--any"]).code,
        Some(0)
    );

    let addresses: Vec<String> = free(2).iter().map(ToString::to_string).collect();
    let peers = addresses.join(",");
    let options: Vec<Vec<String>> = [("3", "node-3"), ("5", "node-5")]
        .iter()
        .zip(&addresses)
        .map(|((id, dir), address)| {
            let dir = made.join(dir);
            let dir = dir.to_str().unwrap();
            strings(&[
                "--id",
                id,
                "--cluster-dir",
                dir,
                "--peer-address",
                address,
                "--peers",
                &peers,
            ])
        })
        .collect();
    let nodes = together(directory.path(), &options);
    assert_eq!(check_one_cluster(&nodes), [3, 5]);
    assert_eq!(nodes[0].banner["protected"], json!(true));
    check_one_system(&nodes);

    // A certificate that names another node.
    let mut command = hark(&[
        "serve",
        "--http",
        "127.0.0.1:0",
        "--peer-address",
        "127.0.0.1:0",
    ]);
    let node_3 = made.join("node-3");
    command.args([
        "--id",
        "7",
        "--peers",
        &peers,
        "--cluster-dir",
        node_3.to_str().unwrap(),
    ]);
    let answer = run(command.arg("--data").arg(directory.path().join("thief")));
    assert_eq!(answer.code, Some(5), "{answer:?}");
    assert!(answer.stderr.contains("not that of node 7"), "{answer:?}");
}

#[test]
fn a_node_that_others_reach_wants_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["--peer-address", "0.0.0.0:0"], "--advertise"),
        (
            &["--peer-address", "0.0.0.0:0", "--advertise", "127.0.0.1"],
            "hark init",
        ),
        (&["--cluster-dir", "/nowhere"], "cluster-dir"),
    ];
    for (options, says) in cases {
        let mut command = hark(&["serve", "--http", "127.0.0.1:0"]);
        let answer = run(command.args(options).arg("--data").arg(directory.path()));
        assert_eq!(answer.code, Some(78), "{options:?}: {answer:?}");
        assert!(answer.stderr.contains(says), "{options:?}: {answer:?}");
    }
}
