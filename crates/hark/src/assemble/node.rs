//! A running node: the broker and its doors, from start to end.

use std::future::Future;

use ::broker::Broker;
use door_http::ServerOptions;
use tokio::net::TcpListener;

use super::banner::{Banner, local_url};
use super::{NodePlan, broker};
use crate::exit::{Exit, Failure, Outcome, While as _};

/// A node that takes requests once it runs.
#[derive(Debug)]
pub(crate) struct Node {
    broker: Broker,
    listener: TcpListener,
    banner: Banner,
}

/// Opens everything, in the order in which things depend on each other.
pub(crate) async fn start(plan: NodePlan) -> Outcome<Node> {
    // First the address: a second node started by mistake fails before it touches anything.
    let listener = listen(&plan).await?;
    let address = listener.local_addr()?;
    let broker = broker(&plan).await?;
    tracing::info!(%address, data = %plan.data.display(), "started");
    let banner = Banner {
        node: plan.name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address,
        http: local_url(address),
        data: std::path::absolute(&plan.data).unwrap_or(plan.data),
        store: plan.engine.name().to_owned(),
        encrypted: plan.keys.encrypt(),
    };
    Ok(Node {
        broker,
        listener,
        banner,
    })
}

impl Node {
    /// Where it is.
    pub(crate) const fn banner(&self) -> &Banner {
        &self.banner
    }

    /// Serves until `stop`; then answers what was asked, and closes the store in order.
    pub(crate) async fn run_until(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Outcome {
        let options = ServerOptions {
            node: self.banner.node,
            ..ServerOptions::default()
        };
        let served = door_http::serve(self.listener, self.broker.clone(), options, stop).await;
        self.broker.close().await;
        served.while_doing("serve HTTP")
    }
}

async fn listen(plan: &NodePlan) -> Outcome<TcpListener> {
    TcpListener::bind(plan.http)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Failure::new(
                Exit::Refused,
                format!(
                    "{} is in use; stop what listens there, or choose another --http",
                    plan.http
                ),
            ),
            _ => Failure::config(format!("http {}: {error}", plan.http)),
        })
}
