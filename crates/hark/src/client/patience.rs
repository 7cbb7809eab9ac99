//! How long a client goes on trying, and how long it pauses between two tries.

use std::time::Duration;

use tokio::time::Instant;

use super::CallError;

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Time left for trying again, counted from the last success.
#[derive(Debug)]
pub(crate) struct Patience {
    unreachable: Duration,
    busy: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// A person waits: a server that is not there is told at once, one that is busy gets a while.
    pub(crate) const fn brief() -> Self {
        Self::new(Duration::from_millis(600), Duration::from_secs(5))
    }

    /// The same time for every trouble that may pass.
    pub(crate) const fn lasting(time: Duration) -> Self {
        Self::new(time, time)
    }

    const fn new(unreachable: Duration, busy: Duration) -> Self {
        Self {
            unreachable,
            busy,
            since: None,
            pause: PAUSE_FIRST,
        }
    }

    /// All is well again: the next trouble gets the whole time.
    pub(crate) fn renew(&mut self) {
        self.since = None;
        self.pause = PAUSE_FIRST;
    }

    /// Pauses before the next try; `false` at once when there will be none.
    pub(crate) async fn pause(&mut self, error: &CallError) -> bool {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let given = match error {
            CallError::Refused { .. } => self.busy,
            _ => self.unreachable,
        };
        if now.duration_since(since).saturating_add(self.pause) > given {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}
