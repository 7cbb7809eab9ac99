//! The answers to the last commands, so that a command that is proposed again, because the first answer
//! was lost, is answered again and does not happen twice.
//!
//! Part of the replicated state: every node remembers, and forgets, the same.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use catalog::{Catalog, Outcome, Refusal};
use model::{TopicId, limits};

use crate::codec::{DecodeError, Reader, Writer};

type ProposalId = [u8; 16];

/// The answers to the last commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recent {
    order: VecDeque<ProposalId>,
    answers: BTreeMap<ProposalId, Remembered>,
    bytes: usize,
}

/// An answer, without what the catalog itself remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remembered {
    /// The topic of this identity.
    Topic(TopicId),
    /// What [`catalog::encode_result`] gave.
    Other(Bytes),
}

impl Recent {
    /// The answer that this proposal had, if it had one lately.
    pub(crate) fn answer(
        &self,
        id: &ProposalId,
        catalog: &Catalog,
    ) -> Option<Result<Outcome, Refusal>> {
        match self.answers.get(id)? {
            Remembered::Topic(topic) => {
                let topic = catalog.topic_by_id(*topic).cloned();
                Some(Ok(topic.map_or(Outcome::Done, Outcome::Topic)))
            }
            Remembered::Other(bytes) => catalog::decode_result(bytes).ok(),
        }
    }

    /// Remembers an answer, and forgets the oldest when there are too many.
    pub(crate) fn remember(&mut self, id: ProposalId, answer: &Result<Outcome, Refusal>) {
        let remembered = match answer {
            Ok(Outcome::Topic(topic)) => Remembered::Topic(topic.id),
            other => Remembered::Other(catalog::encode_result(other).into()),
        };
        self.insert(id, remembered);
        while self.order.len() > limits::PROPOSALS_REMEMBERED_MAX
            || self.bytes > limits::PROPOSALS_REMEMBERED_BYTES_MAX
        {
            self.forget_oldest();
        }
    }

    fn insert(&mut self, id: ProposalId, remembered: Remembered) {
        self.bytes += remembered.size();
        self.order.push_back(id);
        if let Some(replaced) = self.answers.insert(id, remembered) {
            self.bytes -= replaced.size();
            self.order.pop_back();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.order.pop_front();
        if let Some(forgotten) = oldest.and_then(|id| self.answers.remove(&id)) {
            self.bytes -= forgotten.size();
        }
    }

    /// Count `u32`, then from the oldest: proposal id 16 bytes, kind `u8`; kind 0 an answer as `bytes`,
    /// kind 1 a topic id of 16 bytes.
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(u32::try_from(self.order.len()).unwrap_or(u32::MAX));
        for id in &self.order {
            w.raw(id);
            match self.answers.get(id) {
                Some(Remembered::Topic(topic)) => w.u8(1).raw(topic.as_bytes()),
                Some(Remembered::Other(bytes)) => w.u8(0).bytes(bytes),
                None => w.u8(0).bytes(&[]),
            };
        }
    }

    pub(crate) fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        let count = r.u32()? as usize;
        let count = r.count(count, 21)?;
        let mut recent = Self::default();
        for _ in 0..count {
            let id = r.array()?;
            let error = r.error();
            let remembered = match r.u8()? {
                0 => Remembered::Other(r.bytes()?),
                1 => Remembered::Topic(TopicId::from_bytes(r.array()?)),
                _ => return Err(error),
            };
            recent.insert(id, remembered);
        }
        Ok(recent)
    }
}

impl Remembered {
    fn size(&self) -> usize {
        match self {
            Self::Topic(_) => 32,
            Self::Other(bytes) => 16 + bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> ProposalId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        id
    }

    #[test]
    fn an_answer_is_given_again_until_it_is_forgotten() {
        let catalog = Catalog::default();
        let mut recent = Recent::default();
        let first = Ok(Outcome::ProducerIds { first: 7, count: 2 });
        recent.remember(id(0), &first);
        recent.remember(id(1), &Err(Refusal::NoPlace));
        assert_eq!(recent.answer(&id(0), &catalog), Some(first));
        assert_eq!(recent.answer(&id(1), &catalog), Some(Err(Refusal::NoPlace)));
        assert_eq!(recent.answer(&id(2), &catalog), None);
        for n in 2..=limits::PROPOSALS_REMEMBERED_MAX as u32 {
            recent.remember(id(n), &Ok(Outcome::Done));
        }
        assert_eq!(recent.answer(&id(0), &catalog), None);
        assert_eq!(recent.answer(&id(1), &catalog), Some(Err(Refusal::NoPlace)));
    }

    #[test]
    fn reads_back_what_it_writes() {
        let mut recent = Recent::default();
        recent.remember(id(5), &Ok(Outcome::Done));
        recent.insert(id(3), Remembered::Topic(TopicId::from_bytes([9; 16])));
        let bytes = Writer::one(|w| recent.encode(w));
        assert_eq!(Reader::one(bytes.into(), Recent::decode), Ok(recent));
    }

    #[test]
    fn large_answers_push_out_older_ones() {
        let mut recent = Recent::default();
        let large = "x".repeat(limits::PROPOSALS_REMEMBERED_BYTES_MAX / 3);
        for n in 0..9 {
            recent.remember(id(n), &Err(Refusal::Limit(large.clone())));
        }
        assert!(recent.order.len() < 4 && recent.bytes <= limits::PROPOSALS_REMEMBERED_BYTES_MAX);
    }
}
