//! Disks that are lost, repaired or put back, and how many the cluster can do without.

use std::collections::BTreeSet;

use catalog::RaftId;
use control::Control;

use super::super::super::links::Machine;
use super::super::bytes::Payload;
use super::super::disk::WholeDisk;
use super::super::world::State;

impl State {
    /// The disk keeps what it has and works again.
    pub(super) fn repair_disk(&mut self, machine: Machine) {
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
        self.note(format_args!("the disk of machine {machine} is lost"));
    }

    pub(super) fn backup_of(&self, machine: Machine) -> Option<WholeDisk> {
        self.machines.get(machine)?.backup.clone()
    }

    pub(super) fn back_up(&mut self, machine: Machine) {
        let sync = self.sync;
        if let Some(place) = self.machines.get_mut(machine) {
            place.backup = Some(place.disk.copy(sync));
        }
    }

    pub(super) fn put_back(&mut self, machine: Machine, backup: WholeDisk) -> bool {
        if !self.can_do_without(machine) {
            return false;
        }
        self.kill_on(machine, false);
        let sync = self.sync;
        if let Some(place) = self.machines.get_mut(machine) {
            place.disk = backup.copy(sync);
        }
        self.note(format_args!("machine {machine} has its old disk again"));
        true
    }

    /// Whether every process that serves knows of a start of the node that is not on this disk. Before
    /// that nobody could tell an old disk from one that was switched off.
    pub(super) fn is_known_to_be_old(&self, backup: &WholeDisk) -> bool {
        let is_other = |control: &Control| {
            let catalog = control.view();
            let mut nodes = catalog.nodes();
            let known = nodes.any(|node| backup.ancestors.contains(&node.boot));
            !known
        };
        let mut serving = self.serving();
        !backup.ancestors.is_empty() && serving.all(|(_, _, control)| is_other(control))
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
