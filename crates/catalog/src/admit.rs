//! Whether a process that calls is the node it says it is.

use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{BootId, ClusterId, Incarnation, NodeId, StorageId};

use crate::{Catalog, Node, Refusal};

/// What a process says of itself before anything else is read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its cluster; none before it has joined one.
    pub cluster: Option<ClusterId>,
    /// Its id; none before it has joined.
    pub id: Option<NodeId>,
    /// Its data directory.
    pub storage: StorageId,
    /// This start.
    pub boot: BootId,
    /// The starts before this one that it knows of: the last one that was confirmed, and those tried
    /// since, as in [`crate::Registration::known_boots`].
    pub known_boots: Vec<BootId>,
    /// The last incarnation that was confirmed to it; 0 before the first. Tells a catalog that lags
    /// behind from a directory that does.
    pub incarnation: Incarnation,
}

impl Catalog {
    /// Whether the one who claims this may be talked to as a member.
    ///
    /// Refuses only what is certainly wrong. Who is not known here is let in, because a node that was
    /// just registered knows nobody yet; and so is who has been registered since this catalog's last
    /// news, because it may be the very one to bring it up to date.
    ///
    /// # Errors
    /// [`Refusal::OtherCluster`], [`Refusal::Removed`], [`Refusal::OtherId`], [`Refusal::OtherDisk`],
    /// [`Refusal::DiskForgotten`] or [`Refusal::OldCopy`].
    pub fn admit(&self, claim: &Claim) -> Result<(), Refusal> {
        let Some(ours) = self.cluster else {
            return Ok(());
        };
        if let Some(theirs) = claim.cluster.filter(|theirs| *theirs != ours) {
            return Err(Refusal::OtherCluster { theirs, ours });
        }
        // Whoever names an id is judged by it, even if it names no cluster.
        let Some(id) = claim.id else {
            return Ok(());
        };
        if self.is_removed(id) {
            return Err(Refusal::Removed(id));
        }
        match self.owner(id, claim.storage) {
            Some(node) if node.id != id => Err(Refusal::OtherId {
                registered: node.id,
            }),
            _ => self.admit_as(id, claim),
        }
    }

    /// The node of this data directory. Looks first where it should be: this is asked for each call.
    fn owner(&self, id: NodeId, storage: StorageId) -> Option<&Node> {
        let there = self.node(id).filter(|node| node.storage == storage);
        there
            .or_else(|| self.node_of_storage(storage))
            .map(Arc::as_ref)
    }

    fn admit_as(&self, id: NodeId, claim: &Claim) -> Result<(), Refusal> {
        let Some(node) = self.node(id) else {
            return Ok(());
        };
        if node.awaits_disk && claim.storage == node.storage {
            return Err(Refusal::DiskForgotten(id));
        }
        if claim.incarnation > node.incarnation {
            return Ok(());
        }
        if claim.storage != node.storage {
            return Err(Refusal::OtherDisk {
                id,
                registered: node.storage,
                given: claim.storage,
            });
        }
        if claim.boot == node.boot || claim.known_boots.contains(&node.boot) {
            return Ok(());
        }
        Err(Refusal::OldCopy(id))
    }
}
