//! Binds `hark.db` to the node whose it is, and to the chain of its starts.
//!
//! What `hark.db` does not hold was never made here: a partition that the catalog gives to this node and
//! `hark.db` does not know is made, empty, and led. That is true only of the newest `hark.db`. So it takes
//! part in the chain of starts as the catalog does: it has the last start, and is taken only by one that
//! knows that start. It is made before the node is registered for the first time, and never again.

use std::path::Path;

use catalog::Claim;

use crate::error::OpenError;
use crate::metadata::{Metadata, Owner};
use crate::reconcile::Made;

/// Notes in the `hark.db` in `data` that it is used by this start from here on; makes it for a node that
/// was never registered. Blocks.
///
/// To be called after the start was written down as tried, and before the cluster is asked to register it.
///
/// # Errors
/// [`OpenError::Foreign`] when it is missing, older than what the node knows of itself, or of another
/// data directory; nothing has changed then.
pub fn bind(data: &Path, start: &Claim) -> Result<(), OpenError> {
    let was_registered = start.incarnation.0 > 0;
    let new_identity = (!was_registered).then(|| *start.storage.as_bytes());
    let metadata = Metadata::open(data, new_identity)?;
    let read = |what| move |source| OpenError::Control { what, source };
    let owner = metadata.owner().map_err(read("reading the identity"))?;
    // One that belongs to no cluster yet comes along.
    if was_registered || !Made::stood_alone(owner.cluster) {
        check(&owner, start)?;
    }
    let noted = metadata.set_start(start.storage, start.boot);
    noted.map_err(read("noting the start"))
}

fn check(owner: &Owner, start: &Claim) -> Result<(), OpenError> {
    let knows = |boot| boot == start.boot || start.known_boots.contains(&boot);
    let is_known = owner.boot.is_some_and(knows);
    if owner.storage == start.storage && is_known {
        return Ok(());
    }
    let what = if owner.storage == start.storage || owner.boot.is_none() {
        "is older than the rest of this data directory: what was made and acknowledged since would \
         begin again as if it had been empty"
    } else {
        "belongs to another data directory than what the node knows of itself (control.db)"
    };
    Err(OpenError::Foreign(format!(
        "hark.db {what}; put the data directory back as a whole, as it was, or give it up: empty it, \
         and run `hark node replace` on another node of its cluster"
    )))
}
