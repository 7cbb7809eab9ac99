//! The messages of the handshake.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | magic | `HARKPEER` |
//! | 8 | kind | 1 hello, 2 proof, 3 welcome, 4 refusal |
//! | 9..11 | length | u16, bytes of the body: at most `PEER_HANDSHAKE_MESSAGE_BYTES_MAX` |
//! | 11.. | body | |
//!
//! This header, the first two bytes of a hello, and a refusal are the same in every version. The body
//! of a hello:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0 | newest | the newest version that the sender speaks |
//! | 1 | oldest | the oldest one |
//! | 2 | lane | see [`Lane`]; chosen by who dials |
//! | 3 | flags | 1 has a cluster, 2 has an id, 4 has a cluster key |
//! | 4..36 | nonce | random |
//! | 36..52 | storage | |
//! | 52..68 | boot | |
//! | 68..84 | cluster | zeros without |
//! | 84..86 | id | zeros without |
//! | 86..94 | incarnation | u64 |
//! | 94 | count | of earlier boots: at most `KNOWN_BOOTS_MAX` |
//! | 95.. | earlier boots | 16 bytes each |
//!
//! A sender of a newer version may append fields and set more flags. A proof is empty without a cluster key, else 40 bytes:
//! a random nonce of 24, a tag of 16. A welcome is the version that both will speak, 1 byte. A refusal is
//! the code, 1 byte, and the reason in UTF-8.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use catalog::Claim;
use model::{BootId, ClusterId, Incarnation, NodeId, StorageId, limits};
use thiserror::Error;

use super::frame::shortened;
use crate::Lane;
use crate::error::RejectionCode;

/// The version spoken here.
pub const VERSION: u8 = 1;
/// Bytes before a message's body.
pub const MESSAGE_HEADER_BYTES: usize = 11;
/// Random bytes of a hello.
pub const NONCE_BYTES: usize = 32;
/// Bytes of a proof.
pub const PROOF_BYTES: usize = 40;

const MAGIC: &[u8; 8] = b"HARKPEER";
/// Of a hello without earlier boots.
const HELLO_BYTES: usize = 95;
const BOOT_BYTES: usize = 16;
const HAS_CLUSTER: u8 = 1;
const HAS_ID: u8 = 2;
const HAS_KEY: u8 = 4;
const KNOWN_FLAGS: u8 = HAS_CLUSTER | HAS_ID | HAS_KEY;

/// A message of the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Who is there.
    Hello(Hello),
    /// That the sender holds the cluster key, unless it has none.
    Proof(Option<[u8; PROOF_BYTES]>),
    /// Frames may follow.
    Welcome {
        /// What both speak.
        version: u8,
    },
    /// The sender closes the connection.
    Refusal {
        /// Why.
        code: RejectionCode,
        /// Why.
        reason: String,
    },
}

/// Who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The newest version that the sender speaks.
    pub newest: u8,
    /// The oldest one.
    pub oldest: u8,
    /// What the connection is for.
    pub lane: Lane,
    /// Whether the sender has a cluster key, and expects the other to have it.
    pub has_key: bool,
    /// Random, so that no proof is good for another connection.
    pub nonce: [u8; NONCE_BYTES],
    /// Who the sender says it is.
    pub claim: Claim,
}

impl Message {
    /// Header and body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, body) = match self {
            Self::Hello(hello) => (1, hello.encode()),
            Self::Proof(None) => (2, Bytes::new()),
            Self::Proof(Some(proof)) => (2, Bytes::copy_from_slice(proof)),
            Self::Welcome { version } => (3, Bytes::copy_from_slice(&[*version])),
            Self::Refusal { code, reason } => {
                let reason = shortened(reason.clone());
                let mut body = BytesMut::with_capacity(1 + reason.len());
                body.put_u8(*code as u8);
                body.put(reason);
                (4, body.freeze())
            }
        };
        let mut bytes = BytesMut::with_capacity(MESSAGE_HEADER_BYTES + body.len());
        bytes.put_slice(MAGIC);
        bytes.put_u8(kind);
        bytes.put_u16(u16::try_from(body.len()).unwrap_or(u16::MAX));
        bytes.put(body);
        bytes.freeze()
    }

    /// Reads one whole message, as [`body_bytes`] told its length.
    pub fn decode(header: &[u8; MESSAGE_HEADER_BYTES], body: &[u8]) -> Result<Self, MessageError> {
        if body.len() != body_bytes(header)? {
            return Err(MessageError::Malformed);
        }
        let [.., kind, _, _] = *header;
        match (kind, body) {
            (1, body) => Hello::decode(body).map(Self::Hello),
            (2, []) => Ok(Self::Proof(None)),
            (2, proof) => {
                let proof = proof.try_into().map_err(|_| MessageError::Malformed)?;
                Ok(Self::Proof(Some(proof)))
            }
            (3, [version]) => Ok(Self::Welcome { version: *version }),
            (4, [code, reason @ ..]) if reason.len() <= limits::PEER_REASON_BYTES_MAX => {
                let reason = str::from_utf8(reason).map_err(|_| MessageError::Malformed)?;
                Ok(Self::Refusal {
                    code: RejectionCode::received(*code),
                    reason: reason.to_owned(),
                })
            }
            _ => Err(MessageError::Malformed),
        }
    }
}

