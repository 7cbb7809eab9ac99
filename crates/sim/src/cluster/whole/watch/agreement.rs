//! E1 to E5 and M1: the consensus, from what each process says and each disk holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Command, RaftId};
use control::{Role, Status};
use model::BootId;

use super::super::super::check::{E1, E2, E3, E4, E5, M1, M5};
use super::super::super::gossips::Process;
use super::super::bytes::{Origin, Payload};
use super::super::disk::Record;
use super::super::world::State;
use super::{Agreed, Watch};
use crate::Violation;
use crate::check::ensure;

/// Several syncs of a slow disk.
const DISK_PATIENCE: Duration = Duration::from_secs(15);

impl State {
    /// Takes what a process knows to be agreed on from its disk.
    pub(super) fn feed(&mut self, id: Process, status: &Status) -> Result<(), Violation> {
        let (Some(committed), Some(machine)) = (status.committed, self.machine_of(id)) else {
            return Ok(());
        };
        let Some(machine) = self.machines.get(machine) else {
            return Ok(());
        };
        let record = Arc::clone(&machine.disk.record);
        while self.watch.agreed.len() as u64 <= committed {
            let next = self.watch.agreed.len() as u64;
            let Some((origin, payload)) = record.lock().entry(next).cloned() else {
                return Ok(());
            };
            if let Some(boot) = self.watch.agree(origin, &payload)? {
                self.m5_a_start_is_written_down_first(boot)?;
            }
        }
        Ok(())
    }

    /// M5: who asks to be registered has written down that it did.
    fn m5_a_start_is_written_down_first(&self, boot: BootId) -> Result<(), Violation> {
        let mut disks = self.machines.iter().map(|machine| &machine.disk);
        let disk = disks.find(|disk| disk.ancestors.last() == Some(&boot));
        ensure(
            disk.is_none_or(|disk| disk.record.lock().knows(boot)),
            M5,
            || format!("{boot} is registered, and its disk knows nothing of it"),
        )
    }

    pub(super) fn compare(&mut self, id: Process, status: &Status) -> Result<(), Violation> {
        let process = self.processes.get(&id);
        let Some((process, machine)) =
            process.and_then(|process| Some((process, self.machines.get(process.machine)?)))
        else {
            return Ok(());
        };
        let record = machine.disk.record.lock();
        let watch = &mut self.watch;
        watch.newest_revision = watch.newest_revision.max(status.revision);
        watch.e1_one_leader(id, status)?;
        watch.e4_a_leader_has_everything(status, &record)?;
        watch.e5_nothing_goes_back(id, status)?;
        if !process.pause.is_on() {
            watch.e3_agreed_is_agreed(id, status, &record)?;
            watch.e5_applied_is_in_the_log(id, status)?;
        }
        watch.m1_catalogs_are_equal(status)
    }
}

impl Watch {
    /// The next thing that was agreed on; if it is a registration, of which start.
    fn agree(&mut self, origin: Origin, payload: &Payload) -> Result<Option<BootId>, Violation> {
        let mut registered = None;
        match payload {
            Payload::Blank => {}
            Payload::Voters(sets) => {
                let set = |set: &Vec<u64>| set.iter().copied().map(RaftId).collect();
                self.voters = sets.iter().map(set).collect();
                let leaves = |set: &BTreeSet<RaftId>| !set.contains(&RaftId(origin.1));
                if self.voters.iter().all(leaves) {
                    self.farewells.entry(origin).or_insert(self.now);
                }
            }
            Payload::Command { proposal, command } => {
                self.commands.insert(command.clone());
                if self.proposals.insert(*proposal) {
                    let command = Command::decode(command);
                    let command = command.map_err(|error| Violation::new(M1, error))?;
                    let _ = self.ledger.apply(&command)?;
                    if let Command::Register(start) = command {
                        registered = Some(start.boot);
                    }
                }
            }
        }
        let fingerprint = self.ledger.catalog().fingerprint();
        self.agreed.push(Agreed {
            origin,
            payload: payload.clone(),
            fingerprint,
        });
        Ok(registered)
    }

    fn e1_one_leader(&mut self, id: Process, status: &Status) -> Result<(), Violation> {
        let Some(me) = status.me.filter(|_| status.role == Role::Leader) else {
            return Ok(());
        };
        let leader = *self.leaders.entry((status.term, me.0)).or_insert(id);
        ensure(leader == id, E1, || {
            format!("process {leader} led term {} as {me:?} before", status.term)
        })
    }

