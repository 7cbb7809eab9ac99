//! Memberships on a simulated network: one queue of events, time that jumps, everything from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use model::{BootId, Incarnation, Instant, NodeId};
use peer::membership::{Input, Listed, Liveness, MemberId, Output, Profile, Swim, SwimCounters};

/// Bytes that sealing adds to a message.
const SEALED: u64 = 71;
/// Datagrams that wait in the system for a process that does not run.
const SOCKET_QUEUE: usize = 256;
/// 10.0.0.1.
const FIRST_ADDRESS: u32 = 0x0A00_0001;
/// How long a call waits for somebody who does not answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// One process of a node.
pub(crate) type Process = usize;

/// Somebody saw a change of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) at: Instant,
    pub(crate) by: Process,
    pub(crate) of: NodeId,
    pub(crate) liveness: Liveness,
}

/// Bytes that left a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    pub(crate) call_bytes: u64,
}

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) sights: Vec<Sight>,
    processes: Vec<Simulated>,
    queue: BTreeMap<(Instant, u64), Event>,
    queued: u64,
    random: u64,
    profile: Profile,
    nodes: Vec<NodeId>,
    latency: (Duration, Duration),
    loss_permille: u64,
    cut: BTreeSet<(Process, Process)>,
    /// Processes whose datagrams are lost, both ways.
    datagrams_lost: BTreeSet<Process>,
    calls: BTreeMap<u64, (Process, NodeId)>,
}

struct Simulated {
    node: NodeId,
    swim: Swim,
    state: State,
    seen: BTreeMap<NodeId, Liveness>,
    fenced_by: Option<MemberId>,
    waiting: Vec<Input>,
    traffic: Traffic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Paused,
    Dead,
}

#[derive(Debug)]
enum Event {
    Wake(Process),
    Deliver(Process, Input),
    /// A call without an answer is over.
    GiveUp(u64),
}

impl Net {
    /// Nodes 0 to `nodes` − 1, each started once, all knowing the list of all.
    pub(crate) fn new(nodes: u16, profile: Profile, seed: u64) -> Self {
        let mut net = Self {
            now: Instant::from_nanos(1_000_000_000),
            sights: Vec::new(),
            processes: Vec::new(),
            queue: BTreeMap::new(),
            queued: 0,
            random: seed,
            profile,
            nodes: (0..nodes).map(NodeId).collect(),
            latency: (Duration::from_micros(200), Duration::from_millis(2)),
            loss_permille: 0,
            cut: BTreeSet::new(),
            datagrams_lost: BTreeSet::new(),
            calls: BTreeMap::new(),
        };
        for node in net.nodes.clone() {
            net.start(node, Incarnation(1));
        }
        net
    }

    /// Starts another process of a node.
    pub(crate) fn start(&mut self, node: NodeId, incarnation: Incarnation) -> Process {
        let process = self.processes.len();
        let seed = self.draw();
        let me = MemberId {
            node,
            incarnation,
            boot: BootId::from_bytes((process as u128 + 1).to_be_bytes()),
            renewals: 0,
            address: address(process),
        };
        self.processes.push(Simulated {
            node,
            swim: Swim::new(self.now, me, self.profile, seed),
            state: State::Running,
            seen: BTreeMap::new(),
            fenced_by: None,
            waiting: Vec::new(),
            traffic: Traffic::default(),
        });
        let roster = self.roster();
        self.input(process, Input::Roster(roster));
        process
    }

    /// Tells every process where every node is now.
    pub(crate) fn spread_roster(&mut self) {
        for process in 0..self.processes.len() {
            let roster = self.roster();
            self.input(process, Input::Roster(roster));
        }
    }

    pub(crate) fn set_nodes(&mut self, nodes: Vec<NodeId>) {
        self.nodes = nodes;
        self.spread_roster();
    }

    pub(crate) fn set_loss(&mut self, permille: u64) {
        self.loss_permille = permille;
    }

    pub(crate) fn kill(&mut self, process: Process) {
        self.processes[process].state = State::Dead;
        self.processes[process].waiting.clear();
    }

    pub(crate) fn leave(&mut self, process: Process) {
        self.input(process, Input::Leave);
        self.kill(process);
    }

    pub(crate) fn pause(&mut self, process: Process) {
        self.processes[process].state = State::Paused;
    }

    /// What waited in the system is read first, as a real process would.
    pub(crate) fn resume(&mut self, process: Process) {
        self.processes[process].state = State::Running;
        for input in std::mem::take(&mut self.processes[process].waiting) {
            self.input(process, input);
        }
        self.input(process, Input::Tick);
    }

    /// Nothing passes from `from` to `to` any more.
    pub(crate) fn cut(&mut self, from: Process, to: Process) {
        self.cut.insert((from, to));
    }

