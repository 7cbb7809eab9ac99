//! A node to test: broker, door, and ways to talk to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::seams::{OsEntropy, SystemClock};
use broker::{Alone, Broker, BrokerOptions, Counters};
use door_http::{ServerOptions, serve};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::store::FaultyStore;

/// Nothing in these tests takes longer, unless it is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) broker: Broker,
    pub(crate) store: Arc<FaultyStore>,
    client: reqwest::Client,
    shutdown: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
    _data: TempDir,
}

pub(crate) async fn node() -> Node {
    node_with(ServerOptions::default()).await
}

pub(crate) async fn node_with(options: ServerOptions) -> Node {
    let data = TempDir::new().unwrap();
    let store = FaultyStore::open(data.path());
    let clock = Arc::new(SystemClock::new());
    let broker_options = BrokerOptions {
        auto_create_topics: true,
        default_partitions: 1,
        commit_retention: Duration::from_secs(3600),
        retention_interval: Duration::from_secs(3600),
        initial_rebalance_delay: Duration::ZERO,
        topic_defaults: broker::TopicSettings::default(),
    };
    let alone = Alone::open(data.path(), clock.clone(), Arc::new(OsEntropy));
    let opened = Broker::open(
        data.path(),
        store.clone(),
        alone.await.unwrap(),
        broker_options,
        clock,
        Arc::new(OsEntropy),
    );
    let broker = opened.await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, stopped) = oneshot::channel();
    let until = async {
        let _ = stopped.await;
    };
    let server = tokio::spawn(serve(listener, broker.clone(), options, until));
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .unwrap();
    Node {
        address,
        broker,
        store,
        client,
        shutdown: Some(shutdown),
        server,
        _data: data,
    }
}

impl Node {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Status and body of a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    /// Status and body of a POST of JSON.
    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    /// The body of a request that must succeed.
    pub(crate) async fn ok(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let (status, answer) = answer(request).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// Publishes a message to partition 0.
    pub(crate) async fn publish(&self, topic: &str, message: &str) -> Value {
        let body = serde_json::json!({"topic": topic, "message": message});
        self.ok(Method::POST, "/publish", body).await
    }

    /// Sends bytes as they are and reads until the node closes the connection.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A node that answers early may close before all is sent.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        read.expect("the node leaves the connection open").ok();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends the door; its broker stays open.
    pub(crate) async fn stop(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
        let ended = tokio::time::timeout(PATIENCE, &mut self.server).await;
        ended.expect("the door does not close").unwrap().unwrap();
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}

/// The messages of a poll's answer.
pub(crate) fn messages(answer: &Value) -> Vec<&str> {
    let records = answer["records"]
        .as_array()
        .unwrap_or_else(|| panic!("no records: {answer}"));
    records
        .iter()
        .map(|record| record["message"].as_str().unwrap())
        .collect()
}

/// The cursor of an answer.
pub(crate) fn cursor(answer: &Value) -> &str {
    answer["cursor"]
        .as_str()
        .unwrap_or_else(|| panic!("no cursor: {answer}"))
}

/// Waits until the broker has this many waiting reads.
pub(crate) async fn waiting_polls(node: &Node, count: u64) {
    until(node, |counters| counters.polls_waiting >= count).await;
}

/// Waits until the broker's counters are so.
pub(crate) async fn until(node: &Node, mut are_so: impl FnMut(&Counters) -> bool) {
    let started = std::time::Instant::now();
    while !are_so(&node.broker.counters()) {
        assert!(started.elapsed() < PATIENCE, "{:?}", node.broker.counters());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
