//! One connection: its seat, its phases, and the service that hyper calls.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::io::TimedIo;
use crate::door::Door;
use crate::route;

/// Serves one connection to its end.
pub(super) async fn serve(
    http: Arc<http1::Builder>,
    stream: TcpStream,
    seat: Arc<Seat>,
    router: Router,
) {
    let io = TokioIo::new(TimedIo::new(stream, Arc::clone(&seat)));
    let app = App {
        router: TowerToHyperService::new(router),
        seat: Arc::clone(&seat),
    };
    let mut connection = std::pin::pin!(http.serve_connection(io, app).with_upgrades());
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = seat.door.closing() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // Whatever a client does to its own connection is no event of the node's.
        tracing::debug!(%error, "a connection ended");
    }
}

/// A connection's place among the limited number of them, held until its last part has ended.
pub(crate) struct Seat {
    pub(super) door: Door,
    phase: AtomicU8,
    _permit: OwnedSemaphorePermit,
}

/// What a connection does, which decides how long it may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// A request's head is coming, or the connection is new.
    Head,
    /// A request is being served, its answer not yet all sent.
    Serving,
    /// Between two requests.
    Idle,
    /// It speaks another protocol now, with its own sign of life.
    Upgraded,
}

impl Seat {
    pub(super) fn new(door: Door, permit: OwnedSemaphorePermit) -> Self {
        door.metrics().connection_opened();
        Self {
            door,
            phase: AtomicU8::new(Phase::Head as u8),
            _permit: permit,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Head,
            1 => Phase::Serving,
            2 => Phase::Idle,
            _ => Phase::Upgraded,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.door.metrics().connection_closed();
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat")
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// The router, with the phases kept.
struct App {
    router: TowerToHyperService<Router>,
    seat: Arc<Seat>,
}

impl Service<Request<Incoming>> for App {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.seat.enter(Phase::Serving);
        let served = Served(Arc::clone(&self.seat));
        let (mut parts, body) = request.into_parts();
        let label = route::label(parts.uri.path());
        let answer = route::check(&parts, self.seat.door.hosts()).map(|()| {
            parts.extensions.insert(Arc::clone(&self.seat));
            self.router
                .call(Request::from_parts(parts, Body::new(body)))
        });
        Box::pin(async move {
            let response = match answer {
                Ok(answer) => answer.await?,
                Err(refusal) => refusal.into_response(),
            };
            Ok(served.finish(label, response))
        })
    }
}

/// Ends the serving of a request when it is dropped.
struct Served(Arc<Seat>);

impl Served {
    /// There is an answer; the request is over once it is sent.
    fn finish(
        self,
        label: &'static str,
        response: axum::response::Response,
    ) -> Response<TrackedBody> {
        self.0.door.metrics().answered(label, response.status());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.0.enter(Phase::Upgraded);
        }
        response.map(|body| TrackedBody::new(body, self))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.0.phase() == Phase::Serving {
            self.0.enter(Phase::Idle);
        }
    }
}

/// An answer's body: once all of it was taken or it is given up, the request is over. It must not
/// end later, by being dropped: hyper has begun to wait for the next request by then.
struct TrackedBody {
    body: Body,
    served: Option<Served>,
}

impl TrackedBody {
    fn new(body: Body, served: Served) -> Self {
        let is_empty = body.is_end_stream();
        Self {
            body,
            served: (!is_empty).then_some(served),
        }
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.served = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
