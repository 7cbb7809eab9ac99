//! Figures of the cluster, as this node sees it when the page is asked for.

use std::fmt;

use broker::Broker;
use broker::seams::{ClusterOverview, Liveness};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::put;

pub(super) struct Cluster(pub(super) Broker);

impl Collector for Cluster {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let overview = self.0.overview();
        encode_nodes(&mut encoder, &overview)?;
        let is_controller = overview.controller == Some(overview.me);
        let figures = [
            (
                "cluster_controller",
                "Whether this node is the controller",
                u64::from(is_controller),
            ),
            (
                "cluster_has_controller",
                "Whether this node knows of a controller",
                u64::from(overview.controller.is_some()),
            ),
            ("cluster_term", "The controller's reign", overview.term),
            (
                "cluster_revision",
                "How far this node follows the catalog",
                overview.revision,
            ),
        ];
        for (name, help, value) in figures {
            put(&mut encoder, name, help, &gauge(value))?;
        }
        Ok(())
    }
}

fn encode_nodes(encoder: &mut DescriptorEncoder<'_>, overview: &ClusterOverview) -> fmt::Result {
    let help = "Nodes of the cluster, as this one sees them";
    let mut nodes = encoder.encode_descriptor("cluster_nodes", help, None, MetricType::Gauge)?;
    for liveness in [Liveness::Alive, Liveness::Suspect, Liveness::Down] {
        let of_these = overview
            .nodes
            .iter()
            .filter(|node| node.liveness == liveness);
        let labels = [("liveness", liveness.as_str())];
        gauge(of_these.count() as u64).encode(nodes.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauge(value: u64) -> ConstGauge {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}
