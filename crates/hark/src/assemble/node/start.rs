//! The start of a node.

use std::sync::Arc;
use std::time::Duration;

use ::broker::Broker;
use ::broker::seams::SystemClock;
use control::{Control, ControlOptions, Identity, Introduction, Seams, SqliteStore, Timings};
use door_http::BrokerMapListener;
use model::NodeId;
use peer::membership::Gossip;
use peer::{PeerOptions, Peers, Security};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Node;
use super::arrival::{Arrival, Company};
use super::guard::Guard;
use super::ports::{self, Own, Ports};
use crate::assemble::banner::{Banner, Entry, local_url};
use crate::assemble::entering::Entering;
use crate::assemble::finding::Sources;
use crate::assemble::wiring::{
    AddressBook, Gate, GossipLiveness, Late, Links, NodeCluster, Reception, Senses, Standing,
};
use crate::assemble::{NodePlan, chores, engine, open_broker, recover, refused};
use crate::discovery;
use crate::exit::{Failure, Outcome, While as _};

/// A node that comes back is noticed after this time: agreement may have to wait for it.
const BACKOFF_MAX: Duration = Duration::from_millis(300);

/// What the parts find each other by, before they are there.
#[derive(Debug, Clone)]
pub(super) struct Wires {
    pub(super) senses: Senses,
    pub(super) book: Arc<AddressBook>,
    pub(super) gossip: Late<Arc<Gossip>>,
    pub(super) links: Links,
    broker: Late<Broker>,
    standing: Standing,
}

/// Opens everything, in the order in which things depend on each other. Returns when clients may be
/// answered: once this start is registered, or, on a node that was a member before, once it has asked around.
pub(crate) async fn start(plan: NodePlan) -> Outcome<Node> {
    // First the addresses: a second node started by mistake fails before it touches anything.
    let ports = Ports::bind(&plan).await?;
    let disk = engine::lock(&plan.data)?;
    let wires = Wires::new();
    let control = wires.control(&plan).await?;
    let security = security(&plan, &control.identity())?;
    let peers = wires.peers(&control, &security);
    bind_start(&plan, &control).await?;
    // The store recovers while the node finds its way into the cluster.
    let store = recover(&plan, disk);
    let discovery = discovery_client(&plan, &ports.own)?;
    let entering = wires.entering(&plan, &control, &peers, &ports.own, discovery.as_ref());
    wires.serve(&entering, ports.peer)?;
    let company = Company {
        wires: wires.clone(),
        control: control.clone(),
        security,
        socket: ports.gossip,
        own: ports.own.clone(),
    };
    let mut arrival = Arrival::begin(entering, company);
    arrival.meanwhile(wires.standing.may_be_read()).await?;
    let id = control.identity().node().ok_or_else(no_member)?;
    let cluster = Arc::new(NodeCluster {
        me: id,
        control: control.clone(),
        links: wires.links.clone(),
        gossip: wires.gossip.clone(),
        standing: wires.standing.clone(),
    });
    let store = arrival.meanwhile(store).await?;
    let store = store.while_doing("open the store")??;
    let broker = open_broker(&plan, store, cluster, wires.senses.0).await?;
    wires.broker.set(broker.clone());
    let listener = ports::listen(ports.http, ports.own.http)?;
    tracing::info!(address = %ports.own.http, data = %plan.data.display(), "started");
    Ok(Node {
        hosts: plan.hosts.clone(),
        banner: banner(plan, &ports.own, &control),
        on_broker_map: map_listener(&control, &wires.book),
        guard: Guard::new(control.clone(), wires.gossip.clone(), wires.links.clone()),
        chores: wires.chores(&control, discovery, id),
        arrival,
        control,
        peers,
        broker,
        listener,
    })
}

