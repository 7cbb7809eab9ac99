//! What goes wrong, and what the operator does meanwhile.

mod disks;

use std::time::Duration;

use catalog::{Command, NodeState};
use control::{Control, Role};
use model::{Instant, NodeId};
use seglog::disk::sim::Rng;

use super::super::gossips::Process;
use super::super::links::Machine;
use super::disk::WholeDisk;
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
    next_weather: Instant,
    next_fault: Instant,
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
            next_weather: now,
            next_fault: now,
            rng,
        }
    }

    fn is_due(&mut self, next: fn(&mut Self) -> &mut Instant, now: Instant, millis: u64) -> bool {
        if *next(self) > now {
            return false;
        }
        let wait = Duration::from_millis(millis / 4 + self.rng.below(millis));
        *next(self) = now.after(wait);
        true
    }
}

impl World {
    /// Faults for a while.
    pub(super) async fn storm(&self, time: Duration) -> Result<(), Violation> {
        let mut storm = Storm::draw(self);
        let until = self.now().after(time);
        while self.now() < until {
            self.pass(Duration::from_millis(100)).await?;
            let now = self.now();
            if storm.is_due(|it| &mut it.next_weather, now, 8_000) && storm.weather {
                let mut state = self.lock();
                let what = state.links.worsen(&mut storm.rng);
                state.note(format_args!("network: {what}"));
            }
            if storm.is_due(|it| &mut it.next_fault, now, 2_500) {
                self.fault(&mut storm);
            }
        }
        Ok(())
    }

    fn fault(&self, storm: &mut Storm) {
        let machine = self.lock().victim(&mut storm.rng);
        let rng = &mut storm.rng;
        match rng.below(13) {
            0 | 1 if storm.kills => self.lock().kill_on(machine, rng.chance(50)),
            2 if storm.kills => self.power_cut(rng),
            3..6 => self.revive(machine),
            6 if storm.slow_disks => self.lock().slow_down(machine, rng),
            7 if storm.slow_disks => self.fail_disk(machine),
            8 if storm.lost_disks => self.lock().lose_disk(machine),
            9 if storm.copies => self.back_up_or_restore(machine, rng),
            10 if storm.operator => self.operate(machine, rng),
            11 if storm.operator => self.join_anew(machine, rng),
            12 if storm.kills => self.stop(machine),
            _ if storm.clocks => self.lock().jump(machine, rng),
            _ => {}
        }
    }

    /// The power fails everywhere at once, and is back.
    fn power_cut(&self, rng: &mut Rng) {
        let machines = self.lock().machines.len();
        self.lock().note(format_args!("power cut"));
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
        let world = self.clone();
        let stopping = async move {
            let Some((process, control)) = world.lock().begin_stop(machine) else {
                return;
            };
            control.hand_over(STOP_PATIENCE).await;
            world.lock().leave(process);
            world.ring();
            control.close().await;
            world.lock().kill(process, true);
            world.revive(machine);
        };
        drop(tokio::spawn(stopping));
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

    /// Writes fail, the machine is started anew, and the disk works again.
    fn fail_disk(&self, machine: Machine) {
        let mut state = self.lock();
        let Some(place) = state.machines.get_mut(machine) else {
            return;
        };
        place.disk.disk.fail("no answer");
        state.note(format_args!("the disk of machine {machine} fails"));
        drop(state);
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            world.lock().repair_disk(machine);
            world.revive(machine);
        });
    }

    /// A data directory is saved; or put back as it was then, when the node has been started since, and
    /// all know that.
    fn back_up_or_restore(&self, machine: Machine, rng: &mut Rng) {
        let restored = {
            let mut state = self.lock();
            let Some(backup) = state.backup_of(machine).filter(|_| rng.chance(60)) else {
                state.back_up(machine);
                return;
            };
            state.is_known_to_be_old(&backup) && state.put_back(machine, backup)
        };
        if restored {
            self.start(machine, false);
        }
    }

    /// A machine that nobody uses gets a new disk and joins.
    fn join_anew(&self, machine: Machine, rng: &mut Rng) {
        {
            let mut state = self.lock();
            let is_used = state.process_on(machine).is_some();
            let sync = state.sync;
            let Some(place) = state.machines.get_mut(machine) else {
                return;
            };
            let is_member = !place.disk.ancestors.is_empty() && !place.retired;
            if is_used || is_member {
                return;
            }
            place.disk = WholeDisk::new(sync);
            place.wanted = rng.chance(40).then(|| NodeId(rng.below(8) as u16));
        }
        self.start(machine, false);
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
            let world = self.clone();
            let asked = async move { world.ask(process, &control, command).await };
            drop(self.spawn(process, asked));
        }
    }
}

impl State {
    /// A machine; often that of whoever leads.
    fn victim(&self, rng: &mut Rng) -> Machine {
        let leads = |control: &Control| control.status().role == Role::Leader;
        let leader = self.serving().find(|(_, _, control)| leads(control));
        let leader = leader.and_then(|(id, _, _)| self.machine_of(id));
        let any = rng.below(self.machines.len() as u64) as Machine;
        leader.filter(|_| rng.chance(30)).unwrap_or(any)
    }

    fn begin_stop(&mut self, machine: Machine) -> Option<(Process, Control)> {
        let id = self.process_on(machine)?;
        let process = self.processes.get_mut(&id)?;
        process.stops = true;
        let control = process.control.clone()?;
        self.note(format_args!("process {id} is stopped"));
        Some((id, control))
    }

    fn leave(&mut self, process: Process) {
        let now = self.now();
        self.gossips.leave(now, process, &mut self.links);
    }

    pub(super) fn kill_on(&mut self, machine: Machine, keep_pending: bool) {
        if let Some(id) = self.process_on(machine) {
            self.kill(id, keep_pending);
        }
    }

    fn slow_down(&mut self, machine: Machine, rng: &mut Rng) {
        let millis = *rng.pick(&[1, 5, 50, 400, 3_000]).unwrap_or(&1);
        if let Some(place) = self.machines.get(machine) {
            place.disk.disk.set_sync_time(Duration::from_millis(millis));
        }
        self.note(format_args!(
            "a sync on machine {machine} takes {millis} ms"
        ));
    }

    fn jump(&mut self, machine: Machine, rng: &mut Rng) {
        let hours = rng.below(5).cast_signed() - 2;
        if let Some(place) = self.machines.get_mut(machine) {
            place.skew = hours * 3_600_000;
        }
        self.note(format_args!(
            "the clock of machine {machine} is {hours} hours off"
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

    fn forget_disk(&self, id: NodeId, lose_partitions: bool) -> Command {
        let node = self.watch.ledger.catalog().node(id);
        Command::ForgetDisk {
            id,
            incarnation: node.map(|node| node.incarnation).unwrap_or_default(),
            lose_partitions,
        }
    }
}
