//! What every handler can reach.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use broker::Broker;
use tokio::sync::watch;

use crate::ServerOptions;
use crate::error::{Code, Refusal};
use crate::hosts::Hosts;
use crate::input::Budget;
use crate::metrics::Metrics;

/// The door's shared state. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Shared>);

struct Shared {
    broker: Broker,
    options: ServerOptions,
    metrics: Metrics,
    /// Memory for bodies.
    budget: Budget,
    hosts: Hosts,
    /// True once the door is closing: whoever waits gives up.
    closing: watch::Receiver<bool>,
}

impl Door {
    pub(crate) fn new(
        broker: Broker,
        address: SocketAddr,
        options: ServerOptions,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let budget = Budget::new(options.bytes_in_flight_max, options.room_timeout);
        let metrics = Metrics::new(broker.clone(), budget.clone());
        Self(Arc::new(Shared {
            broker,
            hosts: Hosts::new(address, &options.hosts),
            options,
            metrics,
            budget,
            closing,
        }))
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.0.broker
    }

    pub(crate) fn options(&self) -> &ServerOptions {
        &self.0.options
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Memory for bodies.
    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// The names that the node may be called by.
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    /// Returns once the door is closing.
    pub(crate) async fn closing(&self) {
        let mut closing = self.0.closing.clone();
        // An error means that the server itself is gone, which is the same.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// What `wait` gives, or a refusal when the door closes first.
    pub(crate) async fn unless_closing<T>(
        &self,
        wait: impl Future<Output = T>,
    ) -> Result<T, Refusal> {
        tokio::select! {
            biased;
            result = wait => Ok(result),
            () = self.closing() => {
                Err(Refusal::new(Code::ShuttingDown, "the node is shutting down; ask another one, or try again"))
            }
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