impl Wires {
    fn new() -> Self {
        let (book, gossip) = (Arc::new(AddressBook::default()), Late::default());
        Self {
            senses: Senses(SystemClock::new()),
            links: Links::new(Arc::clone(&book), gossip.clone()),
            book,
            gossip,
            broker: Late::default(),
            standing: Standing::new(),
        }
    }

    async fn control(&self, plan: &NodePlan) -> Outcome<Control> {
        let path = SqliteStore::path_in(&plan.data);
        let store = tokio::task::spawn_blocking(move || SqliteStore::open(&path)).await;
        let store = store.while_doing("open the control database")?;
        let options = ControlOptions {
            store: Arc::new(store.map_err(|error| Failure::failed(error.to_string()))?),
            timings: Timings::product(),
            snapshot_after: None,
        };
        let control = Control::open(options, self.seams()).await;
        control.map_err(|error| Failure::failed(error.to_string()))
    }

    /// What control takes from the world. Nothing of it keeps the way to others, which leads through
    /// control.
    fn seams(&self) -> Seams {
        Seams {
            network: Arc::new(self.links.loose()),
            liveness: Arc::new(GossipLiveness(self.gossip.clone())),
            clock: Arc::new(self.senses),
            entropy: Arc::new(self.senses),
        }
    }

    /// From here on this node calls others.
    fn peers(&self, control: &Control, security: &Security) -> Peers {
        let mut options = PeerOptions::new(security.clone(), self.senses.seed());
        options.timings.backoff_max = BACKOFF_MAX;
        let peers = Peers::new(options, Arc::new(Gate(control.clone())));
        if let Some(member) = control.identity().member {
            self.links.set_me(member.raft_id);
        }
        self.links.open(peers.clone(), control.watch());
        peers
    }

    /// The way into the cluster.
    fn entering(
        &self,
        plan: &NodePlan,
        control: &Control,
        peers: &Peers,
        own: &Own,
        discovery: Option<&discovery::Client>,
    ) -> Entering {
        Entering {
            control: control.clone(),
            peers: peers.clone(),
            links: self.links.clone(),
            book: Arc::clone(&self.book),
            seeker: Late::default(),
            standing: self.standing.clone(),
            clock: self.senses.0,
            sources: Sources {
                list: plan.cluster.peers.clone(),
                discovery: discovery.cloned(),
            },
            introduction: Introduction {
                id: plan.cluster.wanted,
                site: plan.cluster.site,
                addresses: own.addresses.clone(),
                rack: plan.cluster.rack.clone(),
            },
            bootstrap: plan.cluster.bootstrap,
            address: own.peer.clone(),
        }
    }

    /// From here on others call this node.
    fn serve(&self, entering: &Entering, listener: TcpListener) -> Outcome {
        let reception = Reception {
            control: entering.control.clone(),
            book: Arc::clone(&self.book),
            seeker: entering.seeker.clone(),
            gossip: self.gossip.clone(),
            broker: self.broker.clone(),
        };
        let served = entering.peers.serve(listener, Arc::new(reception));
        served
            .map(drop)
            .map_err(|error| Failure::config(error.to_string()))
    }

    /// What runs beside.
    fn chores(
        &self,
        control: &Control,
        discovery: Option<discovery::Client>,
        id: NodeId,
    ) -> JoinSet<()> {
        let mut running = JoinSet::new();
        running.spawn(chores::follow_roster(
            control.clone(),
            self.gossip.clone(),
            Arc::clone(&self.book),
        ));
        if let Some(discovery) = discovery {
            running.spawn(chores::register(discovery, id));
        }
        running
    }
}

/// Writes this start down, in `control.db` and then in `hark.db`, before anybody is asked to register it.
async fn bind_start(plan: &NodePlan, control: &Control) -> Outcome {
    let claim = control.begin().await;
    let claim = claim.map_err(|error| Failure::failed(error.to_string()))?;
    let data = plan.data.clone();
    let bound = tokio::task::spawn_blocking(move || ::broker::bind(&data, &claim)).await;
    bound.while_doing("open hark.db")?.map_err(refused)
}

