//! What nodes that look for each other say: the bodies of the services Discover and Join.
//!
//! Numbers are big-endian. A text is its length in bytes as `u16` and so many bytes of UTF-8; an
//! optional id is a byte 0, or a byte 1 and the id as `u16`.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use catalog::{Command, DecodeError, Registration};
use control::{Joined, NotJoined};
use model::limits::PEERS_SOUGHT_MAX;
use model::{ClusterId, NodeId, StorageId};
use thiserror::Error;

use super::{Candidate, PeerAddress};

/// The version of both services.
const VERSION: u8 = 1;

/// Who are you? `version u8, storage [16], wanted id, address text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Who asks.
    pub who: Candidate,
    /// Where it can be asked itself.
    pub address: PeerAddress,
}

/// `version u8, storage [16], wanted id, stage, count u16, count × address text`. The stage is a
/// byte: 0 fresh, 1 founding, 2 member, and then the cluster `[16]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Who answers. A member gives its own id as the one that it wants.
    pub who: Candidate,
    /// How far it is.
    pub stage: Stage,
    /// Where it knows of others.
    pub known: Vec<PeerAddress>,
}

/// How far a node is on its way to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has no cluster.
    Fresh,
    /// It is about to found one.
    Founding,
    /// It has one.
    Member(ClusterId),
}

/// Not a message of these.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum MessageError {
    /// Of another version.
    #[error(
        "it speaks version {0} of the protocol for finding peers, and this node version {VERSION}"
    )]
    Version(u8),
    /// Too short, too long, or nonsense.
    #[error("the message is damaged")]
    Damaged,
}

impl From<bytes::TryGetError> for MessageError {
    fn from(_: bytes::TryGetError) -> Self {
        Self::Damaged
    }
}

impl From<DecodeError> for MessageError {
    fn from(_: DecodeError) -> Self {
        Self::Damaged
    }
}

impl Question {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(VERSION);
        put_candidate(&mut bytes, &self.who);
        put_text(&mut bytes, &self.address.to_string());
        bytes.freeze()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, MessageError> {
        take_version(&mut bytes)?;
        let question = Self {
            who: take_candidate(&mut bytes)?,
            address: take_address(&mut bytes)?,
        };
        end(bytes).map(|()| question)
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(VERSION);
        put_candidate(&mut bytes, &self.who);
        match self.stage {
            Stage::Fresh => bytes.put_u8(0),
            Stage::Founding => bytes.put_u8(1),
            Stage::Member(cluster) => {
                bytes.put_u8(2);
                bytes.put_slice(cluster.as_bytes());
            }
        }
        let known = self.known.iter().take(PEERS_SOUGHT_MAX);
        bytes.put_u16(u16::try_from(known.len()).unwrap_or(u16::MAX));
        known.for_each(|address| put_text(&mut bytes, &address.to_string()));
        bytes.freeze()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, MessageError> {
        take_version(&mut bytes)?;
        let who = take_candidate(&mut bytes)?;
        let stage = match bytes.try_get_u8()? {
            0 => Stage::Fresh,
            1 => Stage::Founding,
            2 => Stage::Member(ClusterId::from_bytes(take_16(&mut bytes)?)),
            _ => return Err(MessageError::Damaged),
        };
        let count = usize::from(bytes.try_get_u16()?);
        if count > PEERS_SOUGHT_MAX {
            return Err(MessageError::Damaged);
        }
        let known = (0..count).map(|_| take_address(&mut bytes));
        let known = known.collect::<Result<_, _>>()?;
        end(bytes).map(|()| Self { who, stage, known })
    }
}

/// A request to join: `version u8`, then the command that registers, as the catalog writes it.
pub(crate) fn encode_join(registration: Registration) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(VERSION);
    bytes.put_slice(&Command::Register(registration).encode());
    bytes.freeze()
}

/// See [`encode_join`].
pub(crate) fn decode_join(mut bytes: &[u8]) -> Result<Registration, MessageError> {
    take_version(&mut bytes)?;
    match Command::decode(bytes)? {
        Command::Register(registration) => Ok(registration),
        _ => Err(MessageError::Damaged),
    }
}

/// The answer to a request to join: a byte 0 and the catalog's result; or a byte 1, ask again, or 2, never,
/// and a text that says why.
pub(crate) fn encode_joined(joined: &Joined) -> Bytes {
    let mut bytes = BytesMut::new();
    match joined {
        Ok(result) => {
            bytes.put_u8(0);
            bytes.put_slice(&catalog::encode_result(result));
        }
        Err(NotJoined::NotNow(why)) => {
            bytes.put_u8(1);
            put_text(&mut bytes, why);
        }
        Err(NotJoined::Never(why)) => {
            bytes.put_u8(2);
            put_text(&mut bytes, why);
        }
    }
    bytes.freeze()
}

