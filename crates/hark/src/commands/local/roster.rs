//! Which nodes a local cluster has, and which processes run them.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::NodeId;
use serde::{Deserialize, Serialize};

use super::process::{Process, Signal};
use crate::exit::{Exit, Failure, Outcome, While as _};

/// The file in the cluster's directory.
const FILE: &str = "local.json";
/// Nodes of a cluster that does not say.
const NODES_DEFAULT: u16 = 3;
/// More would not run well on one machine.
const NODES_MAX: u16 = 64;
/// HTTP port of the first node when nobody says.
const BASE_PORT_DEFAULT: u16 = 7070;
/// From a node's HTTP port to its port for other nodes: 7070 and 7946.
const PEER_PORT_STEP: u16 = 876;

/// The nodes of a local cluster, as its file has them.
#[derive(Debug)]
pub(super) struct Roster {
    dir: PathBuf,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    nodes: Vec<LocalNode>,
    /// Options for `hark serve` of every node.
    serve: Vec<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalNode {
    id: u16,
    /// Where clients reach it.
    pub(super) http: SocketAddr,
    /// Where other nodes do.
    pub(super) peer: SocketAddr,
    /// Its data directory, within that of the cluster.
    pub(super) data: PathBuf,
    /// Who runs it.
    process: Option<Process>,
}

impl Roster {
    /// The cluster in this directory.
    pub(super) fn open(dir: &Path) -> Outcome<Self> {
        Self::read(dir)?.ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                format!(
                    "there is no local cluster in {}; start one with `hark local up`, or name another --dir",
                    dir.display()
                ),
            )
        })
    }

    /// The cluster in this directory, or a new one. What is there already cannot be given another shape.
    pub(super) fn open_or_make(
        dir: &Path,
        nodes: Option<u16>,
        base_port: Option<u16>,
        serve: Vec<String>,
    ) -> Outcome<Self> {
        if let Some(mut roster) = Self::read(dir)? {
            roster.check_same(nodes, base_port)?;
            if !serve.is_empty() {
                roster.content.serve = serve;
            }
            return Ok(roster);
        }
        let nodes = nodes.unwrap_or(NODES_DEFAULT);
        let content = Content {
            nodes: layout(nodes, base_port.unwrap_or(BASE_PORT_DEFAULT))?,
            serve,
        };
        fs::create_dir_all(dir).while_doing(format_args!("make {}", dir.display()))?;
        let dir = std::path::absolute(dir).while_doing("find the directory")?;
        let roster = Self { dir, content };
        roster.write()?;
        Ok(roster)
    }

    /// All nodes, by id.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &LocalNode> {
        self.content.nodes.iter()
    }

    /// One node.
    pub(super) fn node(&self, id: NodeId) -> Outcome<&LocalNode> {
        self.nodes()
            .find(|node| node.id() == id)
            .ok_or_else(|| self.unknown(id))
    }

    /// What a node has said outside of its log: why it did not start, for example.
    pub(super) fn says(&self, node: &LocalNode) -> PathBuf {
        self.dir.join(format!("{}.out", node.data.display()))
    }

    /// The directory of a node.
    pub(super) fn data(&self, node: &LocalNode) -> PathBuf {
        self.dir.join(&node.data)
    }

    /// Starts one node, and remembers its process.
    pub(super) fn start(&mut self, id: NodeId) -> Outcome {
        let node = self.node(id)?;
        let process = Process::start(&self.arguments(node), &self.says(node))?;
        self.set_process(id, Some(process))
    }

    /// A node has ended.
    pub(super) fn forget_process(&mut self, id: NodeId) -> Outcome {
        self.set_process(id, None)
    }

    /// Removes what the nodes wrote, and the file that names them: nothing else that may lie there.
    pub(super) fn wipe(self) -> Outcome {
        for node in self.nodes() {
            absent_is_fine(fs::remove_dir_all(self.data(node)))?;
            absent_is_fine(fs::remove_file(self.says(node)))?;
        }
        absent_is_fine(fs::remove_file(self.dir.join(FILE)))?;
        // Only if nothing else is in it.
        drop(fs::remove_dir(&self.dir));
        Ok(())
    }

    fn read(dir: &Path) -> Outcome<Option<Self>> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error).while_doing(format_args!("read {}", path.display()))?,
        };
        let content = serde_json::from_str(&text)
            .map_err(|error| Failure::config(format!("{}: {error}", path.display())))?;
        let dir = std::path::absolute(dir).while_doing("find the directory")?;
        Ok(Some(Self { dir, content }))
    }

    /// The file is complete or as it was.
    fn write(&self) -> Outcome {
        let text = serde_json::to_string_pretty(&self.content).while_doing("write JSON")?;
        let (path, draft) = (self.dir.join(FILE), self.dir.join("local.json.new"));
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &path))
            .while_doing(format_args!("write {}", path.display()))
    }

    fn set_process(&mut self, id: NodeId, process: Option<Process>) -> Outcome {
        let unknown = self.unknown(id);
        let node = self.content.nodes.iter_mut().find(|node| node.id() == id);
        node.ok_or(unknown)?.process = process;
        self.write()
    }

    fn unknown(&self, id: NodeId) -> Failure {
        let known: Vec<String> = self.nodes().map(|node| node.id.to_string()).collect();
        Failure::new(
            Exit::NotFound,
            format!(
                "the local cluster has no node {id}; it has {}",
                known.join(", ")
            ),
        )
    }

    fn check_same(&self, nodes: Option<u16>, base_port: Option<u16>) -> Outcome {
        let count = self.content.nodes.len();
        let base = self.nodes().next().map(|node| node.http.port());
        let other_count = nodes.is_some_and(|nodes| usize::from(nodes) != count);
        let other_port = base_port.is_some() && base_port != base;
        if other_count || other_port {
            return Err(Failure::new(
                Exit::Refused,
                format!(
                    "{} holds a cluster of {count} nodes from port {} on; use another --dir, or remove it with `hark local down --wipe --yes`",
                    self.dir.display(),
                    base.unwrap_or_default()
                ),
            ));
        }
        Ok(())
    }

    fn arguments(&self, node: &LocalNode) -> Vec<String> {
        let peers: Vec<String> = self.nodes().map(|node| node.peer.to_string()).collect();
        let mut arguments: Vec<String> = [
            ("--data", self.data(node).display().to_string()),
            ("--id", format!("0d{}", node.id)),
            ("--http", node.http.to_string()),
            ("--peer-address", node.peer.to_string()),
            ("--peers", peers.join(",")),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        arguments.insert(0, "serve".to_owned());
        arguments.extend(self.content.serve.iter().cloned());
        arguments
    }
}

