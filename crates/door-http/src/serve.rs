//! The server: accepts connections, bounds them, and closes in good order.

mod accept;
mod connection;
mod io;

use std::io as std_io;
use std::time::Duration;

use broker::Broker;
use model::limits::{
    HTTP_BODY_BYTES_MAX, HTTP_BYTES_IN_FLIGHT_MAX, HTTP_CONNECTIONS_MAX, HTTP_HEADER_TIMEOUT,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::BrokerMapListener;
use crate::door::Door;
use crate::route::router;

pub(crate) use connection::Seat;

/// What the door is told at its start. The defaults are those of a node.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The node's name, as answers give it.
    pub node: String,
    /// Time that a client has to send a request's head.
    pub header_timeout: Duration,
    /// Longest pause within a body.
    pub body_timeout: Duration,
    /// How long a connection may lie idle between two requests.
    pub idle_timeout: Duration,
    /// Longest time in which a client takes nothing of an answer.
    pub write_timeout: Duration,
    /// How often a quiet stream says that it lives.
    pub heartbeat: Duration,
    /// How long connections may take to finish once the door closes.
    pub drain_timeout: Duration,
    /// Largest body, and largest line of NDJSON.
    pub body_bytes_max: usize,
    /// Most connections at once, 1 or more.
    pub connections_max: usize,
    /// Bytes of bodies read and served at once.
    pub bytes_in_flight_max: usize,
    /// How long a request waits for room among them.
    pub room_timeout: Duration,
    /// Names by which clients call the node, besides `localhost` and the addresses of this machine.
    /// A node that listens for other machines takes every name.
    pub hosts: Vec<String>,
    /// Who wants to know of the map that a discovery service pushes.
    pub on_broker_map: Option<BrokerMapListener>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            node: "hark".to_owned(),
            header_timeout: HTTP_HEADER_TIMEOUT,
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(10),
            body_bytes_max: HTTP_BODY_BYTES_MAX,
            connections_max: HTTP_CONNECTIONS_MAX,
            bytes_in_flight_max: HTTP_BYTES_IN_FLIGHT_MAX,
            room_timeout: Duration::from_secs(10),
            hosts: Vec::new(),
            on_broker_map: None,
        }
    }
}

/// Serves `broker` on `listener` until `shutdown` completes.
///
/// Then no connection is accepted any more, reads that wait are answered with `shutting_down`,
/// streams end, and requests under way may finish within `drain_timeout`. The broker is left open.
///
/// # Errors
/// When the listener has no local address. A failing accept is waited out, never returned.
pub async fn serve(
    listener: TcpListener,
    broker: Broker,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> std_io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "the HTTP door is open");
    let (close, closing) = watch::channel(false);
    let drain_timeout = options.drain_timeout;
    let door = Door::new(broker, address, options, closing);
    let mut acceptor = accept::Acceptor::new(listener, door.clone(), router(door));
    tokio::select! {
        () = acceptor.run() => {}
        () = shutdown => {}
    }
    let _ = close.send(true);
    acceptor.drain(drain_timeout).await;
    Ok(())
}
