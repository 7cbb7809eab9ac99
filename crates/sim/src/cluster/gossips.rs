//! The memberships of all processes, with one queue of what is on its way between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use model::{Instant, NodeId};
use peer::membership::{Input, Listed, MemberId, MemberRow, Output, Profile, Swim};
use seglog::disk::sim::Rng;

use super::clocks::Clocks;
use super::links::{Links, Machine};

/// A process, by the number of its start among all.
pub(super) type Process = u64;

/// How long a call waits for somebody who does not answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Datagrams that the system keeps for a process that does not read them.
const SOCKET_QUEUE: usize = 256;

/// The memberships of all processes.
#[derive(Debug)]
pub(super) struct Gossips {
    running: BTreeMap<Process, Gossiper>,
    queue: BTreeMap<(Instant, u64), Event>,
    queued: u64,
    calls: BTreeMap<u64, (Process, NodeId)>,
    rng: Rng,
    profile: Profile,
}

#[derive(Debug)]
struct Gossiper {
    machine: Machine,
    swim: Swim,
    /// By which the membership reads the time.
    clocks: Clocks,
    addresses: BTreeMap<NodeId, SocketAddr>,
    fenced_by: Option<MemberId>,
    /// When it is woken next; other wakings are of the past.
    wakes_at: Option<Instant>,
    /// What arrived while the process did not run.
    paused: Option<Vec<Input>>,
}

#[derive(Debug)]
enum Event {
    Wake(Process),
    Deliver(Machine, Input),
    Answer(Process, Input),
    /// A call without an answer is over.
    GiveUp(u64),
}

impl Gossips {
    pub(super) const fn new(seed: u64, profile: Profile) -> Self {
        Self {
            running: BTreeMap::new(),
            queue: BTreeMap::new(),
            queued: 0,
            calls: BTreeMap::new(),
            rng: Rng::new(seed),
            profile,
        }
    }

    /// A process begins to gossip.
    pub(super) fn start(
        &mut self,
        now: Instant,
        process: Process,
        (machine, clocks): (Machine, Clocks),
        me: MemberId,
    ) {
        let gossiper = Gossiper {
            machine,
            swim: Swim::new(clocks.shows(now), me, self.profile, self.rng.next()),
            clocks,
            addresses: BTreeMap::new(),
            fenced_by: None,
            wakes_at: None,
            paused: None,
        };
        self.running.insert(process, gossiper);
        self.wake(now, process);
    }

    /// A process tells the others that it ends.
    pub(super) fn leave(&mut self, now: Instant, process: Process, links: &mut Links) {
        self.input(now, process, Input::Leave, links);
    }

    /// A process has ended, without a word.
    pub(super) fn stop(&mut self, process: Process) {
        self.running.remove(&process);
    }

    /// The clocks of a process are off in another way.
    pub(super) fn set_clocks(&mut self, now: Instant, process: Process, clocks: Clocks) {
        if let Some(gossiper) = self.running.get_mut(&process) {
            gossiper.clocks = clocks;
        }
        self.wake(now, process);
    }

    /// A process does not run for a while.
    pub(super) fn pause(&mut self, process: Process) {
        if let Some(gossiper) = self.running.get_mut(&process) {
            gossiper.paused.get_or_insert_with(Vec::new);
        }
    }

    /// A process runs again, and reads what the system kept for it.
    pub(super) fn resume(&mut self, now: Instant, process: Process, links: &mut Links) {
        let gossiper = self.running.get_mut(&process);
        let waiting = gossiper.and_then(|gossiper| gossiper.paused.take());
        for input in waiting.into_iter().flatten() {
            self.input(now, process, input, links);
        }
        self.wake(now, process);
    }

