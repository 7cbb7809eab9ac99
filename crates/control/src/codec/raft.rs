//! The engine's own values as bytes.

use std::collections::{BTreeMap, BTreeSet};

use model::limits;
use openraft::EntryPayload;
use openraft::impls::EmptyNode;
use openraft::vote::RaftLeaderId;

use super::{DecodeError, Reader, Writer};
use crate::engine::{Entry, LeaderId, Membership, Position, Proposal, StoredMembership, Vote};

impl Writer {
    pub(crate) fn leader(&mut self, leader: LeaderId) -> &mut Self {
        self.u64(leader.term).u64(leader.node_id)
    }

    pub(crate) fn vote(&mut self, vote: &Vote) -> &mut Self {
        self.leader(vote.leader_id).flag(vote.committed)
    }

    pub(crate) fn position(&mut self, position: &Position) -> &mut Self {
        self.leader(position.leader_id).u64(position.index)
    }

    pub(crate) fn position_or_none(&mut self, position: Option<&Position>) -> &mut Self {
        self.option(position, |w, position| {
            w.position(position);
        })
    }

    pub(crate) fn entry(&mut self, entry: &Entry) -> &mut Self {
        self.position(&entry.log_id);
        match &entry.payload {
            EntryPayload::Blank => self.u8(0),
            EntryPayload::Normal(proposal) => self.u8(1).proposal(proposal),
            EntryPayload::Membership(membership) => self.u8(2).membership(membership),
        }
    }

    pub(crate) fn proposal(&mut self, proposal: &Proposal) -> &mut Self {
        self.raw(&proposal.id).bytes(&proposal.command)
    }

    fn membership(&mut self, membership: &Membership) -> &mut Self {
        let sets = membership.get_joint_config();
        self.u8(u8::try_from(sets.len()).unwrap_or(u8::MAX));
        for set in sets {
            self.u16(u16::try_from(set.len()).unwrap_or(u16::MAX));
            for node in set {
                self.u64(*node);
            }
        }
        let nodes: Vec<u64> = membership.nodes().map(|(node, _)| *node).collect();
        self.u32(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        for node in nodes {
            self.u64(node);
        }
        self
    }

    pub(crate) fn stored_membership(&mut self, stored: &StoredMembership) -> &mut Self {
        self.position_or_none(stored.log_id().as_ref())
            .membership(stored.membership())
    }
}

impl Reader {
    pub(crate) fn leader(&mut self) -> Result<LeaderId, DecodeError> {
        Ok(LeaderId::new(self.u64()?, self.u64()?))
    }

    pub(crate) fn vote(&mut self) -> Result<Vote, DecodeError> {
        Ok(Vote {
            leader_id: self.leader()?,
            committed: self.flag()?,
        })
    }

    pub(crate) fn position(&mut self) -> Result<Position, DecodeError> {
        let leader_id = self.leader()?;
        let error = self.error();
        let index = self.u64()?;
        let is_possible = index <= limits::LOG_POSITION_MAX;
        is_possible
            .then_some(Position { leader_id, index })
            .ok_or(error)
    }

    pub(crate) fn position_or_none(&mut self) -> Result<Option<Position>, DecodeError> {
        self.option(Self::position)
    }

    pub(crate) fn entry(&mut self) -> Result<Entry, DecodeError> {
        let log_id = self.position()?;
        let error = self.error();
        let payload = match self.u8()? {
            0 => EntryPayload::Blank,
            1 => EntryPayload::Normal(self.proposal()?),
            2 => EntryPayload::Membership(self.membership()?),
            _ => return Err(error),
        };
        Ok(Entry { log_id, payload })
    }

    pub(crate) fn proposal(&mut self) -> Result<Proposal, DecodeError> {
        let id = self.array()?;
        let error = self.error();
        let command = self.bytes()?;
        if command.len() > limits::COMMAND_BYTES_MAX {
            return Err(error);
        }
        Ok(Proposal { id, command })
    }

    fn membership(&mut self) -> Result<Membership, DecodeError> {
        let error = self.error();
        let sets = usize::from(self.u8()?);
        let sets = self.count(sets, 2)?;
        let configs = (0..sets)
            .map(|_| self.voter_set())
            .collect::<Result<Vec<_>, _>>()?;
        let nodes = self.u32()? as usize;
        let nodes = self.count(nodes, 8)?;
        let nodes = (0..nodes)
            .map(|_| Ok((self.u64()?, EmptyNode::new())))
            .collect::<Result<BTreeMap<_, _>, _>>()?;
        if configs.is_empty() && nodes.is_empty() {
            return Ok(Membership::default());
        }
        Membership::new(configs, nodes).map_err(|_| error)
    }

    fn voter_set(&mut self) -> Result<BTreeSet<u64>, DecodeError> {
        let nodes = usize::from(self.u16()?);
        let nodes = self.count(nodes, 8)?;
        (0..nodes).map(|_| self.u64()).collect()
    }

    pub(crate) fn stored_membership(&mut self) -> Result<StoredMembership, DecodeError> {
        Ok(StoredMembership::new(
            self.position_or_none()?,
            self.membership()?,
        ))
    }
}

#[cfg(test)]
mod tests;
