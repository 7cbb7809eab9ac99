//! What goes wrong, and what the operator does meanwhile.

mod disks;
mod time;

use std::time::Duration;

use catalog::{Command, NodeState, RaftId};
use control::Control;
use model::NodeId;
use seglog::disk::sim::Rng;

use super::super::due::Due;
use super::super::gossips::Process;
use super::super::links::Machine;
use super::faults::Fault;
use super::world::{State, World};
use crate::Violation;

/// How long a process that stops waits for another one to lead.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Which faults a seed knows, so that rare mixes are met, and when the next ones come.
pub(super) struct Storm {
    weather: bool,
    kills: bool,
    slow_disks: bool,
    lost_disks: bool,
    copies: bool,
    operator: bool,
    clocks: bool,
    pauses: bool,
    next_weather: Due,
    next_fault: Due,
    rng: Rng,
}

impl Storm {
    pub(super) fn draw(world: &World) -> Self {
        let now = world.now();
        let mut rng = Rng::new(world.lock().rng.next());
        Self {
            weather: rng.chance(75),
            kills: rng.chance(75),
            slow_disks: rng.chance(40),
            lost_disks: rng.chance(50),
            copies: rng.chance(50),
            operator: rng.chance(60),
            clocks: rng.chance(30),
            pauses: rng.chance(60),
            next_weather: Due::now(now),
            next_fault: Due::now(now),
            rng,
        }
    }
}

impl World {
    /// Faults for a while.
    pub(super) async fn storm(&self, time: Duration) -> Result<(), Violation> {
        let mut storm = Storm::draw(self);
        if storm.copies {
            self.lock().back_up_all();
        }
        let until = self.now().after(time);
        while self.now() < until {
            self.pass(Duration::from_millis(100)).await?;
            let now = self.now();
            if storm.next_weather.comes(now, 8_000, &mut storm.rng) && storm.weather {
                self.lock().worsen(&mut storm.rng);
            }
            if storm.next_fault.comes(now, 1_500, &mut storm.rng) {
                self.fault(&mut storm);
            }
        }
        Ok(())
    }

    fn fault(&self, storm: &mut Storm) {
        let machine = self.lock().victim(&mut storm.rng);
        let rng = &mut storm.rng;
        match rng.below(20) {
            0 | 1 if storm.kills => self.lock().kill_on(machine, rng.chance(50)),
            2 if storm.kills => self.power_cut(rng),
            3..6 => self.revive(machine),
            6 if storm.slow_disks => self.lock().slow_down(machine, rng),
            7 if storm.slow_disks => self.fail_disk(machine),
            8 if storm.lost_disks => self.lock().lose_disk(machine),
            9 | 10 if storm.copies => self.back_up_or_restore(machine, rng),
            11 | 12 if storm.operator => self.operate(machine, rng),
            13 | 14 if storm.operator => self.join_anew(rng),
            15 if storm.kills => self.stop(machine),
            16..19 if storm.pauses => self.pause_a_while(machine, rng),
            19 if storm.clocks => self.jump(machine, rng),
            _ => {}
        }
    }

    /// The power fails everywhere at once, and is back.
    fn power_cut(&self, rng: &mut Rng) {
        let machines = self.lock().machines.len();
        {
            let mut state = self.lock();
            state.report.faults.note(Fault::PowerCut);
            state.note(format_args!("power cut"));
        }
        for machine in 0..machines {
            let was_there = self.lock().process_on(machine).is_some();
            self.lock().kill_on(machine, rng.chance(50));
            if was_there {
                self.start(machine, false);
            }
        }
    }

    /// A process is stopped in good order, as a person does before an upgrade, and starts again.
    fn stop(&self, machine: Machine) {
        let Some((process, control)) = self.lock().begin_stop(machine) else {
            return;
        };
        let pause = self.lock().pause_of(process);
        let world = self.clone();
        let stopping = async move {
            control.hand_over(STOP_PATIENCE).await;
            world.lock().leave(process);
            world.ring();
            control.close().await;
            world.lock().kill(process, true);
            world.revive(machine);
        };
        drop(tokio::spawn(pause.hold(stopping)));
    }

    pub(super) fn revive(&self, machine: Machine) {
        let may_start = {
            let state = self.lock();
            let is_free = state.process_on(machine).is_none();
            is_free
                && state
                    .machines
                    .get(machine)
                    .is_some_and(|machine| !machine.retired)
        };
        if may_start {
            self.start(machine, false);
        }
    }