    /// The nodes that a process may talk to, with their addresses.
    pub(super) fn set_roster(
        &mut self,
        now: Instant,
        process: Process,
        roster: &BTreeMap<NodeId, SocketAddr>,
        links: &mut Links,
    ) {
        if let Some(gossiper) = self.running.get_mut(&process) {
            gossiper.addresses = roster.clone();
        }
        let listed = roster.iter().map(|(id, address)| Listed {
            id: *id,
            address: Some(*address),
        });
        self.input(now, process, Input::Roster(listed.collect()), links);
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Lets everything happen that is due at `now`.
    pub(super) fn run(&mut self, now: Instant, links: &mut Links) {
        while let Some(first) = self.queue.first_entry()
            && first.key().0 <= now
        {
            let at = first.key().0;
            match first.remove() {
                Event::Wake(process) => self.on_wake(now, process, at, links),
                Event::Answer(process, input) => self.input(now, process, input, links),
                Event::Deliver(machine, input) => {
                    if let Some(process) = self.on(machine) {
                        self.input(now, process, input, links);
                    }
                }
                Event::GiveUp(call) => self.answer(now, call, None),
            }
        }
    }

    /// What a process sees; times are those of its own clock.
    pub(super) fn rows(&self, process: Process) -> Vec<MemberRow> {
        let gossiper = self.running.get(&process);
        gossiper
            .map(|gossiper| gossiper.swim.rows())
            .unwrap_or_default()
    }

    /// The process that took this one's place, if it has heard of one.
    pub(super) fn fenced_by(&self, process: Process) -> Option<MemberId> {
        self.running.get(&process)?.fenced_by
    }

    fn on(&self, machine: Machine) -> Option<Process> {
        let mut running = self.running.iter();
        let found = running.find(|(_, gossiper)| gossiper.machine == machine);
        found.map(|(process, _)| *process)
    }

    fn input(&mut self, now: Instant, process: Process, input: Input, links: &mut Links) {
        let Some(gossiper) = self.running.get_mut(&process) else {
            return;
        };
        if let Some(waiting) = &mut gossiper.paused {
            if !matches!(input, Input::Tick) && waiting.len() < SOCKET_QUEUE {
                waiting.push(input);
            }
            return;
        }
        gossiper.swim.handle(gossiper.clocks.shows(now), input);
        let machine = gossiper.machine;
        while let Some(output) = self.poll(process) {
            self.output(now, process, machine, output, links);
        }
        let gossiper = self.running.get(&process);
        let deadline = gossiper.and_then(|it| Some(it.clocks.when(it.swim.deadline()?)));
        if let Some(deadline) = deadline {
            self.wake(deadline.max(now), process);
        }
    }

    /// Wakes a process at this time, unless it is woken before anyway.
    fn wake(&mut self, at: Instant, process: Process) {
        let Some(gossiper) = self.running.get_mut(&process) else {
            return;
        };
        if gossiper.wakes_at.is_none_or(|wakes_at| at < wakes_at) {
            gossiper.wakes_at = Some(at);
            self.push(at, Event::Wake(process));
        }
    }

    fn on_wake(&mut self, now: Instant, process: Process, at: Instant, links: &mut Links) {
        let Some(gossiper) = self.running.get_mut(&process) else {
            return;
        };
        if gossiper.wakes_at == Some(at) {
            gossiper.wakes_at = None;
            self.input(now, process, Input::Tick, links);
        }
    }

    fn poll(&mut self, process: Process) -> Option<Output> {
        self.running.get_mut(&process)?.swim.poll()
    }

    fn output(
        &mut self,
        now: Instant,
        process: Process,
        from: Machine,
        output: Output,
        links: &mut Links,
    ) {
        match output {
            Output::Send {
                address, message, ..
            } => {
                let Some(to) = machine_at(address) else {
                    return;
                };
                for delay in links.datagram(from, to) {
                    let input = Input::Message(message.clone());
                    self.push(now.after(delay), Event::Deliver(to, input));
                }
            }
            Output::Exchange { with, body } => self.call(now, process, with, body, links),
            Output::Answer { ticket, body } => {
                let asker = self.calls.get(&ticket).map(|(asker, _)| *asker);
                let to = asker.and_then(|asker| self.running.get(&asker));
                let delay = to.and_then(|to| links.stream(from, to.machine));
                if let Some(delay) = delay {
                    self.answer(now.after(delay), ticket, body);
                }
            }
            Output::Fenced { by } => {
                if let Some(gossiper) = self.running.get_mut(&process) {
                    gossiper.fenced_by = Some(by);
                }
            }
            Output::Changed => {}
        }
    }

    fn call(
        &mut self,
        now: Instant,
        process: Process,
        with: NodeId,
        body: Bytes,
        links: &mut Links,
    ) {
        let Some(gossiper) = self.running.get(&process) else {
            return;
        };
        let to = gossiper.addresses.get(&with).copied().and_then(machine_at);
        let from = gossiper.machine;
        self.queued += 1;
        let call = self.queued;
        self.calls.insert(call, (process, with));
        self.push(now.after(CALL_TIMEOUT), Event::GiveUp(call));
        let to = to.filter(|to| links.are_joined(from, *to));
        let Some((to, delay)) = to.and_then(|to| Some((to, links.stream(from, to)?))) else {
            return;
        };
        let input = Input::Asked { ticket: call, body };
        self.push(now.after(delay), Event::Deliver(to, input));
    }

    fn answer(&mut self, at: Instant, call: u64, answer: Option<Bytes>) {
        if let Some((process, with)) = self.calls.remove(&call) {
            self.push(
                at,
                Event::Answer(process, Input::Exchanged { with, answer }),
            );
        }
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
    }
}

/// Where a machine is.
pub(super) fn address_of(machine: Machine) -> SocketAddr {
    let [.., high, low] = (machine as u64).to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 7946))
}

/// Who is at an address.
pub(super) fn machine_at(address: SocketAddr) -> Option<Machine> {
    match address.ip() {
        std::net::IpAddr::V4(ip) => {
            let [_, _, high, low] = ip.octets();
            Some(usize::from(u16::from_be_bytes([high, low])))
        }
        std::net::IpAddr::V6(_) => None,
    }
}
