//! Who may be a node, and who is told why not.

use std::fs;
use std::path::Path;

use e2e::{Cluster, Member};
use reqwest::Method;

use super::{DEADLINE, hark_done, hark_on, make_topic};
use crate::until;

/// The exit code of whatever is refused.
const REFUSED: i32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_the_node_is_refused_and_told_why() {
    let mut cluster = Cluster::form(3).await.unwrap();
    let peers = cluster.peers();

    the_same_directory_twice(&mut cluster).await;
    let taken = refused(&cluster, "taken", &["--id", "2", "--peers", &peers]).await;
    assert!(taken.contains("node id 2 is taken"), "{taken}");
    let other_id = {
        cluster.node(2).kill().unwrap();
        let data = cluster.node(2).data().to_owned();
        refused_at(&data, &["--id", "3", "--peers", &peers]).await
    };
    assert!(other_id.contains("belongs to node 2"), "{other_id}");
    start_again(&mut cluster, 2).await;

    a_copy_beside_its_original(&mut cluster, &peers).await;
    a_copy_that_is_older(&mut cluster, &peers).await;
    a_node_of_another_cluster(&cluster, &peers).await;
    // After all of this the cluster is as it was.
    cluster.agreed(DEADLINE).await.unwrap();
    make_topic(cluster.node(0), "whole", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_comes_back_and_a_removed_one_does_not() {
    let mut cluster = Cluster::form(3).await.unwrap();
    let peers = cluster.peers();
    make_topic(cluster.node(0), "kept", 6).await;

    cluster.node(2).kill().unwrap();
    let old = cluster.path("old-n2");
    fs::rename(cluster.node(2).data(), &old).unwrap();
    let wiped = cluster.node(2).refused().await.unwrap();
    assert_eq!(wiped.0, REFUSED, "{}", wiped.1);
    assert!(wiped.1.contains("hark node replace 2"), "{}", wiped.1);
    let lossy = ["node", "replace", "2", "--yes"];
    fenced(&cluster, 2).await;
    let kept = hark_on(&cluster.servers(), &lossy);
    assert_eq!(kept.status.code(), Some(REFUSED), "it holds partitions");
    let accepted = [&lossy[..], &["--lose-partitions"]].concat();
    hark_done(&cluster.servers(), &accepted);
    start_again(&mut cluster, 2).await;
    let forgotten = refused_at(&old, &["--peers", &peers]).await;
    assert!(forgotten.contains("hark node replace 2"), "{forgotten}");

    cluster.node(1).kill().unwrap();
    let data = cluster.node(1).data().to_owned();
    fenced(&cluster, 1).await;
    hark_done(
        &cluster.servers(),
        &["node", "remove", "1", "--yes", "--lose-partitions"],
    );
    let removed = refused_at(&data, &["--peers", &peers]).await;
    assert!(removed.contains("removed from the cluster"), "{removed}");
    let again = refused(&cluster, "again", &["--id", "1", "--peers", &peers]).await;
    assert!(again.contains("choose another id"), "{again}");
}

/// A node that votes alone needs nobody to register it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_beside_a_node_that_stands_alone_is_refused() {
    let mut cluster = Cluster::new(1).unwrap();
    let original = cluster.node(0);
    original.start().unwrap();
    original.ready().await.unwrap();
    make_topic(original, "t", 1).await;
    let (copy, original) = (cluster.path("copy"), cluster.node(0).data().to_owned());
    copy_directory(&original, &copy);
    let second = refused_at(&copy, &[]).await;
    assert!(second.contains("node 0 is running already"), "{second}");
    assert!(
        second.contains(&cluster.node(0).peer().to_string()),
        "{second}"
    );
}

/// The second process finds the directory locked; on other ports it does not get further.
async fn the_same_directory_twice(cluster: &mut Cluster) {
    let data = cluster.node(1).data().to_owned();
    let second = refused_at(&data, &[]).await;
    assert!(second.contains("in use"), "{second}");
}

async fn a_copy_beside_its_original(cluster: &mut Cluster, peers: &str) {
    let (copy, original) = (cluster.path("copy"), cluster.node(2).data().to_owned());
    copy_directory(&original, &copy);
    let second = refused_at(&copy, &["--peers", peers]).await;
    assert!(second.contains("node 2 is running already"), "{second}");
    cluster.agreed(DEADLINE).await.unwrap();
}

/// A backup of a node that has run since.
async fn a_copy_that_is_older(cluster: &mut Cluster, peers: &str) {
    cluster.node(2).stop().await.unwrap();
    let (copy, original) = (cluster.path("backup"), cluster.node(2).data().to_owned());
    copy_directory(&original, &copy);
    // Two starts, for the one that follows a copy may have failed half-way.
    for _ in 0..2 {
        start_again(cluster, 2).await;
        cluster.node(2).stop().await.unwrap();
    }
    let old = refused_at(&copy, &["--peers", peers]).await;
    assert!(old.contains("an old copy"), "{old}");
    start_again(cluster, 2).await;
}

async fn a_node_of_another_cluster(cluster: &Cluster, peers: &str) {
    let data = cluster.path("stranger");
    let mut stranger = Member::new(&data).unwrap();
    stranger.options(["--id", "7"]);
    stranger.start().unwrap();
    stranger.ready().await.unwrap();
    stranger.stop().await.unwrap();
    let refused = refused_at(&data, &["--peers", peers]).await;
    assert!(refused.contains("belong to another one"), "{refused}");
    let known = cluster.any().unwrap().status().await.unwrap();
    assert_eq!(known["nodes"].as_array().map(Vec::len), Some(3), "{known}");
}

/// A process with a directory of its own beside the cluster's that must be refused: what it said.
async fn refused(cluster: &Cluster, name: &str, options: &[&str]) -> String {
    refused_at(&cluster.path(name), options).await
}

async fn refused_at(data: &Path, options: &[&str]) -> String {
    let mut member = Member::new(data).unwrap();
    member.options(options.iter().copied());
    let before = member.said();
    let (code, said) = member.refused().await.unwrap();
    let said = said.strip_prefix(&before).unwrap_or(&said).to_owned();
    assert_eq!(code, REFUSED, "{said}");
    said
}

async fn start_again(cluster: &mut Cluster, id: usize) {
    cluster.node(id).start().unwrap();
    cluster.node(id).ready().await.unwrap();
    cluster.settled().await.unwrap();
}

async fn fenced(cluster: &Cluster, id: usize) {
    until("it is fenced", DEADLINE, async || {
        let nodes = cluster
            .any()
            .unwrap()
            .ask(Method::GET, "/admin/nodes", None)
            .await
            .unwrap();
        nodes["nodes"][id]["fenced"] == true
    })
    .await;
}

fn copy_directory(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}
