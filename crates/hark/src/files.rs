//! How many files this process may have open. Every connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as all connections and many segment files need.
const WANTED: u64 = 65_536;

/// Raises the limit as far as the system lets us, for this process and those it starts; gives the
/// limit that holds now.
pub(crate) fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let allowed = WANTED.min(limit.maximum.unwrap_or(u64::MAX));
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= allowed {
        return current;
    }
    let raised = Rlimit {
        current: Some(allowed),
        maximum: limit.maximum,
    };
    // A refusal leaves the lower limit, with which a node runs too.
    if setrlimit(Resource::Nofile, raised).is_ok() {
        allowed
    } else {
        current
    }
}
