//! The ways in which nodes find each other.

use std::fs;
use std::time::Duration;

use e2e::{Cluster, Member, Process, command, free_port};
use serde_json::{Map, Value, json};

use super::{DEADLINE, make_topic};
use crate::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_peers_file() {
    let mut cluster = Cluster::new(3).unwrap();
    let file = cluster.path("peers.json");
    let names = ["A", "B", "C"];
    let places = cluster.members.iter().zip(names).map(|(member, name)| {
        let place = json!([member.peer().ip().to_string(), member.peer().port()]);
        (name.to_owned(), place)
    });
    let places: Map<String, Value> = places.collect();
    fs::write(&file, Value::from(places).to_string()).unwrap();
    for (member, name) in cluster.members.iter_mut().zip(names) {
        member.options(["--id", name, "--peers-file", file.to_str().unwrap()]);
    }
    cluster.start().await.unwrap();
    for (id, member) in cluster.members.iter().enumerate() {
        assert_eq!(member.status().await.unwrap()["id"], id, "by its place");
    }
}

/// Nodes find each other through the service and get their ids from the cluster. Its death harms
/// nobody, not even a node that starts again; and it comes back with all that it knew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_discovery_service() {
    let mut cluster = Cluster::new(3).unwrap();
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let mut discovery = discovery(&cluster, &address);
    let url = format!("http://{address}");
    until("the service answers", DEADLINE, async || {
        known(&url).await.is_some()
    })
    .await;
    for member in &mut cluster.members {
        member.options(["--discovery", &url]);
        member.start().unwrap();
    }
    for member in &mut cluster.members {
        member.ready().await.unwrap();
    }
    let order = by_id(&cluster).await;
    let members = std::mem::take(&mut cluster.members);
    cluster.members = sorted(members, &order);
    cluster.agreed(DEADLINE).await.unwrap();
    until("all are registered with their ids", DEADLINE, async || {
        known(&url).await == Some(3)
    })
    .await;

    discovery.kill().unwrap();
    make_topic(cluster.node(0), "without", 3).await;
    cluster.node(1).stop().await.unwrap();
    cluster.node(1).start().unwrap();
    cluster.node(1).ready().await.unwrap();
    cluster.agreed(DEADLINE).await.unwrap();

    let _discovery = self::discovery(&cluster, &address);
    until("the service knows what it knew", DEADLINE, async || {
        known(&url).await == Some(3)
    })
    .await;
}

/// Certificates and the key of `hark init`; whoever has none is not let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_certificates() {
    let mut cluster = Cluster::new(3).unwrap();
    let secrets = cluster.path("secrets");
    let made = command()
        .args(["init", "--nodes", "4", "--dir"])
        .arg(&secrets)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let peers = cluster.peers();
    for (id, member) in cluster.members.iter_mut().enumerate() {
        let own = secrets.join(format!("node-{id}"));
        member.options(["--id", &id.to_string(), "--peers", &peers]);
        member.options(["--cluster-dir", own.to_str().unwrap()]);
    }
    cluster.start().await.unwrap();
    make_topic(cluster.node(0), "sealed", 3).await;

    let mut without = Member::new(&cluster.path("without")).unwrap();
    without.options(["--id", "3", "--peers", &peers]);
    without.start().unwrap();
    // With the certificate of another node it cannot have the id that it wants.
    let mut false_one = Member::new(&cluster.path("false")).unwrap();
    let another = secrets.join("node-3");
    false_one.options(["--id", "5", "--peers", &peers]);
    false_one.options(["--cluster-dir", another.to_str().unwrap()]);
    let (code, said) = false_one.refused().await.unwrap();
    assert!([5, 78].contains(&code), "{code}: {said}");
    assert!(said.contains("certificate"), "{said}");

    until("the one without says that it waits", DEADLINE, async || {
        without.said().contains("waiting for")
    })
    .await;
    let status = cluster.any().unwrap().status().await.unwrap();
    assert_eq!(
        status["nodes"].as_array().map(Vec::len),
        Some(3),
        "{status}"
    );
}

fn discovery(cluster: &Cluster, address: &str) -> Process {
    let mut discovery = command();
    discovery
        .args(["discovery", "--listen", address, "--file"])
        .arg(cluster.path("brokers.json"));
    Process::start(&mut discovery, &cluster.path("discovery.said")).unwrap()
}

/// How many brokers with an id the service knows.
async fn known(url: &str) -> Option<usize> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(3));
    let answer = client.build().unwrap().get(format!("{url}/brokers")).send();
    let map: Value = answer.await.ok()?.json().await.ok()?;
    let brokers = map["brokers"].as_array()?;
    Some(
        brokers
            .iter()
            .filter(|broker| broker["id"].is_u64())
            .count(),
    )
}

/// The id that each node was given.
async fn by_id(cluster: &Cluster) -> Vec<usize> {
    let mut ids = Vec::new();
    for member in &cluster.members {
        let status = member.status().await.unwrap();
        ids.push(usize::try_from(status["id"].as_u64().unwrap()).unwrap());
    }
    ids
}

fn sorted(members: Vec<Member>, ids: &[usize]) -> Vec<Member> {
    let mut pairs: Vec<(usize, Member)> = ids.iter().copied().zip(members).collect();
    pairs.sort_by_key(|(id, _)| *id);
    pairs.into_iter().map(|(_, member)| member).collect()
}