    /// What a person does: nodes leave, are drained, or get another disk.
    fn operate(&self, machine: Machine, rng: &mut Rng) {
        let command = self.lock().order(machine, rng);
        let who = self
            .lock()
            .serving()
            .next()
            .map(|(id, _, control)| (id, control.clone()));
        if let (Some(command), Some((process, control))) = (command, who) {
            self.lock().note_order(&command);
            let world = self.clone();
            let asked = async move { world.ask(process, &control, command).await };
            drop(self.spawn(process, asked));
        }
    }
}

impl State {
    /// A machine; often that of whoever leads, and more often one in use than not.
    fn victim(&self, rng: &mut Rng) -> Machine {
        let leader = self.leading_machine();
        let used: Vec<Machine> = self.processes.values().map(|it| it.machine).collect();
        let any = rng.below(self.machines.len() as u64) as Machine;
        let used = rng.pick(&used).copied().filter(|_| rng.chance(50));
        leader.filter(|_| rng.chance(25)).or(used).unwrap_or(any)
    }

    fn worsen(&mut self, rng: &mut Rng) {
        let one = self.victim(rng);
        let weather = self.links.worsen(one, rng);
        if let Some(fault) = Fault::of_weather(&weather, self.leading_machine()) {
            self.report.faults.note(fault);
        }
        self.note(format_args!("network: {weather:?}"));
    }

    fn begin_stop(&mut self, machine: Machine) -> Option<(Process, Control)> {
        let id = self.process_on(machine)?;
        let process = self.processes.get_mut(&id)?;
        process.stops = true;
        let control = process.control.clone()?;
        self.report.faults.note(Fault::Stopped);
        self.note(format_args!("process {id} is stopped"));
        Some((id, control))
    }

    fn leave(&mut self, process: Process) {
        let now = self.now();
        self.gossips.leave(now, process, &mut self.links);
    }

    pub(super) fn kill_on(&mut self, machine: Machine, keep_pending: bool) {
        if let Some(id) = self.process_on(machine) {
            self.report.faults.note(Fault::Killed);
            self.kill(id, keep_pending);
        }
    }

    fn slow_down(&mut self, machine: Machine, rng: &mut Rng) {
        let millis = *rng.pick(&[1, 5, 50, 400, 3_000]).unwrap_or(&1);
        if let Some(place) = self.machines.get(machine) {
            place.disk.disk.set_sync_time(Duration::from_millis(millis));
        }
        self.report.faults.note(Fault::SlowDisk);
        self.note(format_args!(
            "a sync on machine {machine} takes {millis} ms"
        ));
    }

    fn order(&mut self, machine: Machine, rng: &mut Rng) -> Option<Command> {
        let lose_partitions = rng.chance(70);
        let Some(raft_id) = self.node_on(machine) else {
            let id = self.machines.get(machine)?.wanted?;
            return Some(self.forget_disk(id, lose_partitions));
        };
        let id = raft_id.node();
        let state = if rng.chance(50) {
            NodeState::Draining
        } else {
            NodeState::Active
        };
        Some(match rng.below(4) {
            0 if self.can_do_without(machine) => Command::RemoveNode {
                id,
                lose_partitions,
            },
            1 if self.can_do_without(machine) => self.forget_disk(id, lose_partitions),
            _ => Command::SetNodeState { id, state },
        })
    }

    fn note_order(&mut self, order: &Command) {
        let fault = match order {
            Command::RemoveNode { .. } => Fault::Removed,
            Command::ForgetDisk { .. } => Fault::GivenUp,
            Command::SetNodeState {
                state: NodeState::Draining,
                ..
            } => Fault::Drained,
            _ => return,
        };
        self.report.faults.note(fault);
        self.given_up.extend(self.given_up_by(order));
    }

    /// An order was refused, and never has an effect.
    pub(super) fn note_refused(&mut self, order: &Command) {
        if let Some(node) = self.given_up_by(order) {
            self.given_up.remove(&node);
        }
    }

    /// Whose vote is lost by this order.
    fn given_up_by(&self, order: &Command) -> Option<RaftId> {
        let (Command::RemoveNode { id, .. } | Command::ForgetDisk { id, .. }) = order else {
            return None;
        };
        let node = self.watch.ledger.catalog().node(*id);
        node.map(|node| node.raft_id())
    }

    fn forget_disk(&self, id: NodeId, lose_partitions: bool) -> Command {
        let node = self.watch.ledger.catalog().node(id);
        Command::ForgetDisk {
            id,
            incarnation: node.map(|node| node.incarnation).unwrap_or_default(),
            lose_partitions,
        }
    }
}
