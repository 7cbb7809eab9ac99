//! The accept loop. It survives a shortage of file descriptors.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use model::limits::HTTP_HEAD_BYTES_MAX;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::connection::{self, Seat};
use crate::door::Door;
use crate::dto::ErrorAnswer;
use crate::error::{Code, Refusal};

/// Largest read buffer of a connection: a head must fit, and large bodies come in such pieces.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pause after an accept that failed for want of something.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Connections turned away before it is tried again whether there are descriptors.
const TURNED_AWAY_AT_ONCE_MAX: usize = 32;
/// "Too many open files", of the process and of the system: the same on every Unix.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// What a failed accept tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// A client that is gone already; nothing is wrong here.
    OneClient,
    /// There is no file descriptor left.
    Descriptors,
    /// The system lacks something else.
    Node,
}

pub(super) struct Acceptor {
    listener: TcpListener,
    door: Door,
    router: Router,
    http: Arc<http1::Builder>,
    seats: Arc<Semaphore>,
    /// A descriptor to give up when there is no other, so that a waiting client can be taken from
    /// the queue and turned away instead of being left hanging.
    spare: Option<File>,
    /// What a connection too many is told. Written before anything is read.
    full: Vec<u8>,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, door: Door, router: Router) -> Self {
        let seats = Arc::new(Semaphore::new(door.options().connections_max));
        let http = Arc::new(builder());
        Self {
            listener,
            door,
            router,
            http,
            seats,
            spare: spare(),
            full: full(),
        }
    }

    /// Accepts for ever.
    pub(super) async fn run(&mut self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => self.admit(stream),
                Err(error) => self.recover(&error).await,
            }
        }
    }

    /// Waits until all connections have ended, or for `timeout`.
    pub(super) async fn drain(self, timeout: Duration) {
        let Self {
            listener,
            door,
            seats,
            ..
        } = self;
        drop(listener);
        let all = u32::try_from(door.options().connections_max).unwrap_or(u32::MAX);
        if tokio::time::timeout(timeout, seats.acquire_many(all))
            .await
            .is_err()
        {
            let left = door.metrics().connections();
            tracing::warn!(left, "connections did not end in time and are cut");
        }
    }

    fn admit(&self, stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.seats).try_acquire_owned() else {
            // Best effort: a client that cannot be told is cut off all the same.
            let _ = stream.try_write(&self.full);
            return;
        };
        // It only makes small answers wait if it fails.
        let _ = stream.set_nodelay(true);
        let seat = Arc::new(Seat::new(self.door.clone(), permit));
        let served = connection::serve(Arc::clone(&self.http), stream, seat, self.router.clone());
        tokio::spawn(served);
    }

    async fn recover(&mut self, error: &io::Error) {
        match trouble(error) {
            Trouble::OneClient => {
                tracing::debug!(%error, "a client gave up before it was accepted");
                return tokio::task::yield_now().await;
            }
            Trouble::Node => {
                // Memory, mostly. The next accept would fail the same way at once.
                tracing::warn!(%error, "accept failed");
                return tokio::time::sleep(BACK_OFF).await;
            }
            Trouble::Descriptors => {}
        }
        tracing::warn!(%error, "no file descriptor left for a connection");
        if self.spare.take().is_none() || self.turn_away().await == 0 {
            tokio::time::sleep(BACK_OFF).await;
        }
        self.spare = spare();
    }

    /// Takes connections that wait with the spare descriptor, one after the other, and says why
    /// they cannot stay. Gives their number.
    async fn turn_away(&self) -> usize {
        for count in 0..TURNED_AWAY_AT_ONCE_MAX {
            match tokio::time::timeout(BACK_OFF, self.listener.accept()).await {
                // Best effort, as above.
                Ok(Ok((stream, _))) => drop(stream.try_write(&self.full)),
                _ => return count,
            }
        }
        TURNED_AWAY_AT_ONCE_MAX
    }
}

fn trouble(error: &io::Error) -> Trouble {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable, TimedOut,
    };
    match (error.raw_os_error(), error.kind()) {
        (Some(EMFILE | ENFILE), _) => Trouble::Descriptors,
        // Linux passes on what the network said of the connection that was waiting (accept(2)).
        (
            _,
            ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted
            | NetworkDown | NetworkUnreachable | TimedOut,
        ) => Trouble::OneClient,
        _ => Trouble::Node,
    }
}

fn full() -> Vec<u8> {
    let refusal = Refusal::new(
        Code::TooManyConnections,
        "the node has no room for a connection",
    );
    let error = ErrorAnswer {
        error: refusal.into_body(),
    };
    let body = serde_json::to_string(&error).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_header_size(HTTP_HEAD_BYTES_MAX)
        // The connection's own timers stand in for it: they know more of its state.
        .header_read_timeout(None);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_is_gone_lets_the_next_accept_follow_at_once() {
        const ENOMEM: i32 = 12;
        let cases = [
            (
                io::Error::from(io::ErrorKind::ConnectionAborted),
                Trouble::OneClient,
            ),
            (
                io::Error::from(io::ErrorKind::NetworkDown),
                Trouble::OneClient,
            ),
            (io::Error::from_raw_os_error(EMFILE), Trouble::Descriptors),
            (io::Error::from_raw_os_error(ENFILE), Trouble::Descriptors),
            (io::Error::from_raw_os_error(ENOMEM), Trouble::Node),
            (io::Error::other("?"), Trouble::Node),
        ];
        for (error, expected) in cases {
            assert_eq!(trouble(&error), expected, "{error}");
        }
    }
}
