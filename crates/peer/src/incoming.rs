//! Those who call this node.

mod calls;
mod connection;
mod strangers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::connection::Connection;
use self::strangers::{Stranger, Strangers};
use crate::error::{Rejection, RejectionCode};
use crate::handshake::{self, HandshakeError, Local, Met};
use crate::peers::Shared;
use crate::sources::Source;
use crate::sparing::Sparing;
use crate::transport::{self, Transport};
use crate::{Lane, Services};

/// How long to wait when a connection cannot be accepted, usually for want of open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all incoming connections share.
pub(crate) struct Door {
    shared: Arc<Shared>,
    services: Arc<dyn Services>,
    closing: watch::Receiver<bool>,
    connections: Arc<Semaphore>,
    strangers: Strangers,
    /// Anybody who reaches the port can cause these.
    turned_away: Sparing,
    too_many: Sparing,
    /// For the bytes of requests, by lane, so that records never hold up the consensus.
    control_budget: Arc<Semaphore>,
    data_budget: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(
        shared: Arc<Shared>,
        services: Arc<dyn Services>,
        closing: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            services,
            closing,
            connections: Arc::new(Semaphore::new(limits::PEER_CONNECTIONS_MAX)),
            strangers: Strangers::default(),
            turned_away: Sparing::default(),
            too_many: Sparing::default(),
            control_budget: Arc::new(Semaphore::new(limits::PEER_REQUEST_BYTES_MAX)),
            data_budget: Arc::new(Semaphore::new(limits::PEER_REQUEST_BYTES_MAX)),
        })
    }

    fn budget(&self, lane: Lane) -> Arc<Semaphore> {
        Arc::clone(match lane {
            Lane::Control => &self.control_budget,
            Lane::Data => &self.data_budget,
        })
    }

    /// With how many `others` nobody was told of.
    fn tell_turned_away(&self, address: SocketAddr, why: &dyn std::fmt::Display) {
        match self.turned_away.line() {
            Some(others) => tracing::info!(%address, %why, others, "a connection was turned away"),
            None => tracing::debug!(%address, %why, "a connection was turned away"),
        }
    }
}

enum Event {
    Arrived(std::io::Result<(TcpStream, SocketAddr)>),
    Finished,
    Closing,
}

/// Takes connections until the door closes, then waits for the last of them.
pub(crate) async fn listen(listener: TcpListener, door: Arc<Door>) {
    let mut closing = door.closing.clone();
    let mut connections = JoinSet::new();
    loop {
        let event = tokio::select! {
            arrived = listener.accept() => Event::Arrived(arrived),
            Some(_) = connections.join_next() => Event::Finished,
            _ = closing.wait_for(|closing| *closing) => Event::Closing,
        };
        match event {
            Event::Arrived(Ok((stream, address))) => {
                if let Some(place) = Place::take(&door, address) {
                    connections.spawn(welcome(stream, address, Arc::clone(&door), place));
                }
            }
            Event::Arrived(Err(error)) => {
                tracing::warn!(%error, "cannot accept a connection of another node");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Event::Finished => {}
            Event::Closing => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// A connection's place among all of them, and among those of strangers.
struct Place {
    _connection: OwnedSemaphorePermit,
    stranger: Stranger,
}

impl Place {
    /// None when there are too many; they are closed unheard.
    fn take(door: &Door, address: SocketAddr) -> Option<Self> {
        let Ok(connection) = Arc::clone(&door.connections).try_acquire_owned() else {
            if let Some(others) = door.too_many.line() {
                tracing::warn!(
                    others,
                    "too many connections of other nodes; one was closed"
                );
            }
            return None;
        };
        let source = Source::of(address.ip());
        let stranger = door.strangers.arrive(source, &door.shared.acquaintances)?;
        Some(Self {
            _connection: connection,
            stranger,
        })
    }
}

async fn welcome(stream: TcpStream, address: SocketAddr, door: Arc<Door>, mut place: Place) {
    let mut closing = door.closing.clone();
    let met = tokio::select! {
        met = timeout(door.shared.timings.handshake, meet(stream, &door)) => met,
        () = place.stranger.dismissed() => {
            tracing::debug!(%address, "a connection was closed: too many without a handshake");
            return;
        }
        _ = closing.wait_for(|closing| *closing) => return,
    };
    let (met, transport) = match met {
        Ok(Ok(met)) => met,
        Ok(Err(error)) => return door.tell_turned_away(address, &error),
        Err(_) => return door.tell_turned_away(address, &"no handshake in time"),
    };
    drop(place.stranger);
    if met.they.id.is_some() {
        door.shared.acquaintances.add(Source::of(address.ip()));
    }
    tracing::debug!(%address, node = ?met.they.id, "a node has connected");
    let end = Connection::serve(&door, met, transport).await;
    tracing::debug!(%address, %end, "a node's connection has ended");
}

async fn meet(stream: TcpStream, door: &Door) -> Result<(Met, Transport), HandshakeError> {
    let shared = &door.shared;
    let mut transport = transport::accept(stream, &shared.security).await?;
    let local = Local {
        admission: &*shared.admission,
        keys: shared.security.keys(),
        their_certificate: transport.certificate.as_ref(),
        binding: transport.binding,
    };
    let met = handshake::answer(&mut transport.stream, local).await?;
    Ok((met, transport))
}

fn stopping() -> Rejection {
    Rejection::ours(RejectionCode::Closing, "this node is stopping")
}
