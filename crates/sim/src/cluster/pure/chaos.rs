//! What goes wrong, and what clients and operators do meanwhile.

use std::time::Duration;

use catalog::{Command, NodeState};
use model::NodeId;
use seglog::disk::sim::Rng;

use super::super::due::Due;
use super::super::gossips::Process;
use super::super::links::Machine;
use super::process::Disk;
use super::world::{World, storage};
use crate::Violation;

/// Which faults a seed knows, so that rare mixes are met, and when the next ones come.
struct Storm {
    weather: bool,
    kills: bool,
    pauses: bool,
    disks: bool,
    copies: bool,
    operator: bool,
    next_weather: Due,
    next_fault: Due,
    next_command: Due,
    rng: Rng,
}

impl Storm {
    fn draw(world: &mut World) -> Self {
        let mut rng = Rng::new(world.rng.next());
        Self {
            weather: rng.chance(75),
            kills: rng.chance(75),
            pauses: rng.chance(50),
            disks: rng.chance(50),
            copies: rng.chance(50),
            operator: rng.chance(60),
            next_weather: Due::now(world.now),
            next_fault: Due::now(world.now),
            next_command: Due::now(world.now),
            rng,
        }
    }
}

impl World {
    /// Faults for a while.
    pub(super) fn storm(&mut self, time: Duration) -> Result<(), Violation> {
        let mut storm = Storm::draw(self);
        self.run(time, |world| world.storm_once(&mut storm))
    }

    fn storm_once(&mut self, storm: &mut Storm) -> Result<(), Violation> {
        let now = self.now;
        if storm.next_weather.comes(now, 8_000, &mut storm.rng) && storm.weather {
            let one = self.any_machine(&mut storm.rng);
            let weather = self.links.worsen(one, &mut storm.rng);
            self.note(format_args!("network: {weather:?}"));
        }
        if storm.next_fault.comes(now, 1_500, &mut storm.rng) {
            self.fault(storm)?;
        }
        if storm.next_command.comes(now, 300, &mut storm.rng) {
            self.one_command()?;
        }
        Ok(())
    }

    /// Somebody asks some process for something.
    pub(super) fn one_command(&mut self) -> Result<(), Violation> {
        let ids: Vec<_> = self.processes.keys().copied().collect();
        let Some(id) = self.rng.pick(&ids).copied() else {
            return Ok(());
        };
        let Some(process) = self.processes.get(&id).filter(|it| it.serves.is_some()) else {
            return Ok(());
        };
        let command = self.whims.command(&process.catalog);
        self.propose(id, &command).map(drop)
    }

    fn fault(&mut self, storm: &mut Storm) -> Result<(), Violation> {
        let machine = self.any_machine(&mut storm.rng);
        match storm.rng.below(11) {
            0 | 1 if storm.kills => self.kill_on(machine),
            2 | 3 => self.revive(machine),
            4 if storm.pauses => self.pause_or_resume(machine),
            5 if storm.disks => self.lose_disk(machine),
            6 if storm.copies => self.copy_disk(machine, &mut storm.rng),
            7 if storm.copies => self.back_up_or_restore(machine, &mut storm.rng),
            8 if storm.operator => return self.operate(machine, &mut storm.rng),
            9 => self.join_anew(machine),
            10 if storm.copies && storm.pauses => self.replace_paused(machine, &mut storm.rng),
            _ => {}
        }
        Ok(())
    }

    fn any_machine(&self, rng: &mut Rng) -> Machine {
        rng.below(self.machines.len() as u64) as Machine
    }

    fn kill_on(&mut self, machine: Machine) {
        if let Some(id) = self.process_on(machine) {
            self.kill(id);
        }
    }

    fn revive(&mut self, machine: Machine) {
        if self.process_on(machine).is_none() && !self.machines[machine].retired {
            self.start(machine);
        }
    }

    fn pause_or_resume(&mut self, machine: Machine) {
        let Some(id) = self.process_on(machine) else {
            return;
        };
        let paused = self.processes.get_mut(&id).map(|process| {
            process.paused = !process.paused;
            process.paused
        });
        if paused == Some(true) {
            self.gossips.pause(id);
        } else {
            self.gossips.resume(self.now, id, &mut self.links);
        }
        self.note(format_args!("process {id} paused: {paused:?}"));
    }

    /// A disk is lost, and the next process finds an empty one. Never so many that no majority of the
    /// voters is left.
    fn lose_disk(&mut self, machine: Machine) {
        let member = self.machines[machine].disk.member;
        if member.is_some_and(|raft_id| !self.can_do_without(raft_id)) {
            return;
        }
        self.kill_on(machine);
        let wanted = member.map(catalog::RaftId::node);
        self.machines[machine].wanted = wanted.or(self.machines[machine].wanted);
        self.machines[machine].disk = self.new_disk();
        self.note(format_args!("the disk of machine {machine} is lost"));
    }

