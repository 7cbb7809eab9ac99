//! One function per invariant, each named by it.
//!
//! | id | what it says | where it is checked |
//! |---|---|---|
//! | S1 | an ack means that a sync covered the record's bytes after they were written | [`acks`] |
//! | S2 | recovery gives a prefix of what was appended, with every acked record | [`recovery`] |
//! | S3 | a torn tail is cut without complaint; damage is told, never served, never cut | [`recovery`], `flip` |
//! | S4 | after a failed write or sync nothing is acked, and that sync is not tried again | [`acks`], `History` |
//! | S5 | acks come in the order of the appends; a refusal takes all that is queued with it | `History` |
//! | S6 | a name is synced before anything relies on it | [`acks`], every crash |
//! | S7 | indexes are derivable: without them the same reads have the same answers | [`recovery`] |

pub(crate) mod acks;
pub(crate) mod recovery;

use std::fmt;

pub(crate) const S1: &str = "S1";
pub(crate) const S2: &str = "S2";
pub(crate) const S3: &str = "S3";
pub(crate) const S4: &str = "S4";
pub(crate) const S5: &str = "S5";
pub(crate) const S6: &str = "S6";
pub(crate) const S7: &str = "S7";
/// Not an invariant of the disk: the store recovers by itself once there is space again.
pub(crate) const S10: &str = "S10";

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(invariant: &'static str, detail: impl fmt::Display) -> Self {
        Self {
            invariant,
            detail: detail.to_string(),
        }
    }

    /// The same with a note of where it was seen in front.
    #[must_use]
    pub(crate) fn at(self, place: impl fmt::Display) -> Self {
        Self {
            detail: format!("{place}: {}", self.detail),
            ..self
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.invariant, self.detail)
    }
}

/// Fails with `invariant` unless `holds`.
pub(crate) fn ensure(
    holds: bool,
    invariant: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            invariant,
            detail: detail(),
        })
    }
}
