//! What is seen of the agreement from outside: every process at every look, and every disk.

mod agreement;
mod leadership;

use std::collections::{BTreeMap, BTreeSet};

use catalog::RaftId;
use control::Status;
use model::{BootId, Instant};

use super::super::gossips::Process;
use super::super::ledger::{Ledger, Start};
use super::bytes::{Origin, Payload};
use super::world::State;
use crate::Violation;

/// All that was agreed on, and who led.
#[derive(Debug, Default)]
pub(super) struct Watch {
    now: Instant,
    pub(super) ledger: Ledger,
    /// What was agreed on, by index, and the fingerprint of the catalog after it.
    pub(super) agreed: Vec<Agreed>,
    /// Proposals that have had their effect.
    proposals: BTreeSet<[u8; 16]>,
    /// Commands that were agreed on, as bytes.
    pub(super) commands: BTreeSet<Vec<u8>>,
    /// Voters, as agreed on last: one set, or both halves of a change.
    pub(super) voters: Vec<BTreeSet<RaftId>>,
    /// Leaders that took their own vote away, so that another one follows, and when.
    farewells: BTreeMap<Origin, Instant>,
    /// The process behind each leader of a term.
    leaders: BTreeMap<Origin, Process>,
    seen: BTreeMap<Process, Seen>,
    /// The newest revision that anybody showed.
    pub(super) newest_revision: u64,
    /// Of each leader that handed over.
    transfers: BTreeMap<Origin, Transfer>,
    /// What each process has been told by those who took its entries.
    taken: BTreeMap<(Process, RaftId), Taken>,
}

/// One index of the log.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) origin: Origin,
    pub(super) payload: Payload,
    pub(super) fingerprint: u64,
}

/// A leader has handed over.
#[derive(Debug)]
struct Transfer {
    at: Instant,
    /// It had to: its node is drained or gone.
    leaves: bool,
    /// Who has been told, and may come to lead and to wish the same.
    known_to: BTreeSet<Process>,
}

/// A leader knows that another node has its entries.
#[derive(Debug)]
struct Taken {
    /// As which it led.
    leader: Origin,
    /// Up to which index.
    upto: Option<u64>,
    /// When it asked what was answered last.
    asked: Instant,
}

/// A process as it was seen last.
#[derive(Debug, Default)]
struct Seen {
    term: u64,
    committed: Option<u64>,
    applied: Option<u64>,
    /// Up to where its disk was compared with what was agreed on.
    compared: u64,
    /// Since when its disk has another entry than was agreed on.
    differs_since: Option<Instant>,
    /// Since when it has applied more than it says that its log holds.
    ahead_since: Option<Instant>,
}

impl Watch {
    /// A process has started.
    pub(super) fn note_start(&mut self, boot: BootId, ancestors: Vec<BootId>) {
        self.ledger.note_start(boot, Start { ancestors });
    }

    /// A process gets time again. What its disk and its log lack counts from now on.
    pub(super) fn note_resumed(&mut self, process: Process) {
        if let Some(seen) = self.seen.get_mut(&process) {
            (seen.differs_since, seen.ahead_since) = (None, None);
        }
    }

    /// The index of the last entry that is known to be agreed on.
    pub(super) fn last(&self) -> Option<u64> {
        (self.agreed.len() as u64).checked_sub(1)
    }

    /// How often leadership was handed over since then, in the one way or the other, or in both.
    pub(super) fn transfers_since(&self, begin: Instant) -> usize {
        let told = self.transfers.iter().map(|(leader, it)| (leader, it.at));
        let gave = self.farewells.iter().map(|(leader, at)| (leader, *at));
        let since = told.chain(gave).filter(|(_, at)| *at >= begin);
        let leaders: BTreeSet<&Origin> = since.map(|(leader, _)| leader).collect();
        leaders.len()
    }

    /// The highest term in which anybody was seen to lead.
    pub(super) fn terms(&self) -> usize {
        self.leaders.len()
    }
}

impl State {
    /// Looks at every process.
    pub(super) fn look(&mut self) -> Result<(), Violation> {
        let statuses: Vec<(Process, Status)> = self
            .processes
            .iter()
            .filter_map(|(id, process)| Some((*id, process.control.as_ref()?.status())))
            .collect();
        for (id, status) in &statuses {
            self.feed(*id, status)?;
        }
        self.watch.now = self.now();
        for (id, status) in &statuses {
            self.compare(*id, status)
                .map_err(|it| it.at(format!("process {id}: {status:?}")))?;
        }
        self.check_history()
    }
}
