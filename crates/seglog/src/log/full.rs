//! What a full disk does to the log, and how it comes back.

use crate::{AppendError, Progress};

use super::Log;
use super::checkpoint::Checkpointing;
use super::journal::Journal;
use super::poison::Failure;

/// Space kept back, given up when the disk is full so that a checkpoint still fits.
const RESERVE_FILE: &str = "reserve";
const UNFINISHED: &str = "reserve.new";

impl Log {
    /// The disk is full: refuses everything queued and everything new until it is not.
    pub(super) fn enter_full(&self) -> Progress {
        self.enter_full_between_groups(&self.journal.lock())
    }

    /// The same for the commit step.
    pub(super) fn enter_full_between_groups(&self, journal: &Journal) -> Progress {
        let was_full = self.is_full();
        self.refuse(journal, AppendError::Full);
        if self.is_full() && !was_full {
            // It finds out when there is space again, and may be asleep for want of anything else.
            self.wakes.settle.notify();
        }
        Progress::Blocked
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.lock().is_full()
    }

    /// Takes appends again if a checkpoint succeeds and the reserve can be had anew. That so much
    /// must be free for it keeps the log from going back and forth at the brink.
    pub(super) fn try_leave_full(&self) -> Progress {
        if self.checkpoint_step() == Progress::Blocked || self.poison.is_set() {
            return Progress::Blocked;
        }
        if self.make_reserve(&self.checkpointing.lock()).is_err() {
            return Progress::Blocked;
        }
        self.queue.lock().resume();
        self.wakes.commit.notify();
        Progress::Worked
    }

    /// Runs `write`, which is part of a checkpoint, and once more with the reserve given up if the
    /// disk was full. Then appends are refused in any case: they are not what it is kept for.
    pub(super) fn with_reserve<T>(
        &self,
        mut write: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match write() {
            Err(Failure::Full) => {
                self.enter_full();
                let freed = self.disk.remove(RESERVE_FILE);
                freed.map_err(|error| Failure::fatal("cannot free the reserve", error))?;
                write()
            }
            other => other,
        }
    }

    /// Keeps space back, beside what is kept already and then in its place: so there was as much
    /// again. Only whoever may write checkpoints does it, so nobody else does it meanwhile.
    pub(super) fn make_reserve(&self, _alone: &Checkpointing) -> std::io::Result<()> {
        if self.options.reserve_bytes == 0 {
            return Ok(());
        }
        self.disk.remove(UNFINISHED)?;
        let file = self.disk.create(UNFINISHED)?;
        if let Err(error) = file.reserve(self.options.reserve_bytes) {
            drop(file);
            self.disk.remove(UNFINISHED)?;
            return Err(error);
        }
        self.disk.rename(UNFINISHED, RESERVE_FILE)
    }

    /// Refuses everything queued, and from then on everything. The `done`s have returned when this
    /// does. Holding the journal proves that no group is under way whose `done`s would come late.
    pub(super) fn refuse(&self, _between_groups: &Journal, reason: AppendError) {
        let (items, reason) = {
            let mut queue = self.queue.lock();
            let reason = queue.stop(reason);
            (queue.begin_refusal(), reason)
        };
        for done in items.into_iter().filter_map(|item| item.done) {
            done(Err(reason.clone()));
        }
        self.queue.lock().refused();
    }
}
