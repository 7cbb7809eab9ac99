//! A cluster of one without a consensus: for tests, and for brokers that run inside another program.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Addresses, Catalog, Claim, Command, Outcome, Registration};
use futures_util::future::BoxFuture;
use model::{BootId, ClusterId, Incarnation, NodeId, Site, StorageId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::bond::bind;
use crate::error::OpenError;
use crate::seams::{
    CallError, Clock, Cluster, ClusterError, ClusterOverview, Entropy, Liveness, NodeOverview,
    ProposeError, Role,
};

/// The number of a node that stands alone.
const ME: NodeId = NodeId(0);
/// The catalog's file, in the data directory.
const FILE: &str = "alone.catalog";
/// A catalog on its way to become that file.
const NEW_FILE: &str = "alone.catalog.new";

/// The node is its whole cluster, and what it decides holds at once. The catalog is the file
/// `alone.catalog` in the data directory: the bytes of [`Catalog::encode`], replaced as a whole and
/// synced before a command is answered.
#[derive(Debug)]
pub struct Alone {
    since: Timestamp,
    agreed: Arc<Agreed>,
}

/// What was decided so far.
#[derive(Debug)]
struct Agreed {
    data: PathBuf,
    newest: watch::Sender<Arc<Catalog>>,
    /// Held while a command is carried out.
    turn: Mutex<()>,
}

impl Alone {
    /// The name of every cluster that is not one: a node that later joins a real cluster brings the
    /// topics along that it made alone.
    pub const CLUSTER: ClusterId = ClusterId::from_bytes([0; 16]);

    /// Opens the catalog in `data`, or begins one, and [binds](bind) the `hark.db` beside it.
    pub async fn open(
        data: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, OpenError> {
        let data = data.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let catalog = match read(&data)? {
                Some(catalog) => {
                    bind(&data, &claim(&catalog)?)?;
                    catalog
                }
                None => found(&data, &*entropy, clock.wall())?,
            };
            let agreed = Agreed {
                data,
                newest: watch::Sender::new(Arc::new(catalog)),
                turn: Mutex::new(()),
            };
            Ok(Arc::new(Self {
                since: clock.wall(),
                agreed: Arc::new(agreed),
            }))
        });
        match opened.await {
            Ok(opened) => opened,
            Err(_) => Err(OpenError::Corrupt("the start was interrupted".to_owned())),
        }
    }
}

impl Agreed {
    /// Runs off the async workers, and to its end even if whoever asked has gone away.
    fn carry_out(&self, command: &Command) -> Result<Outcome, ProposeError> {
        let _turn = self.turn.lock();
        let mut catalog = Catalog::clone(&self.newest.borrow());
        let outcome = catalog.apply(command)?;
        let written = write(&self.data, &catalog.encode());
        written.map_err(|error| ProposeError::Unavailable(format!("{FILE}: {error}")))?;
        self.newest.send_replace(Arc::new(catalog));
        Ok(outcome)
    }
}

impl Cluster for Alone {
    fn me(&self) -> NodeId {
        ME
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.agreed.newest.borrow())
    }

    fn changes(&self) -> watch::Receiver<Arc<Catalog>> {
        self.agreed.newest.subscribe()
    }

    fn fresh(&self) -> BoxFuture<'_, Result<Arc<Catalog>, ClusterError>> {
        Box::pin(async { Ok(self.catalog()) })
    }

    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Outcome, ProposeError>> {
        let agreed = Arc::clone(&self.agreed);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || agreed.carry_out(&command)).await;
            let stopping = || ProposeError::Unavailable("the node is stopping".to_owned());
            done.map_err(|_| stopping())?
        })
    }

    fn call(&self, to: NodeId, _: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, CallError>> {
        let why = format!("there is no node {to}: this one stands alone");
        Box::pin(async { Err(CallError::Unreachable(why)) })
    }

    fn overview(&self) -> ClusterOverview {
        let catalog = self.catalog();
        let nodes = catalog.nodes().map(|node| NodeOverview {
            id: node.id,
            slot: node.slot,
            incarnation: node.incarnation,
            addresses: node.addresses.clone(),
            rack: node.rack.clone(),
            state: node.state,
            fenced: node.fenced,
            liveness: Liveness::Alive,
            since: self.since,
            round_trip: None,
            neighbours: Vec::new(),
            role: Role::Voter,
            is_controller: true,
        });
        ClusterOverview {
            cluster: catalog.cluster(),
            me: ME,
            controller: Some(ME),
            term: 0,
            revision: catalog.revision(),
            nodes: nodes.collect(),
        }
    }
}

/// Begins a catalog that holds this node and nothing else.
fn found(data: &Path, entropy: &dyn Entropy, at: Timestamp) -> Result<Catalog, OpenError> {
    let mut catalog = Catalog::default();
    let (mut storage, mut boot) = ([0; 16], [0; 16]);
    entropy.fill(&mut storage);
    entropy.fill(&mut boot);
    let registration = Registration {
        id: Some(ME),
        site: Site::EVERYWHERE,
        storage: StorageId::from_bytes(storage),
        boot: BootId::from_bytes(boot),
        known_boots: Vec::new(),
        addresses: Addresses::default(),
        rack: None,
        holder_is_alive: false,
        at,
    };
    let commands = [
        Command::Found {
            cluster: Alone::CLUSTER,
        },
        Command::Register(registration),
    ];
    for command in &commands {
        catalog.apply(command).map_err(corrupt)?;
    }
    let never_registered = Claim {
        incarnation: Incarnation(0),
        ..claim(&catalog)?
    };
    bind(data, &never_registered)?;
    write(data, &catalog.encode()).map_err(corrupt)?;
    Ok(catalog)
}

/// What a node that stands alone says of itself: all of its starts are one.
fn claim(catalog: &Catalog) -> Result<Claim, OpenError> {
    let me = catalog.node(ME);
    let me = me.ok_or_else(|| corrupt("it does not hold its own node"))?;
    Ok(Claim {
        cluster: catalog.cluster(),
        id: Some(ME),
        storage: me.storage,
        boot: me.boot,
        known_boots: Vec::new(),
        incarnation: me.incarnation,
    })
}

fn read(data: &Path) -> Result<Option<Catalog>, OpenError> {
    match std::fs::read(data.join(FILE)) {
        Ok(bytes) => Catalog::decode(&bytes).map(Some).map_err(corrupt),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(corrupt(error)),
    }
}

fn corrupt(why: impl std::fmt::Display) -> OpenError {
    OpenError::Corrupt(format!("{FILE}: {why}"))
}

/// Puts the bytes in the file's place, whole or not at all.
fn write(data: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = data.join(NEW_FILE);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, data.join(FILE))?;
    File::open(data)?.sync_all()
}
