//! A running node: its parts, in the order in which they need each other, and its end.

mod arrival;
mod guard;
mod ports;
mod start;

use std::future::Future;
use std::time::Duration;

use ::broker::Broker;
use control::Control;
use door_http::{BrokerMapListener, ServerOptions};
use peer::Peers;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) use start::start;

use self::arrival::Arrival;
use self::guard::Guard;
use super::banner::Banner;
use crate::exit::{Outcome, While as _};
use crate::output;

/// How long another node may take to become the controller instead of this one.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);
/// How long calls of other nodes may take to end.
const PEERS_PATIENCE: Duration = Duration::from_secs(2);

/// After this time a person is told for what the node waits.
const TELL_AFTER: Duration = Duration::from_secs(2);

/// A node that answers clients once it runs.
#[derive(Debug)]
pub(crate) struct Node {
    control: Control,
    peers: Peers,
    guard: Guard,
    broker: Broker,
    listener: TcpListener,
    on_broker_map: BrokerMapListener,
    /// Names by which clients may call it.
    hosts: Vec<String>,
    banner: Banner,
    arrival: Arrival,
    /// What runs beside, and ends with the node.
    chores: JoinSet<()>,
}

impl Node {
    /// Serves until `stop`; then answers what was asked, and closes everything, the last part first. Once
    /// the cluster has registered this start, the node is told of with `show`.
    ///
    /// # Errors
    /// When the node must not go on: another process has taken its place, it was removed from the
    /// cluster, or the control database fails.
    pub(crate) async fn run_until(
        self,
        stop: impl Future<Output = ()>,
        show: impl FnOnce(&Banner) -> Outcome,
    ) -> Outcome {
        let options = ServerOptions {
            node: self.banner.node.clone(),
            on_broker_map: Some(self.on_broker_map),
            hosts: self.hosts,
            ..ServerOptions::default()
        };
        let (ended, why) = tokio::sync::oneshot::channel();
        let arrival = arrive(self.arrival, &self.broker, &self.control, self.banner, show);
        let until = async {
            let failure = tokio::select! {
                () = stop => return,
                failure = self.guard.alarm() => failure,
                Err(failure) = arrival => failure,
            };
            drop(ended.send(failure));
        };
        let served = door_http::serve(self.listener, self.broker.clone(), options, until).await;
        close(
            self.control,
            self.peers,
            &self.guard,
            &self.broker,
            self.chores,
        )
        .await;
        match why.await {
            Ok(failure) => Err(failure),
            Err(_) => served.while_doing("serve HTTP"),
        }
    }
}

/// Waits until this start is registered, and tells a person of the node then, or for what it waits.
async fn arrive(
    mut arrival: Arrival,
    broker: &Broker,
    control: &Control,
    mut banner: Banner,
    show: impl FnOnce(&Banner) -> Outcome,
) -> Outcome {
    banner.entry = match tokio::time::timeout(TELL_AFTER, arrival.end()).await {
        Ok(entry) => entry?,
        Err(_) => {
            if let Some(waits_for) = broker.status().waits_for {
                let http = &banner.http;
                output::note(&format!(
                    "waiting for {waits_for}; meanwhile {http} answers readers, and takes nothing"
                ));
            }
            arrival.end().await?
        }
    };
    banner.nodes = control.view().nodes().count();
    show(&banner)
}

/// Closes the parts behind the door.
async fn close(
    control: Control,
    peers: Peers,
    guard: &Guard,
    broker: &Broker,
    mut chores: JoinSet<()>,
) {
    control.hand_over(HAND_OVER_PATIENCE).await;
    broker.close().await;
    if let Some(gossip) = guard.gossip() {
        gossip.close().await;
    }
    peers.close(PEERS_PATIENCE).await;
    control.close().await;
    chores.shutdown().await;
}
