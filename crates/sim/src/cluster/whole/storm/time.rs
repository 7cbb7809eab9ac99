//! Processes that get no time for a while, and clocks that jump.

use std::time::Duration;

use seglog::disk::sim::Rng;

use super::super::super::gossips::Process;
use super::super::super::links::Machine;
use super::super::faults::Fault;
use super::super::world::{State, World};

/// Without a sign of life for so long a controller is replaced.
const REPLACED: Duration = Duration::from_secs(3);

impl World {
    /// A process gets no time for 0.1 to 30 seconds; seldom for so long.
    pub(super) fn pause_a_while(&self, machine: Machine, rng: &mut Rng) {
        let most = *rng.pick(&[500, 2_000, 8_000, 30_000]).unwrap_or(&500);
        let time = Duration::from_millis(100 + rng.below(most - 100));
        let Some(process) = self.lock().pause(machine, time) else {
            return;
        };
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            world.resume(process);
        });
    }

    /// A process goes on where it was stopped, and reads what has waited for it.
    pub(in super::super) fn resume(&self, process: Process) {
        self.lock().resume(process);
        self.ring();
    }

    pub(in super::super) fn resume_on(&self, machine: Machine) {
        let process = self.lock().process_on(machine);
        if let Some(process) = process {
            self.resume(process);
        }
    }

    /// One of the two clocks of a machine is another one at once.
    pub(super) fn jump(&self, machine: Machine, rng: &mut Rng) {
        if rng.chance(50) {
            self.lock().jump_civil(machine, rng);
        } else {
            self.lock().leap(machine, rng);
            self.ring();
        }
    }
}

impl State {
    /// Stops the process on a machine, until somebody lets it go on.
    pub(in super::super) fn pause(&mut self, machine: Machine, time: Duration) -> Option<Process> {
        let leads = self.leading_machine() == Some(machine);
        let id = self.process_on(machine)?;
        let process = self.processes.get(&id)?;
        if process.pause.is_on() {
            return None;
        }
        process.pause();
        self.gossips.pause(id);
        self.report.faults.note(Fault::Paused);
        if leads && time >= REPLACED {
            self.report.faults.note(Fault::ControllerPaused);
        }
        self.note(format_args!("process {id} gets no time for {time:?}"));
        Some(id)
    }

    fn resume(&mut self, id: Process) {
        let process = self.processes.get(&id);
        let Some(process) = process.filter(|process| process.pause.is_on()) else {
            return;
        };
        process.resume();
        let now = self.now();
        self.gossips.resume(now, id, &mut self.links);
        self.watch.note_resumed(id);
        self.note(format_args!("process {id} goes on"));
    }

    fn jump_civil(&mut self, machine: Machine, rng: &mut Rng) {
        let hours = rng.below(5).cast_signed() - 2;
        if let Some(place) = self.machines.get_mut(machine) {
            place.clocks.set_civil(hours * 3_600_000);
        }
        self.report.faults.note(Fault::CivilJump);
        self.note(format_args!(
            "the civil clock of machine {machine} is {hours} hours off"
        ));
    }

    fn leap(&mut self, machine: Machine, rng: &mut Rng) {
        let ahead = Duration::from_millis(100 + rng.below(20_000));
        let Some(place) = self.machines.get_mut(machine) else {
            return;
        };
        place.clocks.leap(ahead);
        let (clocks, now) = (place.clocks, self.now());
        let Some(id) = self.process_on(machine) else {
            return;
        };
        self.gossips.set_clocks(now, id, clocks);
        self.report.faults.note(Fault::Leap);
        self.note(format_args!("the clock of process {id} leaps {ahead:?}"));
    }
}
