//! Helpers shared by tests.
//!
//! Tests here never sleep for luck: [`eventually`] waits for a condition with a deadline.

use std::time::{Duration, Instant};

/// Waits until `condition` holds, and fails the test when it does not within `deadline`.
///
/// # Panics
/// When the deadline passes first.
pub fn eventually(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < deadline,
            "{what}: not within {deadline:?}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
