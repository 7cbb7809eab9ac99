//! The nodes of one cluster.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use door_http::dto::ClusterAnswer;
use model::limits::voters_among;

use crate::bench::child::Node;
use crate::exit::{Failure, Outcome, While as _};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The nodes of one cluster; the index of each is its id.
#[derive(Debug)]
pub(super) struct Nodes {
    places: Vec<Place>,
    running: Vec<Option<Node>>,
}

/// What a node keeps over its restarts.
#[derive(Debug)]
struct Place {
    data: PathBuf,
    http: SocketAddr,
    options: Vec<String>,
}

impl Nodes {
    /// Starts so many processes, and waits for none of them.
    pub(super) fn start(dir: &Path, count: u16) -> Outcome<Self> {
        let ports = free_ports(2 * usize::from(count))?;
        let (https, peers) = ports.split_at(usize::from(count));
        let everyone: Vec<String> = peers.iter().map(ToString::to_string).collect();
        let everyone = everyone.join(",");
        let places = https.iter().zip(peers).zip(0_u16..);
        let places: Vec<Place> = places
            .map(|((http, peer), id)| Place {
                data: dir.join(id.to_string()),
                http: *http,
                options: vec![
                    format!("--id={id}"),
                    format!("--peer-address={peer}"),
                    format!("--peers={everyone}"),
                ],
            })
            .collect();
        let running = places.iter().map(|place| place.start().map(Some));
        Ok(Self {
            running: running.collect::<Outcome<_>>()?,
            places,
        })
    }

    pub(super) const fn count(&self) -> usize {
        self.places.len()
    }

    /// Those that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Node> + Clone {
        self.running.iter().flatten()
    }

    /// The one with this index among those that run, going round.
    #[expect(
        clippy::unwrap_used,
        reason = "of a cluster that is measured at most one node is dead"
    )]
    pub(super) fn nth(&self, n: usize) -> &Node {
        self.running().cycle().nth(n).unwrap()
    }

    /// One that runs.
    pub(super) fn any(&self) -> &Node {
        self.nth(0)
    }

    /// One that is not the controller, if there is such a one.
    pub(super) async fn follower(&self) -> Outcome<&Node> {
        Ok(self.nth((self.agree().await? + 1) % self.count()))
    }

    pub(super) fn kill(&mut self, id: usize) -> Outcome {
        let running = self.running.get_mut(id).and_then(Option::take);
        running.map_or(Ok(()), Node::kill)
    }

    /// Starts a node that was killed; returns when all are as before.
    pub(super) async fn start_again(&mut self, id: usize) -> Outcome {
        if let (Some(running), Some(place)) = (self.running.get_mut(id), self.places.get(id)) {
            running.insert(place.start()?).ready().await?;
        }
        self.agree().await.map(drop)
    }

    /// Waits until every node sees every node, and one controller: its id.
    pub(super) async fn agree(&self) -> Outcome<usize> {
        let mut controller = None;
        self.until("the nodes do not agree", |view| {
            let all_live = view
                .nodes
                .iter()
                .all(|node| node.liveness == "alive" && !node.fenced);
            let first = *controller.get_or_insert(view.controller);
            let agreed = view.controller.is_some() && view.controller == first;
            if !agreed {
                controller = None;
            }
            agreed && all_live && view.nodes.len() == self.places.len()
        })
        .await?;
        let known = controller.flatten().map(usize::from);
        known.ok_or_else(|| Failure::failed("there is no controller"))
    }

    /// Waits until the voters are chosen.
    pub(super) async fn settle(&self) -> Outcome {
        let voters = voters_among(self.count());
        self.until("the voters are not chosen", |view| {
            view.nodes
                .iter()
                .filter(|node| node.role == "voter")
                .count()
                == voters
        })
        .await
    }

    /// Waits until all that run see this one down.
    pub(super) async fn see_down(&self, id: usize) -> Outcome {
        self.until("not all see the death of a node", |view| {
            let mut those = view.nodes.iter().filter(|node| usize::from(node.id) == id);
            those.all(|node| node.liveness == "down")
        })
        .await
    }

    /// Waits until all that run have a controller that is not this one.
    pub(super) async fn have_another(&self, than: usize) -> Outcome {
        self.until("there is no other controller", |view| {
            let controller = view.controller.map(usize::from);
            controller.is_some_and(|controller| controller != than)
        })
        .await
    }

    /// Waits until this holds for the views of all that run, one after the other.
    async fn until(&self, what: &str, mut holds: impl FnMut(&ClusterAnswer) -> bool) -> Outcome {
        let started = Instant::now();
        'look: loop {
            if started.elapsed() > PATIENCE {
                return Err(Failure::failed(what));
            }
            for node in self.running() {
                let holds = node
                    .status()
                    .await
                    .is_ok_and(|status| holds(&status.cluster));
                if !holds {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue 'look;
                }
            }
            return Ok(());
        }
    }
}

impl Place {
    fn start(&self) -> Outcome<Node> {
        Node::spawn(&self.data, self.http, &self.options)
    }
}

/// Addresses of this machine that nobody has, for TCP and UDP.
fn free_ports(count: usize) -> Outcome<Vec<SocketAddr>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).while_doing("find a port")?;
        let address = listener.local_addr().while_doing("find a port")?;
        // All are held until all are found.
        if let Ok(socket) = UdpSocket::bind(address) {
            taken.push((address, listener, socket));
        }
    }
    Ok(taken.into_iter().map(|(address, ..)| address).collect())
}
