//! Raw batches of idempotent producers.

use bytes::Bytes;
use model::{ProducerEpoch, ProducerId, Record, Sequence, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use wire::batch::Producer;
use wire::{Batch, BatchBuilder, Compression};

use crate::node::{Node, answer, messages, node, node_with};
use crate::store::Mood;

fn builder(texts: &[&str]) -> BatchBuilder {
    let now = Timestamp::from_millis(7).unwrap();
    let mut builder = BatchBuilder::new(now);
    for text in texts {
        let record = Record {
            value: Some(Bytes::copy_from_slice(text.as_bytes())),
            ..Record::default()
        };
        builder.push(&record).unwrap();
    }
    builder
}

fn plain(texts: &[&str]) -> Bytes {
    builder(texts).build().unwrap().bytes().clone()
}

/// A batch of this producer that begins with this sequence.
fn numbered(producer: &Value, base: i32, texts: &[&str]) -> Bytes {
    let producer = Producer {
        id: ProducerId(producer["producer_id"].as_u64().unwrap()),
        epoch: ProducerEpoch(u16::try_from(producer["epoch"].as_u64().unwrap()).unwrap()),
        base_sequence: Sequence::from_wire(base).unwrap(),
    };
    let batch = builder(texts).producer(producer).build().unwrap();
    batch.bytes().clone()
}

/// `target` is what follows `/topics/`.
async fn send(node: &Node, target: &str, batch: Bytes) -> (u16, Value) {
    let request = node.request(Method::POST, &format!("/topics/{target}"));
    let request = request.header("content-type", "application/octet-stream");
    answer(request.body(batch)).await
}

async fn code(node: &Node, target: &str, batch: impl Into<Bytes>) -> (u16, String) {
    let (status, answer) = send(node, target, batch.into()).await;
    let code = answer["error"]["code"].as_str();
    (
        status,
        code.unwrap_or_else(|| panic!("{answer}")).to_owned(),
    )
}

async fn producer(node: &Node, query: &str) -> Value {
    let path = format!("/producers{query}");
    node.ok(Method::POST, &path, Value::Null).await
}

async fn all(node: &Node, topic: &str) -> Value {
    let (status, polled) = node
        .get(&format!("/poll?topic={topic}&from=earliest&timeout_ms=0"))
        .await;
    assert_eq!(status, 200, "{polled}");
    polled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_learns_who_it_is_and_what_the_topic_takes() {
    let node = node().await;
    let first = producer(&node, "").await;
    assert_eq!(first.get("topic"), None);
    let settings = json!({"name": "t", "partitions": 3, "config": {"max_message_bytes": 5000}});
    let topic = node.ok(Method::POST, "/admin/topics", settings).await;
    let second = producer(&node, "?topic=t").await;
    assert_ne!(first["producer_id"], second["producer_id"]);
    let expected = json!({"name": "t", "id": topic["id"], "partitions": 3,
        "max_message_bytes": 5000});
    assert_eq!(second["topic"], expected);

    let made = producer(&node, "?topic=new").await;
    assert_eq!(made["topic"]["partitions"], 1);
    let (_, described) = node.get("/admin/topics/new").await;
    assert_eq!(described["id"], made["topic"]["id"]);
    let (status, answer) = node.post("/producers?topic=__groups", json!(null)).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (400, &json!("reserved_name"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_answered_with_the_place_of_the_original() {
    let node = node().await;
    node.publish("t", "before").await;
    let me = producer(&node, "?topic=t").await;
    let target = format!(
        "t/batches?partition=0&topic_id={}",
        me["topic"]["id"].as_str().unwrap()
    );
    let batch = numbered(&me, 0, &["a", "b", "c"]);
    let (status, receipt) = send(&node, &target, batch.clone()).await;
    let mut expected = json!({"topic": "t", "partition": 0, "offset": 1, "last_offset": 3,
        "timestamp": 7, "mode": "leader", "epoch": 0, "copies": 1});
    assert_eq!((status, &receipt), (200, &expected));

    expected["duplicate"] = json!(true);
    for _ in 0..2 {
        assert_eq!(send(&node, &target, batch.clone()).await.1, expected);
    }
    let next = numbered(&me, 3, &["d"]);
    assert_eq!(send(&node, &target, next).await.1["offset"], 4);
    assert_eq!(send(&node, &target, batch).await.1, expected);
    let polled = all(&node, "t").await;
    assert_eq!(messages(&polled), ["before", "a", "b", "c", "d"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_for_now_is_taken_later() {
    let node = node().await;
    let me = producer(&node, "?topic=t").await;
    let batch = numbered(&me, 0, &["a"]);
    node.store.set(Mood::Full);
    let target = "t/batches?partition=0";
    assert_eq!(
        code(&node, target, batch.clone()).await,
        (503, "disk_full".into())
    );
    node.store.set(Mood::Well);
    let (_, receipt) = send(&node, target, batch).await;
    assert_eq!(receipt.get("duplicate"), None, "{receipt}");
    assert_eq!(messages(&all(&node, "t").await), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_and_replaced_producers_are_refused() {
    let node = node().await;
    let mut me = producer(&node, "").await;
    let target = "t/batches?partition=0";
    assert_eq!(send(&node, target, numbered(&me, 0, &["a"])).await.0, 200);
    assert_eq!(
        code(&node, target, numbered(&me, 2, &["c"])).await,
        (409, "out_of_order_sequence".into())
    );
    let old = me.clone();
    me["epoch"] = json!(1);
    assert_eq!(send(&node, target, numbered(&me, 0, &["b"])).await.0, 200);
    assert_eq!(
        code(&node, target, numbered(&old, 1, &["c"])).await,
        (409, "producer_fenced".into())
    );
    assert_eq!(messages(&all(&node, "t").await), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_again_is_another() {
    let node = node().await;
    let me = producer(&node, "?topic=t").await;
    let id = me["topic"]["id"].as_str().unwrap();
    let target = format!("t/batches?partition=0&topic_id={id}");
    let batch = numbered(&me, 0, &["a"]);
    assert_eq!(send(&node, &target, batch.clone()).await.0, 200);
    node.ok(Method::DELETE, "/admin/topics/t", Value::Null)
        .await;
    let unknown = code(&node, &target, batch.clone()).await;
    assert_eq!(unknown, (404, "unknown_topic".into()));
    assert_eq!(node.get("/admin/topics/t").await.0, 404, "it was made");
    node.publish("t", "of another").await;
    let replaced = code(&node, &target, batch.clone()).await;
    assert_eq!(replaced, (409, "topic_replaced".into()));
    // Who names no identity means whatever has the name, and makes it.
    let (_, receipt) = send(&node, "t/batches?partition=0", batch.clone()).await;
    assert_eq!(receipt["offset"], 1);
    assert_eq!(send(&node, "u/batches?partition=0", batch).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_may_be_compressed() {
    let node = node().await;
    let text = "again and ".repeat(100);
    let codecs = [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for codec in codecs {
        let batch = compress::build(builder(&[&text, &text]), codec).unwrap();
        assert_eq!(batch.header().compression, codec);
        let (status, receipt) = send(&node, "t/batches?partition=0", batch.bytes().clone()).await;
        assert_eq!(status, 200, "{receipt}");
    }
    let polled = all(&node, "t").await;
    assert_eq!(messages(&polled), [text.as_str(); 8]);
}

/// A batch around a payload that is not what it says, with a good checksum.
fn around(payload: &[u8], codec: Compression) -> Bytes {
    let filler = "x".repeat(payload.len() + 100);
    let batch = builder(&[&filler]).build_with(codec, |_| payload.to_vec());
    batch.unwrap().bytes().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_one_good_batch_is_refused() {
    let node = node().await;
    node.publish("t", "there").await;
    let good = plain(&["a", "b"]);
    let two = [&good[..], &good[..]].concat();
    let cut = good.slice(..good.len() - 1);
    let mut flipped = good.to_vec();
    flipped[70] ^= 1;
    let mut old = good.to_vec();
    old[16] = 1;
    let nonsense = around(&[0xff; 50], Compression::Gzip);
    let zeros = compress::compress(Compression::Zstd, &vec![0; 65 << 20]);
    let bomb = around(&zeros, Compression::Zstd);
    let large = plain(&[&"x".repeat(2 << 20)]);
    let cases: [(&str, Bytes, u16, &str); 9] = [
        ("nothing", Bytes::new(), 400, "invalid_batch"),
        ("text", Bytes::from("hello"), 400, "invalid_batch"),
        ("two batches", two.into(), 400, "invalid_batch"),
        ("a part", cut, 400, "invalid_batch"),
        ("a bad checksum", flipped.into(), 400, "invalid_batch"),
        ("an old format", old.into(), 400, "invalid_batch"),
        ("records that are none", nonsense, 400, "undecodable"),
        ("a bomb", bomb, 400, "undecodable"),
        ("too large", large, 413, "message_too_large"),
    ];
    for (name, body, status, expected) in cases {
        let found = code(&node, "t/batches?partition=0", body).await;
        assert_eq!(found, (status, expected.to_owned()), "{name}");
    }
    for media in ["application/json", "application/x-ndjson"] {
        let request = node.request(Method::POST, "/topics/t/batches?partition=0");
        let request = request.header("content-type", media).body(good.clone());
        let (status, answer) = answer(request).await;
        let code = &answer["error"]["code"];
        assert_eq!((status, code), (415, &json!("unsupported_media_type")));
    }
    assert_eq!(messages(&all(&node, "t").await), ["there"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_needs_a_place() {
    let node = node().await;
    node.publish("t", "there").await;
    let of_another = format!("t/batches?partition=0&topic_id={}", "0".repeat(32));
    let cases = [
        ("t/batches?partition=1", 404, "unknown_partition"),
        ("t/batches", 400, "invalid_query"),
        ("t/batches?partition=-1", 400, "invalid_query"),
        ("t/batches?partition=0&key=k", 400, "invalid_query"),
        ("t/batches?partition=0&topic_id=x", 400, "invalid_query"),
        (&of_another, 409, "topic_replaced"),
        ("__groups/batches?partition=0", 400, "reserved_name"),
    ];
    for (target, status, expected) in cases {
        let found = code(&node, target, plain(&["a"])).await;
        assert_eq!(found, (status, expected.to_owned()), "{target}");
    }
    assert_eq!(messages(&all(&node, "t").await), ["there"]);
}

/// Attributes that only a broker writes: those of transactions and of control batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_of_transactions_are_refused() {
    let node = node().await;
    for bit in [4, 5] {
        let mut bytes = plain(&["a"]).to_vec();
        bytes[22] |= 1 << bit;
        let crc = crc_of(&bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let found = code(&node, "t/batches?partition=0", bytes).await;
        assert_eq!(found, (400, "invalid_batch".to_owned()), "bit {bit}");
    }
}

/// The checksum that these bytes should have, as the error says it.
fn crc_of(bytes: &[u8]) -> u32 {
    match Batch::parse(Bytes::copy_from_slice(bytes)) {
        Err(wire::BatchError::Crc { computed, .. }) => computed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_bodies_holds() {
    let options = door_http::ServerOptions {
        body_bytes_max: 1000,
        ..Default::default()
    };
    let node = node_with(options).await;
    let batch = plain(&[&"x".repeat(1000)]);
    let found = code(&node, "t/batches?partition=0", batch).await;
    assert_eq!(found, (413, "body_too_large".into()));
}
