//! Who this node is, and which of its starts the cluster knows.

use catalog::{Claim, RaftId};
use model::{BootId, ClusterId, Incarnation, NodeId, StorageId, limits};

use crate::codec::{DecodeError, Reader, Writer, seal, unseal};

/// Who this node is. Kept in the database and written before anybody is told.
///
/// Every start draws a new [`BootId`]. It is written as *tried* before the cluster is asked to register
/// it, and becomes *confirmed* when the cluster has. Of two processes on copies of one directory, only
/// the one whose past holds the start that the cluster has registered is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The data directory, from its making on.
    pub storage: StorageId,
    /// What it is a member of, once it has joined or founded a cluster.
    pub member: Option<Member>,
    /// The founding has begun and is to be finished.
    pub(crate) founding: bool,
    /// The last start that the cluster is known to have registered.
    pub confirmed: Option<Confirmed>,
    /// Starts since then that the cluster was asked to register, the oldest first.
    pub(crate) tried: Vec<BootId>,
}

/// A node's place in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Which cluster.
    pub cluster: ClusterId,
    /// How the consensus knows the node.
    pub raft_id: RaftId,
}

/// A start that the cluster has registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// The start.
    pub boot: BootId,
    /// What number it was given.
    pub incarnation: Incarnation,
}

impl Identity {
    /// That of a new data directory.
    pub(crate) const fn new(storage: StorageId) -> Self {
        Self {
            storage,
            member: None,
            founding: false,
            confirmed: None,
            tried: Vec::new(),
        }
    }

    /// Its id, once it has joined.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.member.map(|member| member.raft_id.node())
    }

    /// What the process of this start says of itself.
    pub(crate) fn claim(&self, boot: BootId) -> Claim {
        Claim {
            cluster: self.member.map(|member| member.cluster),
            id: self.node(),
            storage: self.storage,
            boot,
            known_boots: self.known_boots(boot),
            incarnation: self
                .confirmed
                .map_or_else(Incarnation::default, |confirmed| confirmed.incarnation),
        }
    }

    /// The starts before this one that the cluster may have registered.
    pub(crate) fn known_boots(&self, boot: BootId) -> Vec<BootId> {
        let tried = self.tried.iter().copied();
        let confirmed = self.confirmed.map(|confirmed| confirmed.boot);
        let known = confirmed.into_iter().chain(tried);
        known.filter(|known| *known != boot).collect()
    }

    /// The cluster is about to be asked to register this start. Too many starts in a row without an
    /// answer push out the oldest but the first, which are the least likely to have been registered.
    pub(crate) fn try_boot(&mut self, boot: BootId) {
        let is_confirmed = self.confirmed.is_some_and(|known| known.boot == boot);
        if is_confirmed || self.tried.contains(&boot) {
            return;
        }
        if self.tried.len() >= TRIED_MAX {
            self.tried.remove(1);
        }
        self.tried.push(boot);
    }

    /// The cluster has registered this start.
    pub(crate) fn confirm(&mut self, boot: BootId, incarnation: Incarnation) {
        self.confirmed = Some(Confirmed { boot, incarnation });
        self.tried.clear();
    }

    /// Its bytes on disk: version `u8` 1, storage id, member (optional: cluster id, raft id `u64`),
    /// founding `u8`, confirmed start (optional: boot id, incarnation `u64`), count of tried starts `u16` and these; a checksum.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION)
            .raw(self.storage.as_bytes())
            .option(self.member, |w, member| {
                w.raw(member.cluster.as_bytes()).u64(member.raft_id.0);
            })
            .flag(self.founding)
            .option(self.confirmed, |w, confirmed| {
                w.raw(confirmed.boot.as_bytes())
                    .u64(confirmed.incarnation.0);
            })
            .u16(u16::try_from(self.tried.len()).unwrap_or(u16::MAX));
        for boot in &self.tried {
            w.raw(boot.as_bytes());
        }
        seal(w.finish())
    }

    /// Reads what `encode` wrote.
    pub(crate) fn decode(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        Reader::one(unseal(bytes)?, |r| {
            if r.u8()? != VERSION {
                return Err(DecodeError { at: 0 });
            }
            Ok(Self {
                storage: StorageId::from_bytes(r.array()?),
                member: r.option(read_member)?,
                founding: r.flag()?,
                confirmed: r.option(read_confirmed)?,
                tried: read_boots(r)?,
            })
        })
    }
}

const VERSION: u8 = 1;

/// With the confirmed one these are all that a registration may name.
const TRIED_MAX: usize = limits::KNOWN_BOOTS_MAX - 1;

fn read_member(r: &mut Reader) -> Result<Member, DecodeError> {
    Ok(Member {
        cluster: ClusterId::from_bytes(r.array()?),
        raft_id: RaftId(r.u64()?),
    })
}

fn read_boot(r: &mut Reader) -> Result<BootId, DecodeError> {
    Ok(BootId::from_bytes(r.array()?))
}

fn read_confirmed(r: &mut Reader) -> Result<Confirmed, DecodeError> {
    Ok(Confirmed {
        boot: read_boot(r)?,
        incarnation: Incarnation(r.u64()?),
    })
}

fn read_boots(r: &mut Reader) -> Result<Vec<BootId>, DecodeError> {
    let count = usize::from(r.u16()?);
    let count = r.count(count, 16)?;
    (0..count).map(|_| read_boot(r)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(n: u8) -> BootId {
        BootId::from_bytes([n; 16])
    }

    #[test]
    fn reads_back_what_it_writes() {
        let mut identity = Identity::new(StorageId::from_bytes([7; 16]));
        assert_eq!(Identity::decode(identity.encode()), Ok(identity.clone()));
        identity.member = Some(Member {
            cluster: ClusterId::from_bytes([9; 16]),
            raft_id: RaftId(5 << 16 | 3),
        });
        identity.founding = true;
        identity.confirm(boot(1), Incarnation(4));
        identity.try_boot(boot(2));
        identity.try_boot(boot(3));
        let bytes = identity.encode();
        assert_eq!(Identity::decode(bytes.clone()), Ok(identity));
        for cut in 0..bytes.len() {
            assert!(Identity::decode(bytes[..cut].to_vec()).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(Identity::decode(flipped).is_err(), "{at}");
        }
    }

    #[test]
    fn a_start_that_was_registered_without_our_hearing_of_it_stays_known() {
        let mut identity = Identity::new(StorageId::from_bytes([7; 16]));
        identity.confirm(boot(1), Incarnation(4));
        identity.try_boot(boot(2));
        identity.try_boot(boot(3));
        identity.try_boot(boot(4));
        assert_eq!(identity.known_boots(boot(4)), [boot(1), boot(2), boot(3)]);
        identity.confirm(boot(4), Incarnation(7));
        assert_eq!(identity.known_boots(boot(5)), [boot(4)]);
        let claim = identity.claim(boot(5));
        assert_eq!((claim.boot, claim.incarnation), (boot(5), Incarnation(7)));
    }

    #[test]
    fn starts_without_an_answer_are_bounded_and_the_first_is_kept() {
        let mut identity = Identity::new(StorageId::from_bytes([7; 16]));
        for n in 0..200 {
            identity.try_boot(boot(n));
        }
        assert_eq!(identity.known_boots(boot(200)).len(), TRIED_MAX);
        assert_eq!(identity.tried.first(), Some(&boot(0)));
        assert_eq!(identity.tried.last(), Some(&boot(199)));
    }
}
