//! The door of the discovery service: the map of brokers, and who registers.
//!
//! Small and apart from a node's door: it has no broker. Registrations are few, bodies small, and a
//! node that cannot reach it runs on without it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use model::limits::{BROKER_MAP_BYTES_MAX, DISCOVERY_CONNECTIONS_MAX, HTTP_HEADER_TIMEOUT};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::dto::{BrokerEntry, BrokerMap};

/// Longest time from the first byte of a request to the last of its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after an accept that failed.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Keeps the map.
pub trait Registry: Send + Sync + 'static {
    /// Takes a broker up, or changes what is known of it; the whole map then. The map is on disk
    /// when this returns.
    fn register(&self, broker: BrokerEntry) -> BoxFuture<'_, Result<BrokerMap, RegistryError>>;

    /// Forgets the broker at this peer address; the whole map then.
    fn forget(&self, peer: String) -> BoxFuture<'_, Result<BrokerMap, RegistryError>>;

    /// The map.
    fn map(&self) -> BrokerMap;
}

/// Why a registration was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryError {
    /// It can never be taken as it is.
    Invalid(String),
    /// It cannot be kept now.
    Failed(String),
}

/// Whom to forget.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Forget {
    peer: String,
}

/// Serves the map on `listener` until `shutdown` completes: `GET /brokers`, `POST /register` with a
/// [`BrokerEntry`], `POST /unregister` with `{"peer"}`. Each answers with the whole map.
pub async fn serve_discovery(
    listener: TcpListener,
    registry: Arc<dyn Registry>,
    shutdown: impl Future<Output = ()>,
) {
    let seats = Arc::new(Semaphore::new(DISCOVERY_CONNECTIONS_MAX));
    let router = router(registry);
    tokio::select! {
        () = accept(&listener, &seats, &router) => {}
        () = shutdown => {}
    }
}

fn router(registry: Arc<dyn Registry>) -> Router {
    Router::new()
        .route("/brokers", get(brokers))
        .route("/register", post(register))
        .route("/unregister", post(unregister))
        .layer(DefaultBodyLimit::max(BROKER_MAP_BYTES_MAX))
        .with_state(registry)
}

async fn accept(listener: &TcpListener, seats: &Arc<Semaphore>, router: &Router) {
    loop {
        // Never closed, so there is always a seat in the end.
        let Ok(seat) = Arc::clone(seats).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let served = connection(stream, router.clone());
                tokio::spawn(async move {
                    // Registrations are one request each; who needs longer comes again.
                    let _ = tokio::time::timeout(REQUEST_TIMEOUT, served).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn brokers(State(registry): State<Arc<dyn Registry>>) -> Json<BrokerMap> {
    Json(registry.map())
}

async fn register(
    State(registry): State<Arc<dyn Registry>>,
    Json(broker): Json<BrokerEntry>,
) -> Response {
    answer(registry.register(broker).await)
}

async fn unregister(
    State(registry): State<Arc<dyn Registry>>,
    Json(Forget { peer }): Json<Forget>,
) -> Response {
    answer(registry.forget(peer).await)
}

fn answer(map: Result<BrokerMap, RegistryError>) -> Response {
    match map {
        Ok(map) => Json(map).into_response(),
        Err(RegistryError::Invalid(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(RegistryError::Failed(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
    }
}
