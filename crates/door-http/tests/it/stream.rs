use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Node, PATIENCE, messages, node, node_with};

/// An event as a browser would see it.
#[derive(Debug, Default, Clone, PartialEq)]
struct Event {
    id: Option<String>,
    name: Option<String>,
    data: Option<Value>,
    is_comment: bool,
}

/// Reads events until `enough`.
async fn events(
    node: &Node,
    path: &str,
    last_id: Option<&str>,
    mut enough: impl FnMut(&[Event]) -> bool,
) -> Vec<Event> {
    let mut request = node.request(Method::GET, path);
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut bytes, mut text, mut events) = (response.bytes_stream(), String::new(), Vec::new());
    while !enough(&events) {
        let piece = tokio::time::timeout(PATIENCE, bytes.next()).await;
        let Some(piece) = piece.unwrap_or_else(|_| panic!("no more than {events:?}")) else {
            break;
        };
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            events.push(event(block));
            text = rest.to_owned();
        }
    }
    events
}

fn event(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("event", name)) => event.name = Some(name.to_owned()),
            Some(("data", data)) => event.data = Some(serde_json::from_str(data).unwrap()),
            Some(("", _)) => event.is_comment = true,
            Some(("retry", _)) => {}
            _ => panic!("what is {line:?}?"),
        }
    }
    event
}

fn texts(events: &[Event]) -> Vec<String> {
    let data = events.iter().filter_map(|event| event.data.as_ref());
    data.map(|data| data["message"].as_str().unwrap_or("?").to_owned())
        .collect()
}

/// The numbers from 0 on, one after the other in the three partitions of a topic.
async fn node_with_messages(count: u32) -> Node {
    let node = node().await;
    let topic = json!({"name": "t", "partitions": 3});
    node.ok(Method::POST, "/admin/topics", topic).await;
    for n in 0..count {
        let body = json!({"topic": "t", "message": n.to_string(), "partition": n % 3});
        node.ok(Method::POST, "/publish", body).await;
    }
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_can_be_resumed_from() {
    let node = node_with_messages(9).await;
    let path = "/topics/t/stream?from=earliest";
    let all = events(&node, path, None, |seen| texts(seen).len() == 9).await;
    assert_eq!((all[0].data.as_ref(), all[0].id.is_some()), (None, true));
    for (at, event) in all.iter().enumerate() {
        let id = event.id.as_deref().expect("an event without id");
        let rest = texts(&all[at + 1..]);
        if rest.is_empty() {
            continue;
        }
        // The header counts before the query, which a browser sends unchanged.
        let resumed = events(&node, path, Some(id), |seen| {
            texts(seen).len() >= rest.len()
        })
        .await;
        let sorted = |mut texts: Vec<String>| {
            texts.sort();
            texts
        };
        assert_eq!(sorted(texts(&resumed)), sorted(rest), "after event {at}");
        let (_, polled) = node.get(&format!("/poll?topic=t&cursor={id}")).await;
        assert!(!messages(&polled).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_live_and_nothing_is_missed_before_the_first_record() {
    let options = door_http::ServerOptions {
        heartbeat: Duration::from_millis(30),
        ..Default::default()
    };
    let node = node_with(options).await;
    node.publish("t", "old").await;
    let path = "/topics/t/stream";
    let quiet = events(&node, path, None, |seen| {
        seen.iter().any(|event| event.is_comment)
    })
    .await;
    let first = quiet[0]
        .id
        .clone()
        .expect("the stream begins without an id");
    node.publish("t", "while away").await;
    let seen = events(&node, path, Some(&first), |seen| !texts(seen).is_empty()).await;
    assert_eq!(texts(&seen), ["while away"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_an_event() {
    let node = node().await;
    for n in 0..4 {
        node.publish("t", &n.to_string()).await;
    }
    let start = events(&node, "/topics/t/stream?from=earliest", None, |seen| {
        !seen.is_empty()
    })
    .await;
    let body = json!({"partition": 0, "before": 2});
    node.ok(Method::POST, "/admin/topics/t/delete-records", body)
        .await;
    let id = start[0].id.as_deref();
    let seen = events(&node, "/topics/t/stream", id, |seen| texts(seen).len() == 3).await;
    let gap = seen
        .iter()
        .find(|event| event.name.as_deref() == Some("gap"))
        .unwrap();
    let expected = json!({"partition": 0, "from": 0, "to": 2, "reason": "deleted"});
    assert_eq!(gap.data, Some(expected));
    assert_eq!(texts(&seen), ["?", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_partition_can_be_followed() {
    let node = node_with_messages(6).await;
    let path = "/topics/t/stream?from=earliest&partition=1";
    let seen = events(&node, path, None, |seen| texts(seen).len() == 2).await;
    assert_eq!(texts(&seen), ["1", "4"]);
    let id = seen[1].id.as_deref();
    let resumed = events(&node, path, id, |seen| !texts(seen).is_empty()).await;
    assert_eq!(texts(&resumed), ["4"]);
    let (status, answer) = node.get("/topics/t/stream?partition=3").await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (404, &json!("unknown_partition"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_topic_is_deleted_says_so_and_ends() {
    let options = door_http::ServerOptions {
        heartbeat: Duration::from_millis(30),
        ..Default::default()
    };
    let node = node_with(options).await;
    node.publish("t", "m").await;
    let deleted = async {
        crate::node::waiting_polls(&node, 1).await;
        node.ok(Method::DELETE, "/admin/topics/t", Value::Null)
            .await;
    };
    let seen = events(&node, "/topics/t/stream", None, |_| false);
    let (seen, ()) = tokio::join!(seen, deleted);
    let last = seen.iter().rev().find(|event| !event.is_comment).unwrap();
    assert_eq!(last.name.as_deref(), Some("error"), "{seen:?}");
    assert_eq!(last.data.as_ref().unwrap()["code"], "unknown_topic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_a_very_wide_topic_ends_with_an_id() {
    let node = node().await;
    node.ok(
        Method::POST,
        "/admin/topics",
        json!({"name": "t", "partitions": 70}),
    )
    .await;
    for n in 0..3 {
        let body = json!({"topic": "t", "message": n.to_string(), "partition": n * 30});
        node.ok(Method::POST, "/publish", body).await;
    }
    let path = "/topics/t/stream?from=earliest";
    let seen = events(&node, path, None, |seen| texts(seen).len() == 3).await;
    let id = seen
        .last()
        .unwrap()
        .id
        .as_deref()
        .expect("the burst ends without an id");
    node.publish("t", "next").await;
    let resumed = events(&node, path, Some(id), |seen| !texts(seen).is_empty()).await;
    assert_eq!(texts(&resumed), ["next"]);
}
