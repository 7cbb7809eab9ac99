//! Disks that are lost, repaired or put back, and how many the cluster can do without.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::RaftId;
use control::Control;
use model::NodeId;
use seglog::disk::sim::Rng;

use super::super::super::links::Machine;
use super::super::bytes::Payload;
use super::super::disk::WholeDisk;
use super::super::faults::Fault;
use super::super::world::{State, World};

impl World {
    /// Writes fail, the machine is started anew, and the disk works again.
    pub(super) fn fail_disk(&self, machine: Machine) {
        let mut state = self.lock();
        let Some(place) = state.machines.get_mut(machine) else {
            return;
        };
        place.disk.disk.fail("no answer");
        state.report.faults.note(Fault::FailedDisk);
        state.note(format_args!("the disk of machine {machine} fails"));
        drop(state);
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            world.lock().repair_disk(machine);
            world.revive(machine);
        });
    }

    /// A data directory is saved; or one is put back as it was then, whose node has been started since, and
    /// all know that.
    pub(super) fn back_up_or_restore(&self, machine: Machine, rng: &mut Rng) {
        let old = self.lock().old_backup().filter(|_| rng.chance(60));
        let Some((machine, backup)) = old else {
            self.lock().back_up(machine);
            return;
        };
        if self.lock().put_back(machine, backup) {
            self.start(machine, false);
        }
    }

    /// A machine that nobody uses gets a new disk and joins.
    pub(super) fn join_anew(&self, rng: &mut Rng) {
        let unused = self.lock().unused();
        let Some(machine) = rng.pick(&unused).copied() else {
            return;
        };
        self.lock().empty(machine, rng);
        self.start(machine, false);
    }
}

impl State {
    /// The disk keeps what it has and works again.
    fn repair_disk(&mut self, machine: Machine) {
        self.kill_on(machine, false);
        let sync = self.sync;
        if let Some(place) = self.machines.get_mut(machine) {
            place.disk = place.disk.copy(sync);
        }
    }

    /// A disk is lost, and the next process finds an empty one. Never so many that no majority is left.
    pub(super) fn lose_disk(&mut self, machine: Machine) {
        let Some(place) = self.machines.get(machine) else {
            return;
        };
        if place.disk.ancestors.is_empty() || !self.can_do_without(machine) {
            return;
        }
        let (node, sync) = (self.node_on(machine), self.sync);
        self.kill_on(machine, false);
        if let Some(place) = self.machines.get_mut(machine) {
            place.wanted = node.map(RaftId::node).or(place.wanted);
            place.disk = WholeDisk::new(sync);
        }
        self.report.faults.note(Fault::LostDisk);
        self.note(format_args!("the disk of machine {machine} is lost"));
    }

    /// A backup that is known to be old, and whose machine can be done without.
    fn old_backup(&self) -> Option<(Machine, WholeDisk)> {
        let machines = self.machines.iter().enumerate();
        let mut backups = machines.filter_map(|(machine, it)| Some((machine, it.backup.as_ref()?)));
        let found = backups.find(|(machine, it)| {
            self.is_known_to_be_old(*machine, it) && self.can_do_without(*machine)
        });
        found.map(|(machine, backup)| (machine, backup.clone()))
    }

    pub(super) fn back_up_all(&mut self) {
        (0..self.machines.len()).for_each(|machine| self.back_up(machine));
    }

    fn back_up(&mut self, machine: Machine) {
        let sync = self.sync;
        if let Some(place) = self.machines.get_mut(machine) {
            place.backup = Some(place.disk.copy(sync));
        }
    }

    fn put_back(&mut self, machine: Machine, backup: WholeDisk) -> bool {
        if !self.can_do_without(machine) {
            return false;
        }
        self.kill_on(machine, false);
        let sync = self.sync;
        if let Some(place) = self.machines.get_mut(machine) {
            place.disk = backup.copy(sync);
        }
        self.report.faults.note(Fault::OldDisk);
        self.note(format_args!("machine {machine} has its old disk again"));
        true
    }

    /// Machines that have no node, or one that does not come back.
    fn unused(&self) -> Vec<Machine> {
        let machines = self.machines.iter().enumerate();
        let unused = machines.filter(|(machine, place)| {
            let is_member = !place.disk.ancestors.is_empty() && !place.retired;
            self.process_on(*machine).is_none() && !is_member
        });
        unused.map(|(machine, _)| machine).collect()
    }

