//! `GET /metrics`: counters of the broker and of this door in the Prometheus text format.

mod cluster;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use broker::{Broker, Health};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::door::Door;
use crate::error::{Code, Refusal};
use crate::input::{Budget, Query};
use crate::reply::{self, Reply};
use crate::route::NoQuery;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`
pub(crate) async fn metrics(State(door): State<Door>, Query(NoQuery {}): Query<NoQuery>) -> Reply {
    let mut page = String::new();
    text::encode(&mut page, &door.metrics().registry)
        .map_err(|_| Refusal::new(Code::Internal, "the metrics cannot be written"))?;
    Ok(reply::plain(StatusCode::OK, CONTENT_TYPE, page))
}

/// What the door counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    connections: Arc<AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

impl Metrics {
    pub(crate) fn new(broker: Broker, budget: Budget) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let connections = Arc::new(AtomicU64::new(0));
        let mut registry = Registry::with_prefix("hark");
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_collector(Box::new(cluster::Cluster(broker.clone())));
        registry.register_collector(Box::new(Node {
            broker,
            budget,
            connections: Arc::clone(&connections),
        }));
        Self {
            registry,
            requests,
            connections,
        }
    }

    /// Counts an answer. `route` is one of the table, so labels are bounded.
    pub(crate) fn answered(&self, route: &'static str, status: StatusCode) {
        let labels = RequestLabels {
            route,
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Connections open now.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The broker's own figures, read when the page is asked for.
struct Node {
    broker: Broker,
    budget: Budget,
    connections: Arc<AtomicU64>,
}

impl Collector for Node {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in self.totals() {
            put(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        for (name, help, value) in self.now() {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            put(&mut encoder, name, help, &ConstGauge::new(value))?;
        }
        Ok(())
    }
}

/// Name, help and value.
type Figure = (&'static str, &'static str, u64);

impl Node {
    /// What only grows.
    fn totals(&self) -> [Figure; 9] {
        let c = self.broker.counters();
        [
            (
                "records_published",
                "Records acknowledged",
                c.records_published,
            ),
            (
                "bytes_published",
                "Bytes of batches acknowledged",
                c.bytes_published,
            ),
            (
                "publishes_failed",
                "Appends refused or failed",
                c.publishes_failed,
            ),
            (
                "records_delivered",
                "Records handed to readers",
                c.records_delivered,
            ),
            (
                "bytes_delivered",
                "Bytes of batches handed to readers",
                c.bytes_delivered,
            ),
            ("commits", "Group commits acknowledged", c.commits),
            (
                "calls_sent",
                "Questions to other nodes, for what they lead",
                c.calls_sent,
            ),
            (
                "calls_failed",
                "Questions to other nodes without an answer",
                c.calls_failed,
            ),
            (
                "calls_answered",
                "Questions of other nodes answered",
                c.calls_answered,
            ),
        ]
    }

    /// What holds at this moment.
    fn now(&self) -> [Figure; 10] {
        let (c, status) = (self.broker.counters(), self.broker.status());
        let connections = self.connections.load(Ordering::Relaxed);
        let is_well = u64::from(status.health == Health::Ok);
        [
            (
                "polls_waiting",
                "Reads waiting for something to deliver",
                c.polls_waiting,
            ),
            (
                "bytes_in_flight",
                "Bytes accepted, not yet acknowledged",
                c.bytes_in_flight,
            ),
            ("http_connections", "Connections open", connections),
            (
                "http_body_bytes",
                "Bytes of bodies that are being read and served",
                self.budget.used() as u64,
            ),
            (
                "topics",
                "Topics that users made, in the cluster",
                status.topics as u64,
            ),
            (
                "partitions",
                "Partitions of users' topics, in the cluster",
                status.partitions as u64,
            ),
            (
                "partitions_led",
                "Partitions of users' topics that this node leads",
                status.partitions_led as u64,
            ),
            (
                "groups",
                "Groups that this node coordinates",
                status.groups as u64,
            ),
            (
                "uptime_seconds",
                "Seconds since the start",
                status.uptime.as_secs(),
            ),
            ("store_ok", "Whether appends are taken", is_well),
        ]
    }
}

fn put(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}
