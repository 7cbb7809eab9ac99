//! How a process enters the cluster: as `control` does it, and as the controller answers.

use catalog::{Addresses, Command, Outcome, RaftId, Refusal, Registration};
use model::{Site, Timestamp};
use peer::membership::{Liveness, MemberId};

use super::super::clocks::Clocks;
use super::super::gossips::{Process, address_of};
use super::world::World;
use crate::Violation;

impl World {
    /// Asks for a place once more.
    pub(super) fn register(&mut self, id: Process) -> Result<(), Violation> {
        let Some(process) = self.processes.get(&id) else {
            return Ok(());
        };
        let (boot, on) = (process.boot, process.machine);
        let disk = &mut self.machines[on].disk;
        if !disk.tried.contains(&boot) {
            disk.tried.push(boot);
        }
        let mut registration = Registration {
            id: disk.member.map(RaftId::node).or(self.machines[on].wanted),
            site: Site::EVERYWHERE,
            storage: self.machines[on].disk.storage,
            boot,
            known_boots: self.machines[on].disk.known_boots(boot),
            addresses: Addresses {
                peer: address_of(on).to_string(),
                http: String::new(),
            },
            rack: on.is_multiple_of(2).then(|| "even".to_owned()),
            holder_is_alive: false,
            at: Timestamp::default(),
        };
        registration.holder_is_alive = self.holder_is_alive(&registration);
        match self.propose(id, &Command::Register(registration))? {
            None => {}
            Some(Ok(outcome)) => self.registered(id, &outcome),
            Some(Err(refusal)) => self.refused(id, &refusal),
        }
        Ok(())
    }

    /// As the one who leads finds out: membership first, then the process itself.
    fn holder_is_alive(&self, start: &Registration) -> bool {
        let catalog = self.ledger.catalog();
        let holder = match start.id {
            Some(id) => catalog.node(id),
            None => catalog.node_of_storage(start.storage),
        };
        let Some(holder) = holder.filter(|holder| holder.boot != start.boot) else {
            return false;
        };
        let Some(leader) = self.agreement.leader else {
            return true;
        };
        let rows = self.gossips.rows(leader);
        let row = rows.iter().find(|row| row.id == holder.id);
        let of_boot = self
            .processes
            .iter()
            .find(|(_, process)| process.boot == holder.boot);
        let runs = of_boot.is_some_and(|(id, _)| self.is_running(*id));
        row.is_none_or(|row| row.liveness != Liveness::Down) && runs
    }

    fn registered(&mut self, id: Process, outcome: &Outcome) {
        let Outcome::Registered {
            id: node,
            raft_id,
            incarnation,
            ..
        } = *outcome
        else {
            return;
        };
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.serves = Some((node, incarnation));
        let (boot, on) = (process.boot, process.machine);
        let disk = &mut self.machines[on].disk;
        disk.member = Some(raft_id);
        disk.confirmed = Some((boot, incarnation));
        disk.tried.clear();
        let me = MemberId {
            node,
            incarnation,
            boot,
            renewals: 0,
            address: address_of(on),
        };
        let place = (on, Clocks::default());
        self.gossips.start(self.now, id, place, me);
        self.spread_roster(id);
        self.note(format_args!(
            "process {id} serves node {node} as {incarnation}"
        ));
    }

    fn refused(&mut self, id: Process, refusal: &Refusal) {
        // What holds only for now is tried again.
        let for_now = matches!(refusal, Refusal::Limit(_) | Refusal::NoPlace);
        if !for_now {
            self.retire(id, refusal);
        }
    }
}
