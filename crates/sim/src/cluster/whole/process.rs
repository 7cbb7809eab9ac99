//! Machines, and the processes that run on them.

use std::time::Duration;

use control::Control;
use control::testing::Pause;
use model::{Incarnation, Instant, NodeId};
use tokio::task::AbortHandle;

use super::super::clocks::Clocks;
use super::super::links::Machine;
use super::disk::WholeDisk;

/// A place where a process can run.
#[derive(Debug)]
pub(super) struct WholeMachine {
    pub(super) disk: WholeDisk,
    /// The disk as it was once.
    pub(super) backup: Option<WholeDisk>,
    /// The id that its processes ask for.
    pub(super) wanted: Option<NodeId>,
    /// Nobody starts anything here any more, because the last process was told not to come back.
    pub(super) retired: bool,
    pub(super) clocks: Clocks,
}

/// A process that runs, or is stopped for a while.
#[derive(Debug)]
pub(super) struct WholeProcess {
    pub(super) machine: Machine,
    pub(super) started: Instant,
    /// Once it is open.
    pub(super) control: Option<Control>,
    /// As whom it is registered.
    pub(super) serves: Option<(NodeId, Incarnation)>,
    /// Whether it is being stopped in good order.
    pub(super) stops: bool,
    /// Why it ends, once that is so.
    pub(super) ends: Option<End>,
    /// What stops what is done for others in its name; control has its own.
    pub(super) pause: Pause,
    /// Requests that wait while it is stopped.
    pub(super) waiting: usize,
    tasks: Vec<AbortHandle>,
}

/// Why a process ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// Something failed; another start may do better.
    Failed(String),
    /// It was told not to come back like this.
    Refused(String),
}

impl WholeMachine {
    /// One with an empty disk, and clocks that are right.
    pub(super) fn new(number: usize, sync: Duration) -> Self {
        Self {
            disk: WholeDisk::new(sync),
            backup: None,
            wanted: u16::try_from(number).ok().map(NodeId),
            retired: true,
            clocks: Clocks::default(),
        }
    }
}

impl WholeProcess {
    pub(super) fn new(machine: Machine, started: Instant) -> Self {
        Self {
            machine,
            started,
            control: None,
            serves: None,
            stops: false,
            ends: None,
            pause: Pause::default(),
            waiting: 0,
            tasks: Vec::new(),
        }
    }

    /// Gets no time any more.
    pub(super) fn pause(&self) {
        self.pause.begin();
        if let Some(control) = &self.control {
            control.pause().begin();
        }
    }

    /// Goes on where it was stopped.
    pub(super) fn resume(&self) {
        self.pause.end();
        if let Some(control) = &self.control {
            control.pause().end();
        }
    }

    /// Ends where it stands, whether it is stopped or not.
    pub(super) fn end(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        if let Some(control) = &self.control {
            control.crash();
        }
        self.resume();
    }

    pub(super) fn remember(&mut self, task: AbortHandle) {
        if self.tasks.len() >= 64 {
            self.tasks.retain(|task| !task.is_finished());
        }
        self.tasks.push(task);
    }
}
