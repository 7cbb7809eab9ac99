//! That one holds the cluster key, without showing it.
//!
//! A proof is the tag of XChaCha20-Poly1305 over no text, under the cluster key and a random nonce, with
//! the whole conversation as associated data:
//!
//! | field | |
//! |---|---|
//! | context | `hark peer proof 1 dialler` or `hark peer proof 1 answerer`, so that none is good for the other side |
//! | binding | 32 bytes: names the TLS connection, so that none is good for another; zeros without TLS |
//! | the dialler's hello | u16 length, the message |
//! | the answerer's hello | the same |

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

use super::HandshakeError;
use crate::error::{Rejection, RejectionCode};
use crate::protocol::PROOF_BYTES;
use crate::{ClusterKey, ClusterKeys};

const NONCE_BYTES: usize = 24;

type Proof = Option<[u8; PROOF_BYTES]>;

/// Whose proof it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Dialler,
    Answerer,
}

impl Part {
    const fn context(self) -> &'static [u8] {
        match self {
            Self::Dialler => b"hark peer proof 1 dialler",
            Self::Answerer => b"hark peer proof 1 answerer",
        }
    }
}

/// What both sides have said.
pub(super) struct Transcript<'a> {
    pub(super) binding: [u8; 32],
    pub(super) dialler: &'a [u8],
    pub(super) answerer: &'a [u8],
}

impl Transcript<'_> {
    pub(super) fn prove(
        &self,
        by: Part,
        keys: Option<&ClusterKeys>,
    ) -> Result<Proof, HandshakeError> {
        let Some(keys) = keys else {
            return Ok(None);
        };
        let nonce = super::random::<NONCE_BYTES>()?;
        let tag = self.tag(by, keys.first(), &nonce);
        let proof = [nonce.as_slice(), &tag].concat();
        Ok(proof.try_into().ok())
    }

    pub(super) fn check(
        &self,
        by: Part,
        keys: Option<&ClusterKeys>,
        has_key: bool,
        proof: Proof,
    ) -> Result<(), Rejection> {
        let refused = |reason: &str| Err(Rejection::ours(RejectionCode::Key, reason));
        let (keys, proof) = match (keys, proof) {
            (None, None) if !has_key => return Ok(()),
            (None, _) => {
                return refused(
                    "one node has a cluster key and the other has none; give all nodes the same 'cluster.key'",
                );
            }
            (Some(_), None) => {
                return refused(
                    "this cluster has a key, and it was not shown; give all nodes the same 'cluster.key'",
                );
            }
            (Some(keys), Some(proof)) => (keys, proof),
        };
        if keys.iter().any(|key| self.is_good(by, key, &proof)) {
            return Ok(());
        }
        refused("the cluster keys differ; give all nodes the same 'cluster.key'")
    }

    /// Opening compares the tag in constant time.
    fn is_good(&self, by: Part, key: &ClusterKey, proof: &[u8; PROOF_BYTES]) -> bool {
        let (nonce, tag) = proof.split_at(NONCE_BYTES);
        let said = Payload {
            msg: tag,
            aad: &self.bytes(by),
        };
        cipher(key).decrypt(XNonce::from_slice(nonce), said).is_ok()
    }

    fn tag(&self, by: Part, key: &ClusterKey, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
        let said = Payload {
            msg: b"",
            aad: &self.bytes(by),
        };
        // Fails only for texts of more than 256 GiB; an empty tag would be no proof.
        let tag = cipher(key).encrypt(XNonce::from_slice(nonce), said);
        tag.unwrap_or_default()
    }

    fn bytes(&self, by: Part) -> Vec<u8> {
        let length = |message: &[u8]| {
            u16::try_from(message.len())
                .unwrap_or(u16::MAX)
                .to_be_bytes()
        };
        [
            by.context(),
            &self.binding,
            &length(self.dialler),
            self.dialler,
            &length(self.answerer),
            self.answerer,
        ]
        .concat()
    }
}

fn cipher(key: &ClusterKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.as_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_for_one_side_of_one_conversation_under_one_key() {
        let keys = ClusterKeys::one(ClusterKey::from_bytes([7; 32]));
        let said = transcript(0, b"hello", b"hello too");
        let proof = said.prove(Part::Dialler, Some(&keys)).unwrap();
        assert_eq!(said.check(Part::Dialler, Some(&keys), true, proof), Ok(()));

        let other = ClusterKeys::one(ClusterKey::from_bytes([8; 32]));
        let cases = [
            (
                "another key",
                said.check(Part::Dialler, Some(&other), true, proof),
            ),
            (
                "the other side",
                said.check(Part::Answerer, Some(&keys), true, proof),
            ),
            (
                "none where one is due",
                said.check(Part::Dialler, Some(&keys), false, None),
            ),
            (
                "one where none is due",
                said.check(Part::Dialler, None, true, proof),
            ),
            (
                "a key here only",
                said.check(Part::Dialler, None, true, None),
            ),
            (
                "another connection",
                transcript(1, b"hello", b"hello too").check(
                    Part::Dialler,
                    Some(&keys),
                    true,
                    proof,
                ),
            ),
            (
                "other words",
                transcript(0, b"hellohello", b" too").check(
                    Part::Dialler,
                    Some(&keys),
                    true,
                    proof,
                ),
            ),
        ];
        for (what, outcome) in cases {
            assert_eq!(
                outcome.map_err(|it| it.code),
                Err(RejectionCode::Key),
                "{what}"
            );
        }
    }

    #[test]
    fn the_old_key_is_good_while_a_new_one_is_brought_in() {
        let [old, new] = [1, 2].map(|byte| ClusterKey::from_bytes([byte; 32]));
        let both = ClusterKeys::new(vec![new, old.clone()]).unwrap();
        let said = transcript(0, b"a", b"b");
        let proof = said
            .prove(Part::Answerer, Some(&ClusterKeys::one(old)))
            .unwrap();
        assert_eq!(said.check(Part::Answerer, Some(&both), true, proof), Ok(()));
    }

    fn transcript<'a>(binding: u8, dialler: &'a [u8], answerer: &'a [u8]) -> Transcript<'a> {
        Transcript {
            binding: [binding; 32],
            dialler,
            answerer,
        }
    }
}