    /// Nothing passes between processes of different groups.
    pub(crate) fn partition(&mut self, groups: &[&[Process]]) {
        let all = groups.iter().flat_map(|group| group.iter());
        for (a, b) in all.clone().flat_map(|a| all.clone().map(move |b| (*a, *b))) {
            let together = groups.iter().any(|g| g.contains(&a) && g.contains(&b));
            if !together {
                self.cut(a, b);
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.datagrams_lost.clear();
    }

    /// No datagram from or to this process arrives any more; calls do.
    pub(crate) fn lose_datagrams_of(&mut self, process: Process) {
        self.datagrams_lost.insert(process);
    }

    pub(crate) fn ask(&mut self, process: Process, input: Input) {
        self.input(process, input);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some((at, _)) = self
            .queue
            .keys()
            .next()
            .copied()
            .filter(|(at, _)| *at <= until)
        {
            self.step(at);
        }
        self.now = until;
    }

    /// Runs until `condition` holds: how long it took.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        longest: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> Duration {
        let started = self.now;
        while !condition(self) {
            let next = self.queue.keys().next().map(|(at, _)| *at);
            let at = next.unwrap_or_else(|| panic!("{what}: nothing more happens"));
            let late = at.since(started) > longest;
            assert!(!late, "{what}: not within {longest:?}\n{}", self.picture());
            self.step(at);
        }
        self.now.since(started)
    }

    pub(crate) fn liveness(&self, by: Process, of: NodeId) -> Liveness {
        let known = self.processes[by].seen.get(&of);
        known.copied().unwrap_or(Liveness::NeverSeen)
    }

    pub(crate) fn running(&self) -> Vec<Process> {
        let is_running = |p: &Process| self.processes[*p].state == State::Running;
        (0..self.processes.len()).filter(is_running).collect()
    }

    /// Whether every running process sees every running node alive.
    pub(crate) fn all_see_all(&self) -> bool {
        let running = self.running();
        running.iter().all(|by| {
            running
                .iter()
                .all(|of| self.liveness(*by, self.processes[*of].node) == Liveness::Alive)
        })
    }

    /// Whether every running process sees this of a node.
    pub(crate) fn all_see(&self, of: NodeId, liveness: Liveness) -> bool {
        self.running()
            .iter()
            .all(|by| self.liveness(*by, of) == liveness)
    }

    /// Times that somebody declared a node down since `since`, except of the nodes in `dead` and by the
    /// processes in `blind`.
    pub(crate) fn false_downs(
        &self,
        since: Instant,
        dead: &[NodeId],
        blind: &[Process],
    ) -> Vec<Sight> {
        let is_false = |sight: &&Sight| {
            sight.at >= since
                && sight.liveness == Liveness::Down
                && !dead.contains(&sight.of)
                && !blind.contains(&sight.by)
        };
        self.sights.iter().filter(is_false).copied().collect()
    }

    pub(crate) fn swim(&self, process: Process) -> &Swim {
        &self.processes[process].swim
    }

    pub(crate) fn fenced_by(&self, process: Process) -> Option<MemberId> {
        self.processes[process].fenced_by
    }

    pub(crate) fn traffic(&self, process: Process) -> Traffic {
        self.processes[process].traffic
    }

    pub(crate) fn counters(&self, process: Process) -> SwimCounters {
        self.processes[process].swim.counters()
    }

    /// Everything that was seen, a line each.
    pub(crate) fn trace(&self) -> String {
        let line = |s: &Sight| {
            format!(
                "{} {} {} {}\n",
                s.at.as_nanos(),
                s.by,
                s.of,
                s.liveness.as_str()
            )
        };
        self.sights.iter().map(line).collect()
    }

    fn picture(&self) -> String {
        let rows = self.processes.iter().enumerate().map(|(number, process)| {
            let sees: Vec<&str> = process.seen.values().map(|l| l.as_str()).collect();
            format!(
                "{number} {:?} {} {sees:?} {:?}\n",
                process.state,
                process.swim.me().renewals,
                process.swim.counters()
            )
        });
        rows.collect()
    }

    /// Where the latest process of each node is.
    fn roster(&self) -> Vec<Listed> {
        let latest = |node: &NodeId| {
            self.processes
                .iter()
                .enumerate()
                .filter(|(_, process)| process.node == *node)
                .max_by_key(|(_, process)| process.swim.me().incarnation)
                .map(|(number, _)| address(number))
        };
        self.nodes
            .iter()
            .map(|node| Listed {
                id: *node,
                // Those that are started next find their place in the list already.
                address: latest(node).or_else(|| Some(address(usize::from(node.0)))),
            })
            .collect()
    }

    fn step(&mut self, at: Instant) {
        self.now = self.now.max(at);
        let Some((_, event)) = self.queue.pop_first() else {
            return;
        };
        match event {
            Event::Wake(process) => {
                let due = self.processes[process].swim.deadline();
                let is_running = self.processes[process].state == State::Running;
                if is_running && due.is_some_and(|due| due <= self.now) {
                    self.input(process, Input::Tick);
                }
            }
            Event::Deliver(process, input) => self.input(process, input),
            Event::GiveUp(call) => {
                if let Some((from, with)) = self.calls.remove(&call) {
                    self.input(from, Input::Exchanged { with, answer: None });
                }
            }
        }
    }

    fn input(&mut self, process: Process, input: Input) {
        let simulated = &mut self.processes[process];
        match simulated.state {
            State::Dead => return,
            State::Paused => {
                if simulated.waiting.len() < SOCKET_QUEUE && matches!(input, Input::Message(_)) {
                    simulated.waiting.push(input);
                }
                return;
            }
            State::Running => {}
        }
        simulated.swim.handle(self.now, input);
        while let Some(output) = self.processes[process].swim.poll() {
            self.output(process, output);
        }
        if let Some(deadline) = self.processes[process].swim.deadline() {
            self.push(deadline.max(self.now), Event::Wake(process));
        }
    }

    fn output(&mut self, process: Process, output: Output) {
        match output {
            Output::Send {
                address, message, ..
            } => self.send(process, address, message),
            Output::Exchange { with, body } => self.call(process, with, body),
            Output::Answer { ticket, body } => self.answer(process, ticket, body),
            Output::Changed => self.look(process),
            Output::Fenced { by } => self.processes[process].fenced_by = Some(by),
        }
    }

    fn send(&mut self, from: Process, to: SocketAddr, message: Bytes) {
        let traffic = &mut self.processes[from].traffic;
        traffic.datagrams += 1;
        traffic.bytes += message.len() as u64 + SEALED;
        assert!(
            message.len() as u64 + SEALED <= 1400,
            "too long: {}",
            message.len()
        );
        let Some(to) = process_at(to).filter(|to| *to < self.processes.len()) else {
            return;
        };
        let is_lost = self.draw() % 1000 < self.loss_permille
            || self.cut.contains(&(from, to))
            || self.datagrams_lost.contains(&from)
            || self.datagrams_lost.contains(&to);
        if !is_lost {
            let at = self.now.after(self.one_way());
            self.push(at, Event::Deliver(to, Input::Message(message)));
        }
    }

    fn call(&mut self, from: Process, with: NodeId, body: Bytes) {
        self.processes[from].traffic.call_bytes += body.len() as u64;
        self.queued += 1;
        let call = self.queued;
        self.calls.insert(call, (from, with));
        let at = self.now.after(CALL_TIMEOUT);
        self.push(at, Event::GiveUp(call));
        let to = (0..self.processes.len())
            .rev()
            .find(|p| self.processes[*p].node == with);
        let reachable =
            |to: &Process| !self.cut.contains(&(from, *to)) && !self.cut.contains(&(*to, from));
        if let Some(to) = to.filter(reachable) {
            let at = self.now.after(self.one_way());
            self.push(at, Event::Deliver(to, Input::Asked { ticket: call, body }));
        }
    }

    fn answer(&mut self, from: Process, call: u64, body: Option<Bytes>) {
        if let Some((to, with)) = self.calls.remove(&call) {
            let length = body.as_ref().map_or(0, Bytes::len) as u64;
            self.processes[from].traffic.call_bytes += length;
            let at = self.now.after(self.one_way());
            self.push(
                at,
                Event::Deliver(to, Input::Exchanged { with, answer: body }),
            );
        }
    }

    fn look(&mut self, by: Process) {
        for row in self.processes[by].swim.rows() {
            let before = self.processes[by].seen.insert(row.id, row.liveness);
            if before != Some(row.liveness) {
                let (at, of, liveness) = (self.now, row.id, row.liveness);
                self.sights.push(Sight {
                    at,
                    by,
                    of,
                    liveness,
                });
            }
        }
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
    }

    fn one_way(&mut self) -> Duration {
        let (least, most) = self.latency;
        let span = (most - least).as_nanos() as u64;
        least + Duration::from_nanos(self.draw() % span.max(1))
    }

    fn draw(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }
}

/// Where the process of this number is.
pub(crate) fn address(process: Process) -> SocketAddr {
    let number = u32::try_from(process).unwrap() + FIRST_ADDRESS;
    SocketAddr::from((number.to_be_bytes(), 7946))
}

fn process_at(address: SocketAddr) -> Option<Process> {
    let IpAddr::V4(ip) = address.ip() else {
        return None;
    };
    usize::try_from(u32::from(ip).checked_sub(FIRST_ADDRESS)?).ok()
}