/// What protects the connections between nodes.
fn security(plan: &NodePlan, identity: &Identity) -> Outcome<Security> {
    let id = identity.node().or(plan.cluster.wanted);
    match &plan.cluster.directory {
        None => Ok(Security::loopback()),
        Some(directory) => Security::load(directory, id)
            .map_err(|error| Failure::config(format!("cluster-dir: {error}"))),
    }
}

fn discovery_client(plan: &NodePlan, own: &Own) -> Outcome<Option<discovery::Client>> {
    let Some(url) = &plan.cluster.discovery else {
        return Ok(None);
    };
    let http = format!("http://{}", own.addresses.http);
    discovery::Client::new(url, own.addresses.peer.clone(), http).map(Some)
}

/// A map that is pushed says where nodes may be.
fn map_listener(control: &Control, book: &Arc<AddressBook>) -> BrokerMapListener {
    let (catalogs, book) = (control.watch(), Arc::clone(book));
    BrokerMapListener::new(move |map| {
        let catalog = catalogs.borrow();
        for broker in map.brokers {
            if let (Some(id), Ok(address)) = (broker.id, broker.peer.parse()) {
                book.hear(NodeId(id), address, &catalog);
            }
        }
    })
}

/// As it is before it is known how the node has come to its cluster: only one that was a member before is
/// there so early.
fn banner(plan: NodePlan, own: &Own, control: &Control) -> Banner {
    let member = control.identity().member;
    Banner {
        node: plan.name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: own.http,
        http: local_url(own.http),
        data: std::path::absolute(&plan.data).unwrap_or(plan.data),
        store: plan.engine.name().to_owned(),
        encrypted: plan.keys.encrypt(),
        id: member.map_or(0, |member| member.raft_id.node().0),
        cluster: member.map_or_else(String::new, |member| member.cluster.to_string()),
        entry: Entry::Resumed,
        nodes: control.view().nodes().count(),
        peer: own.addresses.peer.clone(),
        protected: plan.cluster.directory.is_some(),
    }
}

/// Entering ends with a registration.
pub(super) fn no_member() -> Failure {
    Failure::failed("the node is not registered")
}

#[cfg(test)]
mod tests {
    use catalog::Addresses;
    use model::Site;
    use test_support::eventually;
    use tokio::net::UdpSocket;

    use super::*;

    /// Everything is open, and then nobody has any of it any more.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_parts_of_a_node_do_not_keep_each_other_alive() {
        let data = tempfile::tempdir().unwrap();
        let wires = Wires::new();
        let options = ControlOptions {
            store: Arc::new(SqliteStore::open(&SqliteStore::path_in(data.path())).unwrap()),
            timings: Timings::product(),
            snapshot_after: None,
        };
        let control = Control::open(options, wires.seams()).await.unwrap();
        let security = Security::loopback();
        let peers = wires.peers(&control, &security);
        let introduction = Introduction {
            id: None,
            site: Site::EVERYWHERE,
            addresses: Addresses::default(),
            rack: None,
        };
        control.found(&introduction).await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let own = Own {
            http: address,
            peer: address.to_string().parse().unwrap(),
            gossip: address,
            addresses: Addresses::default(),
        };
        let company = Company {
            wires: wires.clone(),
            control: control.clone(),
            security,
            socket,
            own,
        };
        let gossip = company.gossip().unwrap();
        let (links, catalogs) = (wires.links.loose(), control.watch());
        gossip.close().await;
        peers.close(Duration::ZERO).await;
        control.close().await;
        drop((wires, gossip, peers, control));
        eventually("the way to others is gone", Duration::from_secs(10), || {
            links.is_gone()
        });
        // Control holds the sender.
        eventually("control is gone", Duration::from_secs(10), || {
            catalogs.has_changed().is_err()
        });
    }
}
