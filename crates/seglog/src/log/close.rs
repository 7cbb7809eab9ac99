//! A clean end: everything queued is committed, everything committed settled, and the checkpoint
//! says that nothing came after it.

use std::sync::atomic::Ordering;

use crate::AppendError;

use super::checkpoint::Save;
use super::{Log, Progress};

impl Log {
    /// Finishes what is queued, makes a clean end, and refuses everything afterwards. Reads go on.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.refuse_new();
        self.commit_rest();
        self.mark_durable_end();
        // A checkpoint only where the settle step waits for one: the last one is still to come.
        let advance = || {
            [Self::settle_step, Self::checkpoint_step]
                .iter()
                .any(|step| step(self) == Progress::Worked)
        };
        while self.unsettled().is_some() && advance() {}
        if self.unsettled().is_none() {
            self.save(Save::Closing);
        }
    }

    /// Takes nothing any more, but still commits what is queued.
    pub(super) fn refuse_new(&self) {
        self.queue.lock().stop(closed());
    }

    /// Bytes committed and not settled; `None` when not even an empty group is.
    pub(super) fn unsettled(&self) -> Option<usize> {
        let backlog = self.backlog.lock();
        (!backlog.groups.is_empty()).then_some(backlog.bytes)
    }

    /// What cannot be committed is refused.
    fn commit_rest(&self) {
        loop {
            match self.commit_step() {
                Progress::Worked => {}
                Progress::Blocked if self.make_way() == Progress::Worked => {}
                _ => break,
            }
        }
        self.refuse(&self.journal.lock(), closed());
    }
}

fn closed() -> AppendError {
    AppendError::Stopped("it was closed".to_owned())
}