    fn e4_a_leader_has_everything(
        &self,
        status: &Status,
        record: &Record,
    ) -> Result<(), Violation> {
        let Some(me) = status.me.filter(|_| status.role == Role::Leader) else {
            return Ok(());
        };
        let earlier = |agreed: &&Agreed| agreed.origin < (status.term, me.0);
        let before = self.agreed.iter().take_while(earlier).count() as u64;
        let Some(last) = before.checked_sub(1) else {
            return Ok(());
        };
        ensure(status.last >= Some(last), E4, || {
            format!("leads, and ends at {:?} before {last}", status.last)
        })?;
        let held = record.log.get(&last).map(|(origin, _)| *origin);
        let agreed = self.agreed.get(last as usize).map(|agreed| agreed.origin);
        ensure(held.is_none() || held == agreed, E4, || {
            format!("leads, and has at {last} what {held:?} wrote, not {agreed:?}")
        })
    }

    fn e5_nothing_goes_back(&mut self, id: Process, status: &Status) -> Result<(), Violation> {
        let seen = self.seen.entry(id).or_default();
        ensure(status.term >= seen.term, E5, || {
            format!("term {} before", seen.term)
        })?;
        ensure(status.committed >= seen.committed, E5, || {
            format!("{:?} was agreed on", seen.committed)
        })?;
        ensure(status.applied >= seen.applied, E5, || {
            format!("{:?} was applied", seen.applied)
        })?;
        let order = [status.purged, status.snapshot, status.last];
        ensure(order.is_sorted(), E5, || {
            "purged, snapshot and last are out of order".to_owned()
        })?;
        ensure(status.committed <= status.last, E5, || {
            "agreed and last are out of order".to_owned()
        })?;
        (seen.term, seen.committed, seen.applied) = (status.term, status.committed, status.applied);
        Ok(())
    }

    /// E5: what is applied is in the log. The engine says how far its log goes after a write that it waits
    /// for, and applies meanwhile, so a difference counts when it stays.
    fn e5_applied_is_in_the_log(&mut self, id: Process, status: &Status) -> Result<(), Violation> {
        let seen = self.seen.entry(id).or_default();
        if status.applied <= status.last {
            seen.ahead_since = None;
            return Ok(());
        }
        let since = *seen.ahead_since.get_or_insert(self.now);
        ensure(self.now.since(since) < DISK_PATIENCE, E5, || {
            "applied and last are out of order".to_owned()
        })
    }

    /// E3, and by that E2 for all that was agreed on. A process that has just taken a snapshot knows what was
    /// agreed on before its disk has been brought up to it, so a difference counts when it stays.
    fn e3_agreed_is_agreed(
        &mut self,
        id: Process,
        status: &Status,
        record: &Record,
    ) -> Result<(), Violation> {
        let Some(committed) = status.committed else {
            return Ok(());
        };
        let seen = self.seen.entry(id).or_default();
        let known = self.agreed.len() as u64;
        for index in seen.compared..(committed + 1).min(known) {
            let (Some(agreed), Some(entry)) =
                (self.agreed.get(index as usize), record.log.get(&index))
            else {
                if record.reaches(index) {
                    continue;
                }
                // Agreed on by others, and on its way to this disk.
                return Ok(());
            };
            let same = compare(index, agreed, entry);
            if same.is_err() {
                let since = *seen.differs_since.get_or_insert(self.now);
                return if self.now.since(since) < DISK_PATIENCE {
                    Ok(())
                } else {
                    same
                };
            }
            seen.differs_since = None;
            seen.compared = index + 1;
        }
        Ok(())
    }

    fn m1_catalogs_are_equal(&self, status: &Status) -> Result<(), Violation> {
        let Some(agreed) = status
            .applied
            .and_then(|applied| self.agreed.get(applied as usize))
        else {
            return Ok(());
        };
        ensure(agreed.fingerprint == status.fingerprint, M1, || {
            format!(
                "another catalog than the log leads to: {:x}",
                agreed.fingerprint
            )
        })
    }
}

fn compare(
    index: u64,
    agreed: &Agreed,
    (origin, payload): &(Origin, Payload),
) -> Result<(), Violation> {
    ensure(agreed.origin == *origin, E3, || {
        format!(
            "at {index} is what {origin:?} wrote, and {:?} was agreed on",
            agreed.origin
        )
    })?;
    ensure(agreed.payload == *payload, E2, || {
        format!(
            "two entries at {index} of {origin:?}: {payload:?}, {:?}",
            agreed.payload
        )
    })
}
