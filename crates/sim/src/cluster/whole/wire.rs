//! The way of control's messages from process to process, and what must hold when they are answered.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use catalog::RaftId;
use control::{BoxFuture, Control, Network, NetworkError};
use model::{BootId, Instant};
use tokio::time::{sleep, timeout};

use super::super::check::{M5, M6};
use super::super::gossips::{Process, machine_at};
use super::super::links::Machine;
use super::bytes::{Asked, asked, says_yes};
use super::disk::Record;
use super::faults::Fault;
use super::process::End;
use super::world::{State, World};
use crate::Violation;
use crate::check::ensure;

/// Requests that the system keeps for a process that gets no time.
const WAITING_MAX: usize = 32;

/// A process's way to the others.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) world: World,
    pub(super) process: Process,
}

impl Network for Wire {
    fn call(
        &self,
        to: RaftId,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, NetworkError>> {
        let (world, from) = (self.world.clone(), self.process);
        Box::pin(async move {
            world.lock().on_send(from, &request);
            // What was sent is on its way, whatever becomes of the sender meanwhile.
            let call = tokio::spawn(timeout(deadline, carry(world, from, to, request)));
            match call.await {
                Ok(Ok(answer)) => answer,
                _ => Err(NetworkError::TimedOut),
            }
        })
    }
}

/// Where a call goes: a process that is there and may be talked to.
struct Route {
    machine: Machine,
    process: Process,
    control: Control,
    /// The one who calls, as the consensus knows it.
    caller: RaftId,
    /// The start of it that calls.
    boot: BootId,
}

async fn carry(
    world: World,
    from: Process,
    to: RaftId,
    request: Bytes,
) -> Result<Bytes, NetworkError> {
    let here = world
        .lock()
        .machine_of(from)
        .ok_or_else(|| unreachable("ended"))?;
    let machines = world.lock().machines_of(from, to);
    let asked = world.now();
    let mut failure = Some(unreachable("its address is not known"));
    for machine in machines {
        // A way that is cut costs the whole time, so it is taken when there is no other.
        let Some(delay) = way(&world, here, machine) else {
            failure = None;
            continue;
        };
        sleep(delay).await;
        if !world.lock().has_room(machine) {
            return lost().await;
        }
        // What has arrived is worked on even if nobody waits for the answer any more.
        let arrived = tokio::spawn(arrive(world.clone(), from, machine, to, request.clone()));
        match arrived.await.map_err(|_| NetworkError::TimedOut)? {
            Ok(answer) => {
                let answer = bring_back(&world, machine, here, answer).await?;
                world
                    .lock()
                    .on_brought_back((from, to), asked, &request, &answer);
                return Ok(answer);
            }
            Err(refusal @ NetworkError::Unreachable(_)) => failure = failure.and(Some(refusal)),
            Err(error) => return Err(error),
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None => lost().await,
    }
}

/// The process on a machine takes a request, as soon as it gets time, and answers.
async fn arrive(
    world: World,
    from: Process,
    machine: Machine,
    to: RaftId,
    request: Bytes,
) -> Result<Bytes, NetworkError> {
    let receiver = world.lock().process_on(machine);
    if let Some(receiver) = receiver {
        world.wait_for(receiver).await;
    }
    let route = world.lock().route(from, machine, to)?;
    if receiver != Some(route.process) {
        return Err(unreachable("it has ended meanwhile"));
    }
    world.lock().on_request(from, route.process, &request);
    let (process, there) = (route.process, world.clone());
    let handling = world.spawn(process, async move {
        let control = &route.control;
        let answer = control.handle(route.caller, route.boot, request.clone());
        let answer = answer.await;
        there.lock().on_answer(&route, to, &request, &answer);
        answer
    });
    // It ends with the process.
    handling.await.map_err(|_| NetworkError::TimedOut)
}

async fn bring_back(
    world: &World,
    from: Machine,
    to: Machine,
    answer: Bytes,
) -> Result<Bytes, NetworkError> {
    let Some(delay) = way(world, from, to) else {
        return lost().await;
    };
    sleep(delay).await;
    Ok(answer)
}

/// How long a message takes, if there is a way.
pub(super) fn way(world: &World, from: Machine, to: Machine) -> Option<Duration> {
    if from == to {
        return Some(Duration::ZERO);
    }
    world.lock().links.stream(from, to)
}

async fn lost<T>() -> T {
    std::future::pending().await
}

fn unreachable(why: impl ToString) -> NetworkError {
    NetworkError::Unreachable(why.to_string())
}

impl World {
    /// Waits until a process gets time.
    async fn wait_for(&self, process: Process) {
        let pause = self.lock().pause_of(process);
        if pause.is_on() {
            self.lock().note_waiting(process, 1);
            pause.over().await;
            self.lock().note_waiting(process, -1);
        }
    }
}

impl State {
    /// Whether a request that arrives finds room to wait.
    fn has_room(&mut self, machine: Machine) -> bool {
        let process = self.process_on(machine);
        let process = process.and_then(|id| self.processes.get(&id));
        let has_room = process.is_none_or(|process| process.waiting < WAITING_MAX);
        if !has_room {
            self.report.faults.note(Fault::NoRoomToWait);
        }
        has_room
    }

    fn note_waiting(&mut self, process: Process, more: isize) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.waiting = process.waiting.saturating_add_signed(more);
        }
        if more > 0 {
            self.report.faults.note(Fault::ArrivedLate);
        }
    }

