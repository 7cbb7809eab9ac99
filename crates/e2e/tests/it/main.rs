//! End-to-end tests on real processes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails here"
)]
#![expect(
    clippy::print_stderr,
    reason = "figures, for whoever asks the test runner to show them"
)]

mod cluster;
mod connections;
mod main_job;

use std::time::{Duration, Instant};

/// Waits until `condition` holds, without holding up the tasks of the test.
async fn until(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(
            started.elapsed() < deadline,
            "{what}: not within {deadline:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
