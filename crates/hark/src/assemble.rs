//! Puts a node together from its parts: disk, keys, storage engine, broker, door.

mod banner;
mod engine;
mod node;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ::broker::seams::{OsEntropy, SystemClock};
use ::broker::{Broker, BrokerOptions};
use seglog::Sealer;
use zeroize::Zeroizing;

pub(crate) use banner::Banner;
pub(crate) use engine::Engine;
pub(crate) use node::start;

use crate::exit::{Exit, Failure, Outcome, While as _};

/// The name of a node that was given none.
pub(crate) const NODE_NAME_DEFAULT: &str = "node";

/// Everything that is decided before anything is opened.
#[derive(Debug)]
pub(crate) struct NodePlan {
    /// Where all its files are.
    pub data: PathBuf,
    /// Where the HTTP door is.
    pub http: SocketAddr,
    /// What keeps the records.
    pub engine: Engine,
    /// Its name.
    pub name: String,
    /// Whether records are encrypted at rest, and with what.
    pub keys: Keys,
    /// How the broker behaves.
    pub broker: BrokerOptions,
}

/// Where the keys for encryption at rest come from.
pub(crate) enum Keys {
    /// Records lie in clear.
    None,
    /// A file that only its owner can read.
    File(PathBuf),
    /// The text of such a file, from the environment.
    Text(Zeroizing<String>),
}

/// Makes the data directory, so that the log has a place before anything is opened.
pub(crate) fn make_directory(plan: &NodePlan) -> Outcome {
    engine::make_directory(&plan.data)
}

/// A broker on its storage, without doors.
pub(crate) async fn broker(plan: &NodePlan) -> Outcome<Broker> {
    let sealer = plan.keys.load()?.map(Arc::new);
    let (data, engine) = (plan.data.clone(), plan.engine);
    // Recovery reads for as long as it must; the runtime's own threads stay free.
    let store = tokio::task::spawn_blocking(move || engine::open(engine, &data, sealer));
    let store = store.await.while_doing("open the store")??;
    let clock = Arc::new(SystemClock::new());
    Broker::open(
        &plan.data,
        store,
        plan.broker.clone(),
        clock,
        Arc::new(OsEntropy),
    )
    .await
    .map_err(refused)
}

impl Keys {
    /// Whether records are encrypted.
    pub(crate) const fn encrypt(&self) -> bool {
        !matches!(self, Self::None)
    }

    fn load(&self) -> Outcome<Option<Sealer>> {
        let keys = match self {
            Self::None => return Ok(None),
            Self::File(path) => Sealer::from_file(path),
            Self::Text(text) => Sealer::from_text(text),
        };
        keys.map(Some)
            .map_err(|error| Failure::config(error.to_string()))
    }
}

/// Never shows a key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}

/// Why a node did not start, with the code that says whose turn it is.
fn refused(error: ::broker::OpenError) -> Failure {
    match error {
        ::broker::OpenError::Store(error) => engine::refused(&error),
        error @ ::broker::OpenError::Defaults(_) => Failure::config(error.to_string()),
        error => Failure::new(Exit::Failed, error.to_string()),
    }
}