    /// A machine gets an empty disk, and wants some id, or that of somebody else, or none.
    fn empty(&mut self, machine: Machine, rng: &mut Rng) {
        let sync = self.sync;
        let wanted = match rng.below(3) {
            0 => None,
            1 => Some(NodeId(rng.below(8) as u16)),
            _ => self.serving().next().map(|(_, id, _)| id),
        };
        if let Some(place) = self.machines.get_mut(machine) {
            place.disk = WholeDisk::new(sync);
            place.wanted = wanted;
        }
        self.note_joining(wanted);
    }

    fn note_joining(&mut self, wanted: Option<NodeId>) {
        let is_taken = self.serving().any(|(_, id, _)| Some(id) == wanted);
        self.report.faults.note(Fault::Joined);
        if is_taken {
            self.report.faults.note(Fault::TakenId);
        }
    }

    /// Whether the node of every other machine is up and knows of a start of the node that is not on this
    /// disk, and one of them can tell it. Before that nobody could tell an old disk from one that was
    /// switched off.
    fn is_known_to_be_old(&self, machine: Machine, backup: &WholeDisk) -> bool {
        let is_other = |control: &Control| {
            let catalog = control.view();
            let mut nodes = catalog.nodes();
            let known = nodes.any(|node| backup.ancestors.contains(&node.boot));
            !known
        };
        let others = self.machines.iter().enumerate().filter(|(other, place)| {
            *other != machine && !place.disk.ancestors.is_empty() && !place.retired
        });
        let others: Vec<Machine> = others.map(|(other, _)| other).collect();
        let serving = self.serving_on(&others);
        let all_know = serving.len() == others.len() && serving.iter().all(|(_, it)| is_other(it));
        let leader = self.leading_machine();
        let is_told = leader.is_some_and(|leader| self.links.are_joined(leader, machine));
        !backup.ancestors.is_empty() && all_know && is_told && !self.agrees_alone(backup)
    }

    /// Whether the node of a disk was the only voter: alone it agrees on what it likes, and asks nobody.
    fn agrees_alone(&self, disk: &WholeDisk) -> bool {
        let record = disk.record.lock();
        let held = record.log.values().rev().map(|(_, payload)| payload);
        let covered = record.covered.map_or(0, |covered| covered as usize + 1);
        let before = self.watch.agreed.iter().take(covered).rev();
        let mut payloads = held.chain(before.map(|agreed| &agreed.payload));
        let last = payloads.find_map(|payload| match payload {
            Payload::Voters(sets) => Some(sets),
            Payload::Blank | Payload::Command { .. } => None,
        });
        last.is_none_or(|sets| sets.iter().any(|set| set.len() == 1))
    }

    /// The disk on a machine, as the consensus knows it: by the process that ran there last.
    pub(in super::super) fn node_on(&self, machine: Machine) -> Option<RaftId> {
        let disk = &self.machines.get(machine)?.disk;
        let catalog = self.watch.ledger.catalog();
        let mut nodes = catalog.nodes().filter(|node| !node.awaits_disk);
        Some(
            nodes
                .find(|node| disk.ancestors.contains(&node.boot))?
                .raft_id(),
        )
    }

    /// Whether the voters on the disks of all other machines are a majority, of all who vote or may soon.
    pub(in super::super) fn can_do_without(&self, machine: Machine) -> bool {
        let machines = (0..self.machines.len()).filter(|other| *other != machine);
        let is_whole = |other: &Machine| {
            self.machines
                .get(*other)
                .is_some_and(|other| !other.retired)
        };
        let there: BTreeSet<RaftId> = machines
            .filter(is_whole)
            .filter_map(|other| self.node_on(other))
            .filter(|node| !self.given_up.contains(node))
            .collect();
        let mut sets = self.voter_sets().into_iter();
        sets.all(|voters| voters.intersection(&there).count() * 2 > voters.len())
    }

    /// The voters that were agreed on last, and those of every log that goes on from there: a leader
    /// needs a majority of each set that it has, agreed on or not.
    pub(in super::super) fn voter_sets(&self) -> BTreeSet<BTreeSet<RaftId>> {
        let mut sets: BTreeSet<BTreeSet<RaftId>> = self.watch.voters.iter().cloned().collect();
        let agreed = self.watch.agreed.len() as u64;
        for machine in &self.machines {
            let record = machine.disk.record.lock();
            for (_, (_, payload)) in record.log.range(agreed..) {
                if let Payload::Voters(voters) = payload {
                    let set = |set: &Vec<u64>| set.iter().copied().map(RaftId).collect();
                    sets.extend(voters.iter().map(set));
                }
            }
        }
        sets
    }
}