/// The length of the body that follows this header.
pub fn body_bytes(header: &[u8; MESSAGE_HEADER_BYTES]) -> Result<usize, MessageError> {
    let [magic @ .., _, high, low] = header;
    if magic != MAGIC {
        return Err(match magic {
            // A handshake record, or an alert, of TLS.
            [0x15 | 0x16, 3, ..] => MessageError::Tls,
            _ => MessageError::Magic,
        });
    }
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > limits::PEER_HANDSHAKE_MESSAGE_BYTES_MAX {
        return Err(MessageError::Malformed);
    }
    Ok(length)
}

impl Hello {
    fn encode(&self) -> Bytes {
        let claim = &self.claim;
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let mut bytes = BytesMut::with_capacity(HELLO_BYTES);
        bytes.put_slice(&[self.newest, self.oldest, self.lane as u8]);
        bytes.put_u8(
            flag(claim.cluster.is_some(), HAS_CLUSTER)
                | flag(claim.id.is_some(), HAS_ID)
                | flag(self.has_key, HAS_KEY),
        );
        bytes.put_slice(&self.nonce);
        bytes.put_slice(claim.storage.as_bytes());
        bytes.put_slice(claim.boot.as_bytes());
        bytes.put_slice(&claim.cluster.map_or([0; 16], |id| *id.as_bytes()));
        bytes.put_u16(claim.id.map_or(0, |id| id.0));
        bytes.put_u64(claim.incarnation.0);
        let boots = claim.known_boots.iter().take(limits::KNOWN_BOOTS_MAX);
        bytes.put_u8(u8::try_from(boots.len()).unwrap_or(u8::MAX));
        boots.for_each(|boot| bytes.put_slice(boot.as_bytes()));
        bytes.freeze()
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, MessageError> {
        let [newest, oldest, ..] = *bytes else {
            return Err(MessageError::Malformed);
        };
        if oldest > VERSION || newest < VERSION || oldest > newest {
            return Err(MessageError::Version { newest, oldest });
        }
        if bytes.len() < HELLO_BYTES {
            return Err(MessageError::Malformed);
        }
        bytes.advance(2);
        let lane = Lane::from_number(bytes.get_u8()).ok_or(MessageError::Malformed)?;
        let flags = bytes.get_u8();
        let nonce = take(&mut bytes);
        let claim = Claim {
            storage: StorageId::from_bytes(take(&mut bytes)),
            boot: BootId::from_bytes(take(&mut bytes)),
            cluster: given(flags & HAS_CLUSTER, ClusterId::from_bytes(take(&mut bytes))),
            id: given(flags & HAS_ID, NodeId(bytes.get_u16())),
            incarnation: Incarnation(bytes.get_u64()),
            known_boots: boots(&mut bytes)?,
        };
        let has_unknown = flags & !KNOWN_FLAGS != 0 || !bytes.is_empty();
        if newest == VERSION && has_unknown {
            return Err(MessageError::Malformed);
        }
        Ok(Self {
            newest,
            oldest,
            lane,
            has_key: flags & HAS_KEY != 0,
            nonce,
            claim,
        })
    }
}

/// The bytes are not a message of this handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Somebody else's protocol.
    #[error("what is there does not speak the protocol between nodes; is it the right port?")]
    Magic,
    /// TLS.
    #[error("the other node speaks TLS and this one does not; give both a certificate, or neither")]
    Tls,
    /// Versions that are not known here.
    #[error(
        "the other node speaks versions {oldest} to {newest} of the protocol between nodes, and this one version {VERSION}; install releases that are nearer to each other"
    )]
    Version {
        /// Theirs.
        newest: u8,
        /// Theirs.
        oldest: u8,
    },
    /// Neither.
    #[error("a malformed message")]
    Malformed,
}

fn given<T>(flag: u8, value: T) -> Option<T> {
    (flag != 0).then_some(value)
}

/// A count that is there, and what it counts.
fn boots(bytes: &mut &[u8]) -> Result<Vec<BootId>, MessageError> {
    let count = usize::from(bytes.get_u8());
    if count > limits::KNOWN_BOOTS_MAX || bytes.len() < count * BOOT_BYTES {
        return Err(MessageError::Malformed);
    }
    let boots = (0..count).map(|_| BootId::from_bytes(take(bytes)));
    Ok(boots.collect())
}

/// The next bytes, of which there must be enough.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let mut taken = [0; N];
    bytes.copy_to_slice(&mut taken);
    taken
}
