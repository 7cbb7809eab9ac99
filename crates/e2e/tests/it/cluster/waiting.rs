//! A node that is started again while its cluster has no majority.

use e2e::{Cluster, Member};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{DEADLINE, leaders, make_topic};
use crate::until;

/// The node that comes back first.
const FIRST: usize = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_majority_is_read_from_and_takes_nothing() {
    let mut cluster = Cluster::form(3).await.unwrap();
    make_topic(cluster.node(FIRST), "t", 12).await;
    let led = leaders(cluster.node(FIRST), "t").await;
    let own = led.iter().position(|leader| *leader == FIRST);
    let record = json!({"topic": "t", "message": "before", "partition": own.unwrap()});
    let first = cluster.node(FIRST);
    first.post("/publish", Some(record.clone())).await.unwrap();
    // What was agreed on last is known to be so only with what came next.
    for _ in 0..2 {
        first.post("/admin/nodes/0/activate", None).await.unwrap();
    }
    for member in &mut cluster.members {
        member.kill().unwrap();
    }

    let first = cluster.node(FIRST);
    // So it hears itself under an address of the list that it does not know for its own.
    first.options(["--advertise", "localhost"]);
    first.start().unwrap();
    until("it answers", DEADLINE, async || {
        first.get("/healthz").await.is_ok()
    })
    .await;
    let waits_for = "a majority of the voters: 000, 010";
    let status = first.status().await.unwrap();
    assert_eq!(status["waits_for"], waits_for, "{status}");
    assert_eq!(status["health"], "ok");
    let (code, refusal) = refused(first, Method::GET, "/readyz", None).await;
    assert_eq!((code, &refusal["code"]), (503, &json!("not_registered")));
    let told = format!("not ready: waiting for {waits_for}");
    assert_eq!(refusal["message"], told);

    let polled = first.get("/poll?topic=t&from=earliest").await.unwrap();
    assert_eq!(polled["records"][0]["message"], "before", "{polled}");
    let group = json!({"group": "g", "cursor": polled["cursor"]});
    for (method, target, body) in [
        (Method::POST, "/publish", Some(record.clone())),
        (Method::POST, "/admin/topics?name=new", None),
        (Method::DELETE, "/admin/topics/t", None),
        (Method::POST, "/producers", None),
        (Method::POST, "/admin/nodes/0/drain", None),
    ] {
        let (code, refusal) = refused(first, method, target, body).await;
        assert_eq!(code, 503, "{target}: {refusal}");
        assert_eq!(refusal["code"], "not_registered", "{target}");
        let message = refusal["message"].as_str().unwrap();
        assert!(message.contains(waits_for), "{target}: {message}");
    }
    // Who coordinates is not agreed on yet, or it is this node.
    let (code, _) = refused(first, Method::POST, "/commit", Some(group)).await;
    assert_eq!(code, 503);

    for id in [0, 2] {
        cluster.node(id).start().unwrap();
    }
    for member in &mut cluster.members {
        member.ready().await.unwrap();
    }
    cluster.agreed(DEADLINE).await.unwrap();
    let first = cluster.node(FIRST);
    assert_eq!(first.status().await.unwrap().get("waits_for"), None);
    let receipt = first.post("/publish", Some(record)).await.unwrap();
    assert_eq!(receipt["offset"], 1, "{receipt}");
}

/// A request that must be refused: the status, and what was said.
async fn refused(
    member: &Member,
    method: Method,
    target: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let request = Client::new().request(method, format!("{}{target}", member.url()));
    let request = body.iter().fold(request, RequestBuilder::json);
    let answer = request.send().await.unwrap();
    let code = answer.status().as_u16();
    let mut said: Value = answer.json().await.unwrap();
    (code, said["error"].take())
}
