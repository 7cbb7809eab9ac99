//! A running node: its parts, in the order in which they need each other, and its end.

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

use self::guard::Guard;
use super::banner::Banner;
use crate::exit::{Outcome, While as _};

/// How long another node may take to become the controller instead of this one.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);
/// How long calls of other nodes may take to end.
const PEERS_PATIENCE: Duration = Duration::from_secs(2);

/// A node that takes requests once it runs.
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
    /// What runs beside, and ends with the node.
    chores: JoinSet<()>,
}

impl Node {
    /// Where it is.
    pub(crate) const fn banner(&self) -> &Banner {
        &self.banner
    }

    /// Serves until `stop`; then answers what was asked, and closes everything, the last part first.
    ///
    /// # Errors
    /// When the node must not go on: another process has taken its place, it was removed from the
    /// cluster, or the control database fails.
    pub(crate) async fn run_until(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Outcome {
        let options = ServerOptions {
            node: self.banner.node.clone(),
            on_broker_map: Some(self.on_broker_map.clone()),
            hosts: self.hosts.clone(),
            ..ServerOptions::default()
        };
        let (ended, why) = tokio::sync::oneshot::channel();
        let guard = self.guard.clone();
        let until = async move {
            tokio::select! {
                () = stop => {}
                failure = guard.alarm() => drop(ended.send(failure)),
            }
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
    guard.gossip().close().await;
    peers.close(PEERS_PATIENCE).await;
    control.close().await;
    chores.shutdown().await;
}
