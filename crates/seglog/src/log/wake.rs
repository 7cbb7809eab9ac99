//! How the steps wake each other.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// One per step.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    pub(super) commit: Wake,
    pub(super) settle: Wake,
    pub(super) checkpoint: Wake,
}

/// Counts the reasons to look again, so that none is lost between looking and waiting.
#[derive(Debug, Default)]
pub(super) struct Wake {
    reasons: Mutex<u64>,
    changed: Condvar,
}

impl Wake {
    pub(super) fn notify(&self) {
        *self.reasons.lock() += 1;
        self.changed.notify_one();
    }

    pub(super) fn seen(&self) -> u64 {
        *self.reasons.lock()
    }

    /// Waits until there is a reason that was not `seen`, or the time is over; false when it is.
    pub(super) fn wait(&self, seen: u64, at_most: Duration) -> bool {
        let mut reasons = self.reasons.lock();
        if *reasons == seen {
            self.changed.wait_for(&mut reasons, at_most);
        }
        *reasons != seen
    }
}
