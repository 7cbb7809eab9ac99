//! The cluster, as the broker sees it.

use std::sync::Arc;
use std::time::Duration;

use broker::seams::{CallError, Cluster, ClusterError, ClusterOverview, ProposeError};
use bytes::Bytes;
use catalog::{Catalog, Command, Outcome};
use control::Control;
use futures_util::future::BoxFuture;
use model::NodeId;
use peer::membership::{Gossip, Liveness, MemberView, Membership as _};
use peer::{Delivery, Service};
use tokio::sync::watch;

use super::{Late, Links, Standing, overview};

/// Control, gossip and connections as one.
#[derive(Debug)]
pub(in crate::assemble) struct NodeCluster {
    /// This node.
    pub me: NodeId,
    /// What is agreed on.
    pub control: Control,
    /// The way to others.
    pub links: Links,
    /// Who is alive. Comes once the node is registered.
    pub gossip: Late<Arc<Gossip>>,
    /// Whether it is registered.
    pub standing: Standing,
}

impl Cluster for NodeCluster {
    fn me(&self) -> NodeId {
        self.me
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.control.view()
    }

    fn changes(&self) -> watch::Receiver<Arc<Catalog>> {
        self.control.watch()
    }

    fn fresh(&self) -> BoxFuture<'_, Result<Arc<Catalog>, ClusterError>> {
        Box::pin(async move {
            let fresh = self.control.fresh().await;
            fresh.map_err(|error| ClusterError::Unavailable(error.to_string()))
        })
    }

    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Outcome, ProposeError>> {
        Box::pin(async move {
            let agreed = self.control.propose(command).await;
            agreed.map_err(|error| match error {
                control::ProposeError::Refused(refusal) => ProposeError::Refused(refusal),
                control::ProposeError::Unavailable(why) => ProposeError::Unavailable(why),
            })
        })
    }

    fn is_down(&self, node: NodeId) -> bool {
        let catalog = self.control.view();
        let fenced = catalog.node(node).is_some_and(|node| node.fenced);
        match self.seen().liveness(node) {
            // The controller may know better: a node whose datagrams alone are lost still answers it.
            Liveness::Down => fenced || self.control.status().controller.is_none(),
            Liveness::Alive | Liveness::Suspected => false,
            // Whoever has just begun has heard of nobody.
            Liveness::NeverSeen => fenced,
        }
    }

    fn call(
        &self,
        to: NodeId,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, CallError>> {
        Box::pin(async move {
            let answer = self
                .links
                .call(to, Service::Broker, request, deadline)
                .await;
            answer.map_err(|error| said(&error))
        })
    }

    fn overview(&self) -> ClusterOverview {
        let (catalog, status) = (self.control.view(), self.control.status());
        overview::of(self.me, &catalog, &status, &self.seen())
    }

    fn waits_for(&self) -> Option<String> {
        let status = self.control.status();
        self.standing.waits_for(self.me, &status.voters)
    }
}

impl NodeCluster {
    /// What gossip says; nothing before there is gossip.
    fn seen(&self) -> Arc<MemberView> {
        let gossip = self.gossip.now();
        gossip.map(|gossip| gossip.view()).unwrap_or_default()
    }
}

fn said(error: &peer::CallError) -> CallError {
    match (error.delivery(), error) {
        (Delivery::NotSent, error) => CallError::Unreachable(error.to_string()),
        (Delivery::Unknown, peer::CallError::TimedOut { .. }) => CallError::TimedOut,
        (Delivery::Unknown, error) => CallError::Broken(error.to_string()),
    }
}
