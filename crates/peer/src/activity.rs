//! Whether the other side of a connection is there.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// When the other side last gave a sign of life: it sent something, or took what had to wait.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Instant,
    pauses: usize,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        let last = Instant::now();
        Arc::new(Self(Mutex::new(State { last, pauses: 0 })))
    }

    pub(crate) fn touch(&self) {
        self.0.lock().last = Instant::now();
    }

    /// Silence does not count until what this gives is dropped: it is this side that does not read.
    pub(crate) fn pause(&self) -> Paused<'_> {
        self.0.lock().pauses += 1;
        Paused(self)
    }

    /// Whether this side does not read.
    pub(crate) fn is_paused(&self) -> bool {
        self.0.lock().pauses > 0
    }

    /// How long there was none.
    pub(crate) fn silence(&self) -> Duration {
        let state = self.0.lock();
        match state.pauses {
            0 => state.last.elapsed(),
            _ => Duration::ZERO,
        }
    }
}

/// See [`Activity::pause`].
pub(crate) struct Paused<'a>(&'a Activity);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.pauses -= 1;
        state.last = Instant::now();
    }
}
