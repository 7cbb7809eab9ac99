//! What control takes from the world, so that a test or the simulator can give it another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::RaftId;
use model::{Instant, NodeId, Timestamp};
use thiserror::Error;

pub use futures_util::future::BoxFuture;

/// Everything that control takes from the world.
#[derive(Debug, Clone)]
pub struct Seams {
    /// The way to other nodes.
    pub network: Arc<dyn Network>,
    /// Who is believed to be alive.
    pub liveness: Arc<dyn Liveness>,
    /// The two clocks.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
}

/// The way to the control of other nodes.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// Hands `request` to `Control::handle` of that node and brings its answer. Must make sure that
    /// the one who answers is the one who was asked: a node whose disk was replaced is another one.
    fn call(
        &self,
        to: RaftId,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, NetworkError>>;
}

/// A call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// The request did not arrive.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The request may have arrived.
    #[error("no answer in time")]
    TimedOut,
}

/// Who is believed to be alive. Membership says it; only the controller draws conclusions.
pub trait Liveness: fmt::Debug + Send + Sync + 'static {
    /// Every node that membership knows of, with or without this one.
    fn members(&self) -> Vec<(NodeId, Liveliness)>;
}

/// What membership believes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveliness {
    /// Whether it is alive; who is only suspected counts as alive.
    pub alive: bool,
    /// Since when this is believed without interruption.
    pub since: Instant,
}

/// The two clocks.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Monotonic, for deadlines.
    fn now(&self) -> Instant;
    /// Civil, for what is written down.
    fn wall(&self) -> Timestamp;
}

/// Random bytes.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}