    /// Where the process of a node may be, as in the assembly of a node: first where the catalog of the
    /// caller has it, then where one that says so has started last.
    fn machines_of(&self, from: Process, to: RaftId) -> Vec<Machine> {
        let is_named = |control: &Control| control.identity().node() == Some(to.node());
        let hint = self
            .processes
            .values()
            .rev()
            .find(|process| process.control.as_ref().is_some_and(is_named));
        let caller = self
            .processes
            .get(&from)
            .and_then(|process| process.control.as_ref());
        let catalog = caller.map(Control::view);
        let known = catalog.as_ref().and_then(|catalog| catalog.node(to.node()));
        let address = known.and_then(|node| node.addresses.peer.parse::<SocketAddr>().ok());
        let mut machines: Vec<Machine> = address.and_then(machine_at).into_iter().collect();
        machines.extend(hint.map(|process| process.machine));
        machines.dedup();
        machines
    }

    /// The handshake: each side asks its catalog, and who answers must be who was asked.
    fn route(
        &mut self,
        from: Process,
        machine: Machine,
        to: RaftId,
    ) -> Result<Route, NetworkError> {
        let there = self
            .processes
            .iter()
            .find(|(_, process)| process.machine == machine);
        let (process, there) = there.ok_or_else(|| unreachable("nobody is there"))?;
        let process = *process;
        let control = there
            .control
            .clone()
            .ok_or_else(|| unreachable("not open yet"))?;
        let caller = self
            .processes
            .get(&from)
            .and_then(|process| process.control.clone());
        let caller = caller.ok_or_else(|| unreachable("ended"))?;
        caller.view().admit(&control.claim()).map_err(unreachable)?;
        if let Err(refusal) = control.view().admit(&caller.claim()) {
            self.end_soon(from, End::Refused(refusal.to_string()));
            return Err(unreachable(refusal));
        }
        let member = caller
            .identity()
            .member
            .ok_or_else(|| unreachable("no member"))?;
        let named = control.identity().member.map(|member| member.raft_id);
        if named != Some(to) {
            return Err(unreachable("another disk"));
        }
        Ok(Route {
            machine,
            process,
            control,
            caller: member.raft_id,
            boot: caller.boot(),
        })
    }

    fn on_send(&mut self, from: Process, request: &[u8]) {
        if let Asked::Transfer { vote, to } = asked(request) {
            self.on_transfer(from, vote, RaftId(to));
        }
    }

    fn on_request(&mut self, from: Process, by: Process, request: &[u8]) {
        if let Asked::Transfer { vote, .. } = asked(request) {
            self.watch.note_transfer_heard(vote, by);
        }
        self.note_message(from, by, request);
    }

    fn on_brought_back(
        &mut self,
        way: (Process, RaftId),
        at: Instant,
        request: &[u8],
        answer: &[u8],
    ) {
        if let Asked::Append { vote, last } = asked(request)
            && says_yes(answer)
        {
            self.watch.note_taken(way, vote, last, at);
        }
    }

    fn on_answer(&mut self, route: &Route, to: RaftId, request: &[u8], answer: &[u8]) {
        let Some(machine) = self.machines.get(route.machine) else {
            return;
        };
        let kept = m5_kept_before_answered(&machine.disk.record.lock(), request, answer);
        let named = route.control.identity().member.map(|member| member.raft_id);
        let right = ensure(named == Some(to), M6, || {
            format!("{to:?} was asked, and {named:?} answers")
        });
        let process = route.process;
        self.note_message(process, process, answer);
        self.hold(
            kept.and(right)
                .map_err(|it| it.at(format!("process {process}"))),
        );
    }
}

/// M5: what was promised is on the disk.
fn m5_kept_before_answered(
    record: &Record,
    request: &[u8],
    answer: &[u8],
) -> Result<(), Violation> {
    if !says_yes(answer) {
        return Ok(());
    }
    let (vote, last) = match asked(request) {
        Asked::Append { vote, last } => (vote, last),
        Asked::Vote(vote) => (vote, None),
        Asked::Transfer { .. } | Asked::Other => return Ok(()),
    };
    let kept = record.vote.map(|(term, node, _)| (term, node));
    ensure(kept >= Some((vote.0, vote.1)), M5, || {
        format!("said yes to {vote:?}, and the disk has {kept:?}")
    })?;
    let is_kept = last.is_none_or(|last| record.reaches(last));
    ensure(is_kept, M5, || {
        format!("took entries up to {last:?}, and they are not on the disk")
    })
}
