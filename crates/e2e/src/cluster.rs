//! Several nodes that are to be one cluster.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::member::Member;

/// How long a cluster may take to form.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Several nodes that are to be one cluster. The index of a member is its id.
#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    /// The nodes.
    pub members: Vec<Member>,
}

impl Cluster {
    /// Nodes of this machine that do not run yet, and are told nothing but their addresses.
    pub fn new(nodes: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let members = (0..nodes).map(|n| Member::new(&dir.path().join(format!("n{n}"))));
        let members = members.collect::<Result<_>>()?;
        Ok(Self { dir, members })
    }

    /// Nodes that were made by the caller.
    #[must_use]
    pub const fn of(dir: TempDir, members: Vec<Member>) -> Self {
        Self { dir, members }
    }

    /// Starts so many nodes that know all addresses; returns when they agree.
    pub async fn form(nodes: usize) -> Result<Self> {
        let mut cluster = Self::new(nodes)?;
        let peers = cluster.peers();
        for (id, member) in cluster.members.iter_mut().enumerate() {
            member.options(["--id", &id.to_string(), "--peers", &peers]);
        }
        cluster.start().await?;
        Ok(cluster)
    }

    /// Starts all; returns when they agree.
    pub async fn start(&mut self) -> Result<()> {
        for member in &mut self.members {
            member.start()?;
        }
        for member in &mut self.members {
            member.ready().await?;
        }
        self.settled().await
    }

    /// Waits until all agree and as many vote as are to: from then on a minority may die.
    pub async fn settled(&self) -> Result<()> {
        // An odd number votes, and at most five.
        let voters = match self.members.len() {
            0..3 => 1,
            3 | 4 => 3,
            _ => 5,
        };
        let started = Instant::now();
        loop {
            self.agreed(PATIENCE).await?;
            let mut all = true;
            for member in &self.members {
                all &= View::of(&member.status().await?)?.voters.len() == voters;
            }
            if all {
                return self.decide_something().await;
            }
            ensure!(started.elapsed() < PATIENCE, "{voters} are to vote");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gets two commands agreed on that change nothing. A change of the voters is seen when it begins; the
    /// first command comes behind its beginning, the second behind its end.
    async fn decide_something(&self) -> Result<()> {
        for _ in 0..2 {
            self.any()?.post("/admin/nodes/0/activate", None).await?;
        }
        Ok(())
    }

    /// The addresses of all for `--peers`.
    #[must_use]
    pub fn peers(&self) -> String {
        let peers: Vec<String> = self.members.iter().map(|m| m.peer().to_string()).collect();
        peers.join(",")
    }

    /// The URLs of all for `--server`.
    #[must_use]
    pub fn servers(&self) -> String {
        let urls: Vec<String> = self.members.iter().map(Member::url).collect();
        urls.join(",")
    }

    /// A path beside the nodes' directories.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where everything is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The node with this id.
    ///
    /// # Panics
    /// When there is none.
    #[expect(
        clippy::indexing_slicing,
        reason = "a test that asks for no node is wrong"
    )]
    pub fn node(&mut self, id: usize) -> &mut Member {
        &mut self.members[id]
    }

    /// A node that runs.
    pub fn any(&self) -> Result<&Member> {
        let mut running = self.members.iter().filter(|member| member.is_running());
        running.next().context("no node runs")
    }

    /// Waits until all that run see exactly each other, none of them fenced, and the same controller:
    /// its id.
    pub async fn agreed(&self, deadline: Duration) -> Result<usize> {
        let running = self.members.iter().enumerate();
        let running: BTreeSet<usize> = running
            .filter(|(_, member)| member.is_running())
            .map(|(id, _)| id)
            .collect();
        self.agreed_among(&running, deadline).await
    }

    /// The same for those that are named, whatever the others do.
    pub async fn agreed_among(&self, ids: &BTreeSet<usize>, deadline: Duration) -> Result<usize> {
        let started = Instant::now();
        loop {
            let why = match self.look(ids).await {
                Ok(controller) => return Ok(controller),
                Err(why) => why,
            };
            if started.elapsed() > deadline {
                let said: Vec<String> = self.members.iter().map(Member::said).collect();
                bail!(
                    "no agreement within {deadline:?}: {why:#}\n{}",
                    said.join("\n---\n")
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self, ids: &BTreeSet<usize>) -> Result<usize> {
        let mut controllers = BTreeSet::new();
        for id in ids {
            let member = self.members.get(*id).context("no such node")?;
            let status = member.status().await?;
            let view = View::of(&status)?;
            if view.alive != *ids {
                bail!("node {id} sees {:?} alive", view.alive);
            }
            if let Some(fenced) = view.fenced.intersection(ids).next() {
                bail!("node {id} sees {fenced} fenced");
            }
            controllers.insert(view.controller.context("no controller")?);
        }
        match controllers.iter().next() {
            Some(controller) if controllers.len() == 1 && ids.contains(controller) => {
                Ok(*controller)
            }
            _ => bail!("controllers {controllers:?}"),
        }
    }
}

/// The cluster as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Who decides.
    pub controller: Option<usize>,
    /// Who is believed to be alive.
    pub alive: BTreeSet<usize>,
    /// Who is said to be down by the catalog.
    pub fenced: BTreeSet<usize>,
    /// Who votes.
    pub voters: BTreeSet<usize>,
}

impl View {
    /// What an answer to `GET /status` says.
    pub fn of(status: &Value) -> Result<Self> {
        let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let nodes = status["nodes"].as_array().context("no nodes")?;
        let those = |wanted: &dyn Fn(&Value) -> bool| {
            let ids = nodes.iter().filter(|node| wanted(node));
            ids.filter_map(|node| number(&node["id"])).collect()
        };
        Ok(Self {
            controller: number(&status["controller"]),
            alive: those(&|node| node["liveness"] == "alive"),
            fenced: those(&|node| node["fenced"] == true),
            voters: those(&|node| node["role"] == "voter"),
        })
    }
}
