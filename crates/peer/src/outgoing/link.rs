//! The way to one address: its connection, if there is one, and the attempts to make one.

use std::sync::Arc;
use std::time::Duration;

use model::NodeId;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::backoff::{Backoff, Jitter};
use super::connection::Connection;
use crate::Lane;
use crate::error::CallError;
use crate::handshake::{self, HandshakeError, Local};
use crate::peers::Shared;
use crate::sources::Source;
use crate::transport;

/// A connection that ends sooner counts as a failed attempt.
const SHORT_LIFE: Duration = Duration::from_secs(1);

pub(super) struct Link {
    shared: Arc<Shared>,
    address: String,
    lane: Lane,
    connection: Mutex<Option<Arc<Connection>>>,
    /// Held while dialling, so that all who want to share one attempt.
    attempts: tokio::sync::Mutex<Attempts>,
}

struct Attempts {
    backoff: Backoff,
    last: Option<Failure>,
}

struct Failure {
    at: Instant,
    expected: Option<NodeId>,
    error: CallError,
}

impl Link {
    pub(super) fn new(
        shared: Arc<Shared>,
        address: String,
        lane: Lane,
        jitter: Jitter,
    ) -> Arc<Self> {
        let backoff = Backoff::new(&shared.timings, jitter);
        Arc::new(Self {
            shared,
            address,
            lane,
            connection: Mutex::default(),
            attempts: tokio::sync::Mutex::new(Attempts {
                backoff,
                last: None,
            }),
        })
    }

    /// The connection that is open, whoever answered.
    pub(super) fn open_connection(&self) -> Option<Arc<Connection>> {
        let connection = self.connection.lock();
        connection.as_ref().filter(|it| it.is_open()).cloned()
    }

    /// A connection to whom is expected; makes one attempt at most.
    pub(super) async fn connection(
        self: &Arc<Self>,
        expected: Option<NodeId>,
    ) -> Result<Arc<Connection>, CallError> {
        if let Some(connection) = self.usable(expected) {
            return Ok(connection);
        }
        let link = Arc::clone(self);
        let wanted = Instant::now();
        // In a task of its own: an attempt goes on when the one who began it has no more time.
        let attempt = tokio::spawn(async move { link.establish(expected, wanted).await });
        attempt
            .await
            .unwrap_or_else(|stopped| Err(self.unreachable(&stopped)))
    }

    /// The open connection, if it is to the one expected and what either side said of itself still holds.
    fn usable(&self, expected: Option<NodeId>) -> Option<Arc<Connection>> {
        let connection = self.open_connection()?;
        let admission = &self.shared.admission;
        let is_expected = expected.is_none() || connection.they().id == expected;
        let holds = is_expected
            && *connection.we() == admission.claim()
            && admission.admit(connection.they()).is_ok();
        holds.then_some(connection)
    }

    async fn establish(
        &self,
        expected: Option<NodeId>,
        wanted: Instant,
    ) -> Result<Arc<Connection>, CallError> {
        let mut attempts = self.attempts.lock().await;
        if let Some(connection) = self.usable(expected) {
            return Ok(connection);
        }
        if let Some(last) = &attempts.last
            && last.at >= wanted
            && last.expected == expected
        {
            return Err(last.error.clone());
        }
        self.count_short_life(&mut attempts.backoff);
        sleep_until(attempts.backoff.next()).await;
        match self.dial(expected).await {
            Ok(connection) => {
                attempts.backoff.succeeded();
                *self.connection.lock() = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                attempts.backoff.failed();
                attempts.last = Some(Failure {
                    at: Instant::now(),
                    expected,
                    error: error.clone(),
                });
                Err(error)
            }
        }
    }

    /// A connection that ended at once is no success: whoever closes every one is not dialled in a loop.
    fn count_short_life(&self, backoff: &mut Backoff) {
        let mut connection = self.connection.lock();
        if connection.as_ref().is_some_and(|it| !it.is_open()) {
            let ended = connection.take();
            if ended.is_some_and(|it| it.age() < SHORT_LIFE) {
                backoff.failed();
            }
        }
    }

    async fn dial(&self, expected: Option<NodeId>) -> Result<Arc<Connection>, CallError> {
        let timings = &self.shared.timings;
        let stream = match timeout(timings.connect, TcpStream::connect(&self.address)).await {
            Ok(stream) => stream.map_err(|error| self.unreachable(&error))?,
            Err(_) => return Err(self.unreachable(&"no connection in time")),
        };
        match timeout(timings.handshake, self.meet(stream, expected)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(HandshakeError::Rejected(rejection))) => Err(rejection.into()),
            Ok(Err(HandshakeError::Io(error))) => Err(self.unreachable(&error)),
            Err(_) => Err(self.unreachable(&"no handshake in time")),
        }
    }

    async fn meet(
        &self,
        stream: TcpStream,
        expected: Option<NodeId>,
    ) -> Result<Arc<Connection>, HandshakeError> {
        let shared = &self.shared;
        let mut transport = transport::connect(stream, &shared.security).await?;
        let local = Local {
            admission: &*shared.admission,
            keys: shared.security.keys(),
            their_certificate: transport.certificate.as_ref(),
            binding: transport.binding,
        };
        let met = handshake::dial(&mut transport.stream, local, self.lane, expected)
            .await
            .map_err(late_tls_error)?;
        if met.they.id.is_some() {
            let source = Source::of(transport.address.ip());
            shared.acquaintances.add(source);
        }
        Ok(Connection::start(shared, met, transport))
    }

    fn unreachable(&self, reason: &dyn std::fmt::Display) -> CallError {
        CallError::Unreachable {
            address: self.address.clone(),
            reason: reason.to_string(),
        }
    }
}

/// With TLS 1.3, who dials learns only from the first read that its certificate was turned down.
fn late_tls_error(error: HandshakeError) -> HandshakeError {
    match error {
        HandshakeError::Io(error) => transport::tls_error(error),
        HandshakeError::Rejected(rejection) => rejection.into(),
    }
}