impl LocalNode {
    /// Its number.
    pub(super) const fn id(&self) -> NodeId {
        NodeId(self.id)
    }

    /// The number of its process, while that runs.
    pub(super) fn pid(&self) -> Option<i32> {
        let process = self.process.as_ref()?;
        process.is_running().then(|| process.pid())
    }

    /// Whether its process is there.
    pub(super) fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_running)
    }

    /// Tells its process.
    pub(super) fn signal(&self, signal: Signal) -> Outcome {
        self.process.as_ref().map_or(Ok(()), |it| it.signal(signal))
    }

    /// Waits for the end of its process; false when the time was not enough.
    pub(super) fn ended_within(&self, patience: Duration) -> bool {
        self.process
            .as_ref()
            .is_none_or(|process| process.ended_within(patience))
    }
}

/// Nodes with ids from 0 and ports side by side, all on this machine.
fn layout(nodes: u16, base_port: u16) -> Outcome<Vec<LocalNode>> {
    if !(1..=NODES_MAX).contains(&nodes) {
        return Err(Failure::usage(format!(
            "--nodes {nodes}: a local cluster has 1 to {NODES_MAX}"
        )));
    }
    let highest = base_port.checked_add(PEER_PORT_STEP + nodes);
    if base_port == 0 || highest.is_none() || nodes > PEER_PORT_STEP {
        return Err(Failure::usage(format!(
            "--base-port {base_port}: {nodes} nodes need the ports from there on, and those {PEER_PORT_STEP} above"
        )));
    }
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let node = |id: u16| LocalNode {
        id,
        http: local(base_port + id),
        peer: local(base_port + PEER_PORT_STEP + id),
        data: PathBuf::from(format!("node-{id}")),
        process: None,
    };
    Ok((0..nodes).map(node).collect())
}

fn absent_is_fine(done: io::Result<()>) -> Outcome {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).while_doing("remove the local cluster")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_side_by_side() {
        let nodes = layout(3, 7070).unwrap();
        assert_eq!(nodes[2].http.to_string(), "127.0.0.1:7072");
        assert_eq!(nodes[0].peer.to_string(), "127.0.0.1:7946");
        for (nodes, port) in [(0, 7070), (65, 7070), (3, 0), (3, 65_000)] {
            assert_eq!(layout(nodes, port).unwrap_err().exit, Exit::Usage);
        }
    }

    #[test]
    fn a_cluster_keeps_its_shape() {
        let dir = tempfile::tempdir().unwrap();
        let make = |nodes, port| Roster::open_or_make(dir.path(), nodes, port, Vec::new());
        assert_eq!(Roster::open(dir.path()).unwrap_err().exit, Exit::NotFound);
        let made = make(Some(2), Some(9000)).unwrap();
        let again = make(None, None).unwrap();
        assert_eq!(made.content, again.content);
        assert_eq!(make(Some(3), None).unwrap_err().exit, Exit::Refused);
        assert_eq!(make(None, Some(9001)).unwrap_err().exit, Exit::Refused);
        assert_eq!(made.node(NodeId(7)).unwrap_err().exit, Exit::NotFound);
    }

    #[test]
    fn a_wipe_leaves_what_is_not_the_clusters() {
        let dir = tempfile::tempdir().unwrap();
        let roster = Roster::open_or_make(dir.path(), Some(1), None, Vec::new()).unwrap();
        fs::create_dir(dir.path().join("node-0")).unwrap();
        fs::write(dir.path().join("mine"), "x").unwrap();
        roster.wipe().unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}
