//! Everything that a node does with connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::Claim;
use model::{NodeId, limits};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::error::{CallError, StartError};
use crate::incoming::{self, Door};
use crate::outgoing::Outgoing;
use crate::sources::Acquaintances;
use crate::{Admission, Security, Service, Services};

/// What a node brings to its connections.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// What protects them.
    pub security: Security,
    /// Where the jitter between attempts comes from; another for every node.
    pub seed: u64,
    /// How patient they are.
    pub timings: PeerTimings,
}

impl PeerOptions {
    /// The usual timings.
    #[must_use]
    pub fn new(security: Security, seed: u64) -> Self {
        Self {
            security,
            seed,
            timings: PeerTimings::default(),
        }
    }
}

/// How patient connections are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTimings {
    /// Longest wait for a TCP connection.
    pub connect: Duration,
    /// Longest wait for the handshake, TLS included; longer ones count as
    /// [`limits::PEER_HANDSHAKE_TIMEOUT`].
    pub handshake: Duration,
    /// Between two pings on an open connection.
    pub ping: Duration,
    /// A connection on which the other side gave no sign of life for so long is taken to be dead.
    pub silence: Duration,
    /// A connection that nobody has used for so long is closed.
    pub idle: Duration,
    /// Wait after the first failed attempt; doubles with each that follows.
    pub backoff_min: Duration,
    /// Longest wait between two attempts.
    pub backoff_max: Duration,
}

impl Default for PeerTimings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            handshake: limits::PEER_HANDSHAKE_TIMEOUT,
            ping: Duration::from_secs(2),
            silence: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
        }
    }
}

/// Whom to call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Where: `host:port`.
    pub address: String,
    /// Who must answer; without, anybody may who is admitted.
    pub expect: Option<NodeId>,
}

impl Target {
    /// A node, where it is registered.
    #[must_use]
    pub fn node(id: NodeId, address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            expect: Some(id),
        }
    }

    /// Whoever answers there.
    #[must_use]
    pub fn anybody(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            expect: None,
        }
    }
}

/// The connections of a node. Clones share them; they are closed with the last one.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    outgoing: Outgoing,
    shared: Arc<Shared>,
    door: Mutex<Option<OpenDoor>>,
}

struct OpenDoor {
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What connections in both directions need.
pub(crate) struct Shared {
    pub(crate) security: Security,
    pub(crate) timings: PeerTimings,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) acquaintances: Acquaintances,
}

impl Peers {
    /// Ready to call; nobody can call this node before [`Self::serve`].
    #[must_use]
    pub fn new(options: PeerOptions, admission: Arc<dyn Admission>) -> Self {
        let handshake = options.timings.handshake;
        let timings = PeerTimings {
            handshake: handshake.min(limits::PEER_HANDSHAKE_TIMEOUT),
            ..options.timings
        };
        let shared = Arc::new(Shared {
            security: options.security,
            timings,
            admission,
            acquaintances: Acquaintances::default(),
        });
        Self(Arc::new(Inner {
            outgoing: Outgoing::new(Arc::clone(&shared), options.seed),
            shared,
            door: Mutex::new(None),
        }))
    }

    /// Lets others call. A second call replaces the first listener and closes its connections.
    ///
    /// # Errors
    /// When the address can be reached from other machines and there is no TLS, unless the security
    /// allows that.
    pub fn serve(
        &self,
        listener: TcpListener,
        services: Arc<dyn Services>,
    ) -> Result<SocketAddr, StartError> {
        let address = listener.local_addr()?;
        if !self.0.shared.security.allows(address.ip()) {
            return Err(StartError::PlainBeyondLoopback(address));
        }
        let (closing, is_closing) = watch::channel(false);
        let door = Door::new(Arc::clone(&self.0.shared), services, is_closing);
        let task = tokio::spawn(incoming::listen(listener, door));
        *self.0.door.lock() = Some(OpenDoor { closing, task });
        Ok(address)
    }

    /// Asks a service of another node, and waits for the answer.
    ///
    /// Dials when there is no connection; one attempt is shared by all who wait for it. Nothing that may
    /// have arrived is sent twice. When the returned future is dropped, the call is cancelled there too.
    ///
    /// # Errors
    /// [`CallError::delivery`] tells whether the request may have had an effect.
    pub async fn call(
        &self,
        to: &Target,
        service: Service,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let deadline = Instant::now() + deadline;
        self.0.outgoing.call(to, service, body, deadline).await
    }

    /// Who answers there.
    ///
    /// # Errors
    /// As [`Self::call`]; nothing was asked.
    pub async fn who(&self, to: &Target, deadline: Duration) -> Result<Claim, CallError> {
        let deadline = Instant::now() + deadline;
        self.0.outgoing.who(to, deadline).await
    }

    /// The smoothed round trip to each node that there is an open connection to; without an id for those
    /// that have none.
    #[must_use]
    pub fn round_trips(&self) -> Vec<(Target, Duration)> {
        self.0.outgoing.round_trips()
    }

    /// Stops: takes no more calls and makes none, gives those that others wait for `grace` to end, then
    /// closes every connection.
    pub async fn close(&self, grace: Duration) {
        self.0.outgoing.close();
        let door = self.0.door.lock().take();
        let Some(mut door) = door else { return };
        let _nobody_listens = door.closing.send(true);
        if timeout(grace, &mut door.task).await.is_err() {
            tracing::warn!("calls of other nodes were cut off: they took longer than {grace:?}");
        }
    }
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("security", &self.0.shared.security)
            .finish_non_exhaustive()
    }
}
