//! Memberships on a simulated network: one queue of events, time that jumps, everything from a seed.

// Also read from an example, which is elsewhere.
#[path = "net/wire.rs"]
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{BootId, Incarnation, Instant, NodeId};
use peer::membership::{Input, Listed, Liveness, MemberId, Profile, Swim, SwimCounters};

use self::wire::{Event, address};

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
    pub(crate) seed: u64,
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

impl Net {
    /// Nodes 0 to `nodes` − 1, each started once, all knowing the list of all.
    pub(crate) fn new(nodes: u16, profile: Profile, seed: u64) -> Self {
        let mut net = Self {
            seed,
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

    /// That [`Self::false_downs`] are none.
    pub(crate) fn assert_no_false_downs(&self, since: Instant, dead: &[u16], blind: &[Process]) {
        let dead: Vec<NodeId> = dead.iter().copied().map(NodeId).collect();
        let found = self.false_downs(since, &dead, blind);
        assert_eq!(found, [], "seed {}", self.seed);
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
}
