//! Machines, what is on their disks, and the processes that run on them.

use catalog::{Catalog, Claim, RaftId};
use control::decide::Memory;
use model::{BootId, ClusterId, Incarnation, Instant, NodeId, StorageId};

use super::super::links::Machine;

/// A place where a process can run.
#[derive(Debug, Clone)]
pub(super) struct PureMachine {
    pub(super) disk: Disk,
    /// The disk as it was once.
    pub(super) backup: Option<Disk>,
    /// The id that its processes ask for.
    pub(super) wanted: Option<NodeId>,
    /// Nobody starts anything here any more, because the last process was told not to come back.
    pub(super) retired: bool,
}

/// What a process leaves behind: what `control` keeps, in the same order of writes.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) storage: StorageId,
    pub(super) member: Option<RaftId>,
    pub(super) confirmed: Option<(BootId, Incarnation)>,
    pub(super) tried: Vec<BootId>,
    /// Every start on this disk, or on the one that it is a copy of: what no process can know for sure.
    pub(super) ancestors: Vec<BootId>,
    /// How much of the log it holds.
    pub(super) holds: usize,
    /// Whether it may have held more, before it was copied or put back.
    pub(super) lacks: bool,
}

impl Disk {
    pub(super) const fn empty(storage: StorageId) -> Self {
        Self {
            storage,
            member: None,
            confirmed: None,
            tried: Vec::new(),
            ancestors: Vec::new(),
            holds: 0,
            lacks: false,
        }
    }

    /// What a process on this disk says of itself.
    pub(super) fn claim(&self, cluster: Option<ClusterId>, boot: BootId) -> Claim {
        Claim {
            cluster,
            id: self.member.map(RaftId::node),
            storage: self.storage,
            boot,
            known_boots: self.known_boots(boot),
            incarnation: self
                .confirmed
                .map_or(Incarnation(0), |(_, incarnation)| incarnation),
        }
    }

    pub(super) fn known_boots(&self, boot: BootId) -> Vec<BootId> {
        let confirmed = self.confirmed.map(|(confirmed, _)| confirmed);
        let known = confirmed.into_iter().chain(self.tried.iter().copied());
        known.filter(|known| *known != boot).collect()
    }
}

/// A process that runs, or is stopped for a while.
#[derive(Debug)]
pub(super) struct PureProcess {
    pub(super) machine: Machine,
    pub(super) boot: BootId,
    pub(super) started: Instant,
    /// As whom it is registered.
    pub(super) serves: Option<(NodeId, Incarnation)>,
    pub(super) paused: bool,
    /// What it has applied, and how many commands that is.
    pub(super) catalog: Catalog,
    pub(super) applied: usize,
    pub(super) memory: Memory,
}
