//! Clusters of real processes.

mod controller;
mod forming;
mod identity;
mod lines;
mod partition;
mod rolling;
mod sharded;
mod waiting;

use std::process::Output;
use std::time::Duration;

use e2e::{Member, command};
use serde_json::Value;

/// For everything that is waited for: it is noticed at once when it is there, and a machine that
/// builds something else meanwhile is slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a command line against servers, to its end.
fn hark_on(servers: &str, arguments: &[&str]) -> Output {
    let mut hark = command();
    hark.args(["--server", servers]).args(arguments);
    hark.output().unwrap()
}

/// The same; it must succeed.
fn hark_done(servers: &str, arguments: &[&str]) -> String {
    let output = hark_on(servers, arguments);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a topic, tried until the cluster can.
async fn make_topic(member: &Member, name: &str, partitions: u32) {
    let target = format!("/admin/topics?name={name}&partitions={partitions}");
    crate::until("a topic is made", DEADLINE, async || {
        member.post(&target, None).await.is_ok() || has_topic(member, name).await
    })
    .await;
}

async fn has_topic(member: &Member, name: &str) -> bool {
    member.get(&format!("/admin/topics/{name}")).await.is_ok()
}

/// The node that leads each partition, by number.
async fn leaders(member: &Member, topic: &str) -> Vec<usize> {
    let replicas = member.get(&format!("/replicas/{topic}")).await.unwrap();
    let leader = |partition: &Value| {
        let leader = partition["leader"].as_u64();
        usize::try_from(leader.unwrap()).unwrap()
    };
    let partitions = replicas["partitions"].as_array();
    partitions.unwrap().iter().map(leader).collect()
}
