//! What happens on it: events in the order of their times, and what they make processes do.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use model::{Instant, NodeId};
use peer::membership::{Input, Output};

use super::{Net, Process, Sight, State};

/// Bytes that sealing adds to a message.
const SEALED: u64 = 71;
/// Datagrams that wait in the system for a process that does not run.
const SOCKET_QUEUE: usize = 256;
/// 10.0.0.1.
const FIRST_ADDRESS: u32 = 0x0A00_0001;
/// How long a call waits for somebody who does not answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) enum Event {
    Wake(Process),
    Deliver(Process, Input),
    /// A call without an answer is over.
    GiveUp(u64),
}

impl Net {
    pub(super) fn step(&mut self, at: Instant) {
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

    pub(super) fn input(&mut self, process: Process, input: Input) {
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

    pub(super) fn draw(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }
}

/// Where the process of this number is.
pub(super) fn address(process: Process) -> SocketAddr {
    let number = u32::try_from(process).unwrap() + FIRST_ADDRESS;
    SocketAddr::from((number.to_be_bytes(), 7946))
}

fn process_at(address: SocketAddr) -> Option<Process> {
    let IpAddr::V4(ip) = address.ip() else {
        return None;
    };
    usize::try_from(u32::from(ip).checked_sub(FIRST_ADDRESS)?).ok()
}