    /// Whether the other voters whose disks are there are a majority.
    fn can_do_without(&self, raft_id: catalog::RaftId) -> bool {
        let voters = &self.agreement.voters;
        let there = |voter: &&catalog::RaftId| {
            let mut disks = self
                .machines
                .iter()
                .filter(|it| !it.retired)
                .map(|it| &it.disk);
            **voter != raft_id
                && disks.any(|disk| disk.member == Some(**voter) && self.counts(disk))
        };
        voters.iter().filter(there).count() * 2 > voters.len()
    }

    /// Whether the last process of its node was on this disk, and it has everything.
    fn counts(&self, disk: &Disk) -> bool {
        let node = self.ledger.catalog().node_of_storage(disk.storage);
        !disk.lacks && node.is_some_and(|node| disk.ancestors.contains(&node.boot))
    }

    fn new_disk(&mut self) -> Disk {
        Disk::empty(storage(1_000_000 + self.rng.below(1 << 40)))
    }

    /// A data directory is copied to a machine that nobody uses, and started there.
    fn copy_disk(&mut self, from: Machine, rng: &mut Rng) {
        let to = self.any_machine(rng);
        let is_member = self.machines[from].disk.member.is_some();
        if from == to || !is_member || !self.is_unused(to) {
            return;
        }
        self.machines[to].disk = self.machines[from].disk.clone();
        self.machines[to].disk.lacks = true;
        self.machines[to].retired = false;
        self.note(format_args!(
            "machine {to} has a copy of the disk of {from}"
        ));
        self.start(to);
    }

    /// A process gets no time, a person takes it for dead and starts its node elsewhere from a copy, and then
    /// it goes on.
    fn replace_paused(&mut self, machine: Machine, rng: &mut Rng) {
        let serves = |id: &Process| self.processes.get(id).is_some_and(|it| it.serves.is_some());
        let Some(id) = self.process_on(machine).filter(serves) else {
            return;
        };
        if self.is_running(id) {
            self.pause_or_resume(machine);
        }
        self.copy_disk(machine, rng);
    }

    /// Whether a machine has no node, or one that does not come back like this.
    fn is_unused(&self, machine: Machine) -> bool {
        let place = &self.machines[machine];
        self.process_on(machine).is_none() && (place.disk.member.is_none() || place.retired)
    }

    /// A data directory is saved, or put back as it was then.
    fn back_up_or_restore(&mut self, machine: Machine, rng: &mut Rng) {
        let place = &mut self.machines[machine];
        let member = place.disk.member;
        let Some(mut backup) = place.backup.clone().filter(|_| rng.chance(50)) else {
            place.backup = Some(place.disk.clone());
            return;
        };
        if member.is_some_and(|raft_id| !self.can_do_without(raft_id)) {
            return;
        }
        self.kill_on(machine);
        backup.lacks = true;
        self.machines[machine].disk = backup;
        self.machines[machine].retired = false;
        self.note(format_args!("machine {machine} has its old disk again"));
        self.start(machine);
    }

    /// A machine that nobody uses gets a new disk and joins under whatever id, or under one of another.
    fn join_anew(&mut self, machine: Machine) {
        if !self.is_unused(machine) {
            return;
        }
        let disk = self.new_disk();
        let id = self.rng.below(24);
        let place = &mut self.machines[machine];
        place.disk = disk;
        place.retired = false;
        place.wanted = (id < 8).then_some(NodeId(id as u16));
        self.start(machine);
    }

    /// What a person does: nodes leave, are drained, or get another disk.
    fn operate(&mut self, machine: Machine, rng: &mut Rng) -> Result<(), Violation> {
        let Some(raft_id) = self.machines[machine].disk.member else {
            return self.replace_disk(machine);
        };
        let id = raft_id.node();
        let state = if rng.chance(50) {
            NodeState::Draining
        } else {
            NodeState::Active
        };
        let lose_partitions = rng.chance(50);
        let command = match rng.below(4) {
            0 if self.can_do_without(raft_id) => Command::RemoveNode {
                id,
                lose_partitions,
            },
            1 => self.forget_disk(id, lose_partitions),
            _ => Command::SetNodeState { id, state },
        };
        self.command_of_operator(&command)
    }

    fn replace_disk(&mut self, machine: Machine) -> Result<(), Violation> {
        let Some(id) = self.machines[machine].wanted else {
            return Ok(());
        };
        self.command_of_operator(&self.forget_disk(id, true))
    }

    fn forget_disk(&self, id: NodeId, lose_partitions: bool) -> Command {
        let node = self.ledger.catalog().node(id);
        Command::ForgetDisk {
            id,
            incarnation: node.map(|node| node.incarnation).unwrap_or_default(),
            lose_partitions,
        }
    }

    pub(super) fn command_of_operator(&mut self, command: &Command) -> Result<(), Violation> {
        match self.agreement.leader {
            Some(leader) => self.propose(leader, command).map(drop),
            None => Ok(()),
        }
    }
}
