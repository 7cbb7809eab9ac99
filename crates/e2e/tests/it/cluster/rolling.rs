//! All nodes are restarted one after the other while an admin call is tried all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::Cluster;
use reqwest::{Client, Method};
use serde_json::json;

use super::{DEADLINE, make_topic};

/// No admin call is to fail for longer than 3 s; a machine that does something else has longer.
const LONGEST: Duration = Duration::from_secs(10);
/// An answer that takes longer has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_holds_up_nobody() {
    let mut cluster = Cluster::form(5).await.unwrap();
    make_topic(cluster.node(0), "changed", 5).await;
    let done = Arc::new(AtomicBool::new(false));
    let urls = cluster.members.iter().map(e2e::Member::url).collect();
    let calls = tokio::spawn(call_all_the_time(urls, Arc::clone(&done)));
    for id in 0..5 {
        cluster.node(id).stop().await.unwrap();
        cluster.node(id).start().unwrap();
        cluster.node(id).ready().await.unwrap();
        cluster.agreed(DEADLINE).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let (calls, longest) = calls.await.unwrap();
    eprintln!("{calls} admin calls succeeded, the longest time without one was {longest:?}");
    assert!(calls > 10, "{calls} calls");
    assert!(longest < LONGEST, "no admin call succeeded for {longest:?}");
}

/// Changes a setting again and again, on whichever node answers: how often it worked, and the longest
/// time between two times that it did.
async fn call_all_the_time(urls: Vec<String>, done: Arc<AtomicBool>) -> (u32, Duration) {
    let client = Client::builder().timeout(ANSWER_TIMEOUT).build().unwrap();
    let (mut calls, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
    let mut servers = urls.iter().cycle();
    let mut server = servers.next().unwrap();
    while !done.load(Ordering::Relaxed) {
        let target = format!("{server}/admin/topics/changed");
        let setting = json!({ "retention_ms": 3_600_000 + calls });
        let request = client.request(Method::PATCH, target).json(&setting);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                calls += 1;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            Ok(answer) if answer.status().is_client_error() => {
                panic!("{}", answer.text().await.unwrap())
            }
            _ => server = servers.next().unwrap(),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (calls, longest.max(last.elapsed()))
}
