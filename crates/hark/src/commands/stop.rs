//! When to stop.

use crate::exit::{Exit, Outcome, While as _};

/// Ctrl-C, or the polite signal of an init system.
#[derive(Debug)]
pub(super) struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignal {
    pub(super) fn new() -> Outcome<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).while_doing("listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Returns at the first signal. A second one ends the process at once, which loses nothing
    /// that was acknowledged.
    pub(super) async fn received(mut self) {
        let name = self.next().await;
        tracing::info!(signal = name, "stopping; once more to stop at once");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(Exit::Interrupted as i32);
        });
    }

    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
