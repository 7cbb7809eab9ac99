//! A cluster in one process: controls, a network that can be cut link by link, a membership that knows
//! at once who runs, disks that survive.

mod port;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Addresses, Command, Outcome, TopicSettings};
use control::testing::MemoryDisk;
use control::{
    Control, ControlError, ControlOptions, Introduction, Liveliness, Newcomer, Role, Seams, Store,
    Timings,
};
use model::{Mode, NodeId, Site, Timestamp, TopicId};
use port::{Port, Shared};

pub(crate) struct World {
    shared: Arc<Shared>,
    pub(crate) nodes: BTreeMap<u16, Node>,
    pub(crate) timings: Timings,
    pub(crate) snapshot_after: Option<u64>,
}

pub(crate) struct Node {
    pub(crate) control: Option<Control>,
    pub(crate) disk: MemoryDisk,
    pub(crate) rack: Option<String>,
}

impl Node {
    pub(crate) fn on(disk: MemoryDisk) -> Self {
        Self {
            control: None,
            disk,
            rack: None,
        }
    }

    pub(crate) fn in_rack(rack: &str) -> Self {
        Self {
            rack: Some(rack.to_owned()),
            ..Self::on(MemoryDisk::new())
        }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_seed(1)
    }

    /// A world whose random numbers follow from `seed`.
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared::new(seed)),
            nodes: BTreeMap::new(),
            timings: Timings::product(),
            snapshot_after: None,
        }
    }

    /// A cluster of the nodes 1 to `count`; node 1 has founded it.
    pub(crate) async fn of(count: u16) -> Self {
        let mut world = Self::new();
        for id in 1..=count {
            world.start(id).await.unwrap();
        }
        world.settle(count.into()).await;
        world
    }

    /// Waits until as many vote as are to of so many nodes, and everybody agrees on that.
    pub(crate) async fn settle(&self, nodes: usize) {
        let wanted = model::limits::voters_among(nodes);
        self.until("the voters are chosen", 30, || {
            self.running().all(|control| {
                let status = control.status();
                status.settled && status.voters.len() == wanted
            })
        })
        .await;
        self.until_equal().await;
    }

    /// Starts a node: for the first time, or again on the disk that it had.
    pub(crate) async fn start(&mut self, id: u16) -> Result<(), ControlError> {
        let fresh = || Node::on(MemoryDisk::new());
        let store = self.nodes.entry(id).or_insert_with(fresh).disk.open();
        let control = self.open(id, store).await;
        self.shared.running.lock().insert(id, control.clone());
        let outcome = self.enter(id, &control).await;
        if outcome.is_err() {
            control.crash();
            self.shared.running.lock().remove(&id);
            return outcome;
        }
        self.note(id, true);
        self.nodes.get_mut(&id).unwrap().control = Some(control);
        Ok(())
    }

    /// Starts a node whose disk may fail on the way.
    pub(crate) async fn try_start(&mut self, id: u16) -> Result<(), String> {
        let store = self.nodes[&id].disk.open();
        let control = self.try_open(id, store).await?;
        self.shared.running.lock().insert(id, control.clone());
        let outcome = self.enter(id, &control).await;
        control.crash();
        self.shared.running.lock().remove(&id);
        outcome.map_err(|error| error.to_string())
    }

    /// Another process that says it is this node.
    pub(crate) async fn open_beside(&self, id: u16, store: Arc<dyn Store>) -> Control {
        self.open(id, store).await
    }

    /// Asks node `other` to register `control` as `id`.
    pub(crate) async fn register_from(
        &self,
        control: &Control,
        other: u16,
        id: u16,
    ) -> Result<(), ControlError> {
        let registration = control.registration(&self.introduction(id)).await?;
        let newcomer = Newcomer {
            claim: &control.claim(),
            is_named: true,
        };
        let joined = self.control(other).handle_join(&newcomer, registration);
        let outcome = match joined.await {
            Ok(outcome) => outcome?,
            Err(why) => return Err(ControlError::Unavailable(why.to_string())),
        };
        control.joined(&outcome).await
    }

    /// Opens a control that is not yet part of anything.
    pub(crate) async fn open(&self, id: u16, store: Arc<dyn Store>) -> Control {
        self.try_open(id, store).await.unwrap()
    }

    async fn try_open(&self, id: u16, store: Arc<dyn Store>) -> Result<Control, String> {
        let options = ControlOptions {
            store,
            timings: self.timings.clone(),
            snapshot_after: self.snapshot_after,
        };
        let port = Arc::new(Port::new(id, self.shared.clone()));
        let opened = Control::open(options, seams(&port)).await;
        let control = opened.map_err(|error| error.to_string())?;
        port.set_boot(control.boot());
        Ok(control)
    }

    /// Opens the control of a member; it takes part before it is registered.
    pub(crate) async fn open_member(&mut self, id: u16, store: Arc<dyn Store>) -> Control {
        let control = self.open(id, store).await;
        self.shared.running.lock().insert(id, control.clone());
        self.note(id, true);
        self.nodes.get_mut(&id).unwrap().control = Some(control.clone());
        control
    }

    /// Founds, joins or registers, as the node must.
    pub(crate) async fn enter(&self, id: u16, control: &Control) -> Result<(), ControlError> {
        let introduction = self.introduction(id);
        if control.identity().member.is_some() {
            return control.register(&introduction).await.map(drop);
        }
        let others = self.shared.running.lock().clone();
        let mut others = others
            .into_iter()
            .filter(|(other, control)| *other != id && control.identity().member.is_some());
        match others.next() {
            None => control.found(&introduction).await.map(drop),
            Some((other, _)) => self.register_from(control, other, id).await,
        }
    }

    pub(crate) fn introduction(&self, id: u16) -> Introduction {
        Introduction {
            id: Some(NodeId(id)),
            site: Site::EVERYWHERE,
            addresses: Addresses {
                peer: format!("10.0.0.{id}:7946"),
                http: format!("10.0.0.{id}:7070"),
            },
            rack: self.nodes.get(&id).and_then(|node| node.rack.clone()),
        }
    }

    /// The power of this node fails.
    pub(crate) fn kill(&mut self, id: u16) {
        let node = self.nodes.get_mut(&id).unwrap();
        if let Some(control) = node.control.take() {
            control.crash();
        }
        node.disk.crash(false);
        self.shared.running.lock().remove(&id);
        self.note(id, false);
    }

    /// Messages from one node to another are lost from now on, or arrive again.
    pub(crate) fn cut(&self, from: u16, to: u16, is_cut: bool) {
        let mut cut = self.shared.cut.lock();
        if is_cut {
            cut.insert((from, to));
        } else {
            cut.remove(&(from, to));
        }
    }

    /// Membership believes from now on that a node is up, or down.
    pub(crate) fn note(&self, id: u16, alive: bool) {
        let since = self.shared.now();
        let belief = Liveliness { alive, since };
        self.shared.members.lock().insert(NodeId(id), belief);
    }

    /// Membership knows nothing of a node, as if it had just begun.
    pub(crate) fn forget(&self, id: u16) {
        self.shared.members.lock().remove(&NodeId(id));
    }

    pub(crate) fn control(&self, id: u16) -> &Control {
        self.nodes[&id].control.as_ref().unwrap()
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Control> {
        self.nodes.values().filter_map(|node| node.control.as_ref())
    }

    /// How many messages arrived at each node.
    pub(crate) fn arrived(&self) -> BTreeMap<u16, u64> {
        self.shared.arrived.lock().clone()
    }

    /// How many messages arrived, and a hash of all.
    pub(crate) fn heard(&self) -> (u64, u64) {
        *self.shared.heard.lock()
    }

    /// Who leads, if exactly one of those that run believes that it does.
    pub(crate) fn leader(&self) -> Option<u16> {
        let leads = |node: &&Node| {
            let status = node.control.as_ref().map(Control::status);
            status.is_some_and(|status| status.role == Role::Leader && status.controller.is_some())
        };
        let mut leaders = self.nodes.iter().filter(|(_, node)| leads(node));
        let leader = leaders.next().map(|(id, _)| *id);
        leader.filter(|_| leaders.next().is_none())
    }

    pub(crate) async fn until_leader(&self, seconds: u64) -> u16 {
        self.until("somebody leads", seconds, || self.leader().is_some())
            .await;
        self.leader().unwrap()
    }

    /// Waits until all that run hold the same catalog at the same position.
    pub(crate) async fn until_equal(&self) {
        self.until("all hold the same", 30, || {
            let mut seen = self.running().map(|control| {
                let status = control.status();
                (status.applied, status.fingerprint)
            });
            let first = seen.next();
            first.is_some_and(|first| first.0.is_some() && seen.all(|other| other == first))
        })
        .await;
    }

    /// Waits, in simulated time, until `condition` holds.
    pub(crate) async fn until(&self, what: &str, seconds: u64, condition: impl Fn() -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
        while !condition() {
            if tokio::time::Instant::now() > deadline {
                let all: Vec<_> = self.running().map(Control::status).collect();
                panic!("{what}: not within {seconds} s\n{all:#?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn seams(port: &Arc<Port>) -> Seams {
    Seams {
        network: port.clone(),
        liveness: port.clone(),
        clock: port.clone(),
        entropy: port.clone(),
    }
}

/// A command that makes the topic `t<n>`.
pub(crate) fn topic(n: u32) -> Command {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    Command::CreateTopic {
        id: TopicId::from_bytes(id),
        name: format!("t{n}").parse().unwrap(),
        partitions: 3,
        replication_factor: 1,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
        created: Timestamp::from_millis(1).unwrap(),
        home: None,
    }
}

/// The first of the producer ids that were taken.
pub(crate) fn first_of(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::ProducerIds { first, .. } => *first,
        other => panic!("not producer ids: {other:?}"),
    }
}
