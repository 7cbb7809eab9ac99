//! Those whom this node calls.

mod backoff;
mod connection;
mod link;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use catalog::Claim;
use model::limits;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use self::backoff::Jitter;
use self::connection::Connection;
use self::link::Link;
use crate::error::CallError;
use crate::peers::Shared;
use crate::protocol::FRAME_HEADER_BYTES;
use crate::{Delivery, Lane, Service, Target};

/// All outgoing connections, by address and lane.
pub(crate) struct Outgoing {
    shared: Arc<Shared>,
    links: Mutex<BTreeMap<(String, Lane), Arc<Link>>>,
    jitter: Jitter,
    is_closed: AtomicBool,
}

impl Outgoing {
    pub(crate) fn new(shared: Arc<Shared>, seed: u64) -> Self {
        Self {
            shared,
            links: Mutex::default(),
            jitter: Jitter::new(seed),
            is_closed: AtomicBool::new(false),
        }
    }

    pub(crate) async fn call(
        &self,
        to: &Target,
        service: Service,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        if body.len() > limits::PEER_FRAME_BYTES_MAX - FRAME_HEADER_BYTES {
            return Err(CallError::TooLarge(body.len()));
        }
        let connection = self.connection(to, service.lane(), deadline).await?;
        let outcome = connection.call(service, body.clone(), deadline).await;
        match outcome {
            // The connection had ended, and nobody had noticed yet.
            Err(CallError::Lost {
                delivery: Delivery::NotSent,
                ..
            }) => {}
            outcome => return outcome,
        }
        let connection = self.connection(to, service.lane(), deadline).await?;
        connection.call(service, body, deadline).await
    }

    pub(crate) async fn who(&self, to: &Target, deadline: Instant) -> Result<Claim, CallError> {
        let connection = self.connection(to, Lane::Control, deadline).await?;
        Ok(connection.they().clone())
    }

    pub(crate) fn round_trips(&self) -> Vec<(Target, Duration)> {
        let links = self.links.lock();
        let of_lane = links.iter().filter(|((_, lane), _)| *lane == Lane::Control);
        of_lane
            .filter_map(|((address, _), link)| {
                let connection = link.open_connection()?;
                let target = Target {
                    address: address.clone(),
                    expect: connection.they().id,
                };
                Some((target, connection.round_trip()?))
            })
            .collect()
    }

    /// No more calls; those that wait for their answers still get them.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.links.lock().clear();
    }

    async fn connection(
        &self,
        to: &Target,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Arc<Connection>, CallError> {
        let link = self.link(&to.address, lane)?;
        let connected = timeout_at(deadline, link.connection(to.expect)).await;
        connected.unwrap_or(Err(CallError::TimedOut {
            delivery: Delivery::NotSent,
        }))
    }

    fn link(&self, address: &str, lane: Lane) -> Result<Arc<Link>, CallError> {
        let mut links = self.links.lock();
        if self.is_closed.load(Ordering::Acquire) {
            return Err(CallError::Closed);
        }
        let key = (address.to_owned(), lane);
        if let Some(link) = links.get(&key) {
            return Ok(Arc::clone(link));
        }
        if links.len() >= limits::PEER_TARGETS_MAX {
            links.retain(|_, link| link.open_connection().is_some() || Arc::strong_count(link) > 1);
        }
        if links.len() >= limits::PEER_TARGETS_MAX {
            return Err(CallError::Unreachable {
                address: address.to_owned(),
                reason: "too many connections".to_owned(),
            });
        }
        let shared = Arc::clone(&self.shared);
        let link = Link::new(shared, address.to_owned(), lane, self.jitter.split());
        links.insert(key, Arc::clone(&link));
        Ok(link)
    }
}