/// See [`encode_joined`].
pub(crate) fn decode_joined(mut bytes: &[u8]) -> Result<Joined, MessageError> {
    let kind: fn(String) -> NotJoined = match bytes.try_get_u8()? {
        0 => return Ok(Ok(catalog::decode_result(bytes)?)),
        1 => NotJoined::NotNow,
        2 => NotJoined::Never,
        _ => return Err(MessageError::Damaged),
    };
    let why = take_text(&mut bytes)?;
    end(bytes).map(|()| Err(kind(why)))
}

fn put_candidate(bytes: &mut BytesMut, candidate: &Candidate) {
    bytes.put_slice(candidate.storage.as_bytes());
    match candidate.wanted {
        None => bytes.put_u8(0),
        Some(id) => {
            bytes.put_u8(1);
            bytes.put_u16(id.0);
        }
    }
}

/// Cuts what is too long to be said.
fn put_text(bytes: &mut BytesMut, text: &str) {
    let mut length = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    bytes.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
    bytes.put_slice(text.get(..length).unwrap_or_default().as_bytes());
}

fn take_version(bytes: &mut &[u8]) -> Result<(), MessageError> {
    match bytes.try_get_u8()? {
        VERSION => Ok(()),
        other => Err(MessageError::Version(other)),
    }
}

fn take_candidate(bytes: &mut &[u8]) -> Result<Candidate, MessageError> {
    let storage = StorageId::from_bytes(take_16(bytes)?);
    let wanted = match bytes.try_get_u8()? {
        0 => None,
        1 => Some(NodeId(bytes.try_get_u16()?)),
        _ => return Err(MessageError::Damaged),
    };
    Ok(Candidate { wanted, storage })
}

fn take_address(bytes: &mut &[u8]) -> Result<PeerAddress, MessageError> {
    let text = take_text(bytes)?;
    text.parse().map_err(|_| MessageError::Damaged)
}

fn take_text(bytes: &mut &[u8]) -> Result<String, MessageError> {
    let length = usize::from(bytes.try_get_u16()?);
    let (text, rest) = bytes
        .split_at_checked(length)
        .ok_or(MessageError::Damaged)?;
    *bytes = rest;
    let text = std::str::from_utf8(text).map_err(|_| MessageError::Damaged)?;
    Ok(text.to_owned())
}

fn take_16(bytes: &mut &[u8]) -> Result<[u8; 16], MessageError> {
    let mut taken = [0; 16];
    bytes.try_copy_to_slice(&mut taken)?;
    Ok(taken)
}

const fn end(rest: &[u8]) -> Result<(), MessageError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(MessageError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use catalog::{Outcome, Refusal};

    use super::*;

    fn candidate(wanted: Option<u16>) -> Candidate {
        Candidate {
            wanted: wanted.map(NodeId),
            storage: StorageId::from_bytes([7; 16]),
        }
    }

    fn answers() -> Vec<Answer> {
        let cluster = ClusterId::from_bytes([9; 16]);
        let known = vec!["a:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        [Stage::Fresh, Stage::Founding, Stage::Member(cluster)]
            .into_iter()
            .flat_map(|stage| {
                [(None, vec![]), (Some(3), known.clone())].map(|(wanted, known)| Answer {
                    who: candidate(wanted),
                    stage,
                    known,
                })
            })
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let question = Question {
            who: candidate(Some(5)),
            address: "node-a:7946".parse().unwrap(),
        };
        assert_eq!(Question::decode(&question.encode()), Ok(question));
        for answer in answers() {
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
        for joined in [
            Ok(Ok(Outcome::Done)),
            Ok(Err(Refusal::Removed(NodeId(3)))),
            Err(NotJoined::NotNow("nobody leads".to_owned())),
            Err(NotJoined::Never("the certificate is another's".to_owned())),
        ] {
            assert_eq!(decode_joined(&encode_joined(&joined)), Ok(joined));
        }
    }

    #[test]
    fn damage_is_told_and_never_a_panic() {
        for answer in answers() {
            let bytes = answer.encode();
            for length in 0..bytes.len() {
                assert!(Answer::decode(&bytes[..length]).is_err());
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Answer::decode(&longer), Err(MessageError::Damaged));
            for place in 0..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.to_vec();
                    damaged[place] ^= 1 << bit;
                    // It may still mean something; it must only not fail in another way.
                    drop(Answer::decode(&damaged));
                    drop(Question::decode(&damaged));
                    drop(decode_join(&damaged));
                    drop(decode_joined(&damaged));
                }
            }
        }
        assert_eq!(Answer::decode(&[2]), Err(MessageError::Version(2)));
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        let joined: Joined = Err(NotJoined::Never("\u{fc}".repeat(40_000)));
        let Ok(Err(NotJoined::Never(read))) = decode_joined(&encode_joined(&joined)) else {
            panic!("it was an error");
        };
        assert_eq!(read.len(), 65_534);
    }
}
