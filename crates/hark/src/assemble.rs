//! Puts a node together from its parts: addresses, disk, control, connections, gossip, storage engine,
//! broker, door. [`node`] is the list of parts; [`wiring`] is what joins them.

mod banner;
mod chores;
mod engine;
mod entering;
pub(crate) mod finding;
mod node;
mod wiring;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ::broker::seams::{Cluster, OsEntropy, SystemClock};
use ::broker::{Alone, Broker, BrokerOptions};
use model::{NodeId, Site};
use seglog::disk::RealDisk;
use seglog::{Sealer, Store};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

pub(crate) use banner::Banner;
pub(crate) use engine::Engine;
pub(crate) use node::start;

use finding::PeerAddress;

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
    /// Names by which clients may call it.
    pub hosts: Vec<String>,
    /// What keeps the records.
    pub engine: Engine,
    /// Its name.
    pub name: String,
    /// Whether records are encrypted at rest, and with what.
    pub keys: Keys,
    /// Who it is among other nodes, and how it finds them.
    pub cluster: ClusterPlan,
    /// How the broker behaves.
    pub broker: BrokerOptions,
}

/// Who a node is to be among others, and how it finds them.
#[derive(Debug)]
pub(crate) struct ClusterPlan {
    /// The id that it was told to have.
    pub wanted: Option<NodeId>,
    /// Where it may be given one.
    pub site: Site,
    /// Others, as written.
    pub peers: Vec<PeerAddress>,
    /// The URL of a service that knows others.
    pub discovery: Option<String>,
    /// Whether it founds a cluster without waiting for silent peers.
    pub bootstrap: bool,
    /// Where it listens for others.
    pub bind: SocketAddr,
    /// Whether another port will do when that one is taken: nobody chose it.
    pub takes_any_port: bool,
    /// The host under which it is reached, unless that is where it listens.
    pub advertise: Option<String>,
    /// What breaks together with it.
    pub rack: Option<String>,
    /// Where its certificate and the cluster key are.
    pub directory: Option<PathBuf>,
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
    engine::directory(&plan.data).map(drop)
}

/// A broker on its storage that belongs to no cluster, without doors: for measurements.
pub(crate) async fn broker(plan: &NodePlan) -> Outcome<Broker> {
    let clock = SystemClock::new();
    let disk = engine::directory(&plan.data)?;
    let store = recover(plan, disk).await.while_doing("open the store")??;
    let alone = Alone::open(&plan.data, Arc::new(clock), Arc::new(OsEntropy)).await;
    open_broker(plan, store, alone.map_err(refused)?, clock).await
}

/// Opens the store in a thread of its own: recovery reads for as long as it must.
fn recover(plan: &NodePlan, disk: Arc<RealDisk>) -> JoinHandle<Outcome<Arc<dyn Store>>> {
    let (data, engine) = (plan.data.clone(), plan.engine);
    let sealer = plan.keys.load();
    tokio::task::spawn_blocking(move || engine::open(engine, &data, disk, sealer?.map(Arc::new)))
}

/// The broker on its store, in its cluster.
async fn open_broker(
    plan: &NodePlan,
    store: Arc<dyn Store>,
    cluster: Arc<dyn Cluster>,
    clock: SystemClock,
) -> Outcome<Broker> {
    let options = plan.broker.clone();
    let (clock, entropy) = (Arc::new(clock), Arc::new(OsEntropy));
    Broker::open(&plan.data, store, cluster, options, clock, entropy)
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
        error @ ::broker::OpenError::Foreign(_) => Failure::new(Exit::Refused, error.to_string()),
        error @ ::broker::OpenError::Defaults(_) => Failure::config(error.to_string()),
        error => Failure::new(Exit::Failed, error.to_string()),
    }
}
