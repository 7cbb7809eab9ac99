//! Helpers shared by tests.
//!
//! Tests here never sleep for luck: [`eventually`] waits for a condition with a deadline.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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

/// Lets this process, and those it starts, have `wanted` files and connections open: many systems
/// begin with 1,024 and allow more to whoever asks.
///
/// # Panics
/// When the system does not allow it.
pub fn allow_open_files(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.current.map(|current| current.max(wanted)),
        ..limit
    };
    let outcome = setrlimit(Resource::Nofile, raised);
    assert!(
        outcome.is_ok(),
        "this test needs {wanted} open files; allow them with: ulimit -Hn {wanted}"
    );
}
