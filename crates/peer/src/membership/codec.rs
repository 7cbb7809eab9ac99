//! The bytes of the membership's messages.
//!
//! A message is what a datagram carries. All integers are big-endian.
//!
//! | message | bytes |
//! |---|---|
//! | protocol | 1, sender (member), its counter (u16), receiver (member), kind (u8), what the kind has; then, for most kinds, how many claims (u16) and the claims |
//! | superseded | 2, you (member), the process that took your place (member) |
//!
//! | part | bytes |
//! |---|---|
//! | member | node (u16), incarnation (u64), boot (16), renewals (u32), address |
//! | address | 4, IPv4 (4), port (u16); or 6, IPv6 (16), port (u16) |
//! | claim | member, counter (u16), state (u8): 0 alive, 1 suspected, 2 down |
//!
//! | kind | |
//! |---|---|
//! | 1 ping, 2 ack | number (u8) |
//! | 3 ask to ping, 4 ping for another, 5 its ack, 6 the ack passed on | the third member, number (u8) |
//! | 7 announce | no claims; zeros up to the longest message, so that the answer is never longer |
//! | 8 feed, 9 gossip | |
//! | 10 you are down | no claims |
//!
//! The counter of a member grows when it objects to a suspicion. A claim of *down* with the counter 65,535 was
//! made by the member itself, when it left.

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message, State};
use model::{BootId, Incarnation, NodeId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;

use super::MemberId;

const PROTOCOL: u8 = 1;
const SUPERSEDED: u8 = 2;

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Received {
    /// Of the protocol: what it says, and what it claims of others.
    Protocol(Header<MemberId>, Vec<Member<MemberId>>),
    /// Another process has the node's place.
    Superseded { you: MemberId, by: MemberId },
}

/// The bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum CodecError {
    #[error("too short")]
    TooShort,
    #[error("too long")]
    TooLong,
    #[error("an unknown kind, state or family")]
    Unknown,
}

/// Reads a whole message.
pub(super) fn read(mut bytes: &[u8]) -> Result<Received, CodecError> {
    if bytes.first() == Some(&SUPERSEDED) {
        bytes.advance(1);
        let (you, by) = (get_member_id(&mut bytes)?, get_member_id(&mut bytes)?);
        return end(bytes, Received::Superseded { you, by });
    }
    let header = WireCodec.decode_header(&mut bytes)?;
    if header.message == Message::Announce {
        // Zeros, so that there is no second way to say anything here.
        let is_padding = bytes.iter().all(|byte| *byte == 0);
        let received = Received::Protocol(header, Vec::new());
        return is_padding.then_some(received).ok_or(CodecError::TooLong);
    }
    let mut claims = Vec::new();
    if !bytes.is_empty() {
        // Pushed one by one: the count alone makes no memory be taken.
        for _ in 0..get_u16(&mut bytes)? {
            claims.push(WireCodec.decode_member(&mut bytes)?);
        }
    }
    end(bytes, Received::Protocol(header, claims))
}

/// A message of the protocol. It fits if it was read from a message, or has no claims.
pub(super) fn write(header: &Header<MemberId>, claims: &[Member<MemberId>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_header(header, &mut bytes);
    if !claims.is_empty() {
        bytes.put_u16(u16::try_from(claims.len()).unwrap_or(u16::MAX));
        for claim in claims.iter().take(usize::from(u16::MAX)) {
            put_member(claim, &mut bytes);
        }
    }
    bytes
}

/// Tells a process that another has its place.
pub(super) fn write_superseded(you: &MemberId, by: &MemberId) -> Vec<u8> {
    let mut bytes = vec![SUPERSEDED];
    put_member_id(you, &mut bytes);
    put_member_id(by, &mut bytes);
    bytes
}

/// How the protocol engine reads and writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireCodec;

impl Codec<MemberId> for WireCodec {
    type Error = CodecError;

    fn encode_header(
        &mut self,
        header: &Header<MemberId>,
        to: impl BufMut,
    ) -> Result<(), CodecError> {
        let mut bytes = Vec::new();
        put_header(header, &mut bytes);
        put_all(&bytes, to)
    }

    fn decode_header(&mut self, mut from: impl Buf) -> Result<Header<MemberId>, CodecError> {
        if get_u8(&mut from)? != PROTOCOL {
            return Err(CodecError::Unknown);
        }
        Ok(Header {
            src: get_member_id(&mut from)?,
            src_incarnation: get_u16(&mut from)?,
            dst: get_member_id(&mut from)?,
            message: get_kind(&mut from)?,
        })
    }

    fn encode_member(
        &mut self,
        member: &Member<MemberId>,
        to: impl BufMut,
    ) -> Result<(), CodecError> {
        let mut bytes = Vec::new();
        put_member(member, &mut bytes);
        put_all(&bytes, to)
    }

    fn decode_member(&mut self, mut from: impl Buf) -> Result<Member<MemberId>, CodecError> {
        let id = get_member_id(&mut from)?;
        let counter = get_u16(&mut from)?;
        let state = match get_u8(&mut from)? {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(CodecError::Unknown),
        };
        Ok(Member::new(id, counter, state))
    }
}

fn put_all(bytes: &[u8], mut to: impl BufMut) -> Result<(), CodecError> {
    if to.remaining_mut() < bytes.len() {
        return Err(CodecError::TooLong);
    }
    to.put_slice(bytes);
    Ok(())
}

fn end(rest: &[u8], received: Received) -> Result<Received, CodecError> {
    rest.is_empty()
        .then_some(received)
        .ok_or(CodecError::TooLong)
}

fn put_header(header: &Header<MemberId>, to: &mut Vec<u8>) {
    to.put_u8(PROTOCOL);
    put_member_id(&header.src, to);
    to.put_u16(header.src_incarnation);
    put_member_id(&header.dst, to);
    let (kind, third, number) = match &header.message {
        Message::Ping(number) => (1, None, Some(number)),
        Message::Ack(number) => (2, None, Some(number)),
        Message::PingReq {
            target,
            probe_number,
        } => (3, Some(target), Some(probe_number)),
        Message::IndirectPing {
            origin,
            probe_number,
        } => (4, Some(origin), Some(probe_number)),
        Message::IndirectAck {
            target,
            probe_number,
        } => (5, Some(target), Some(probe_number)),
        Message::ForwardedAck {
            origin,
            probe_number,
        } => (6, Some(origin), Some(probe_number)),
        Message::Announce => (7, None, None),
        Message::Feed => (8, None, None),
        // A broadcast is gossip without claims, and none is ever asked for.
        Message::Gossip | Message::Broadcast => (9, None, None),
        Message::TurnUndead => (10, None, None),
    };
    to.put_u8(kind);
    if let Some(third) = third {
        put_member_id(third, to);
    }
    if let Some(number) = number {
        to.put_u8(*number);
    }
}

fn get_kind(from: &mut impl Buf) -> Result<Message<MemberId>, CodecError> {
    Ok(match get_u8(from)? {
        1 => Message::Ping(get_u8(from)?),
        2 => Message::Ack(get_u8(from)?),
        3 => Message::PingReq {
            target: get_member_id(from)?,
            probe_number: get_u8(from)?,
        },
        4 => Message::IndirectPing {
            origin: get_member_id(from)?,
            probe_number: get_u8(from)?,
        },
        5 => Message::IndirectAck {
            target: get_member_id(from)?,
            probe_number: get_u8(from)?,
        },
        6 => Message::ForwardedAck {
            origin: get_member_id(from)?,
            probe_number: get_u8(from)?,
        },
        7 => Message::Announce,
        8 => Message::Feed,
        9 => Message::Gossip,
        10 => Message::TurnUndead,
        _ => return Err(CodecError::Unknown),
    })
}

/// Writes a claim.
pub(super) fn put_member(member: &Member<MemberId>, to: &mut Vec<u8>) {
    put_member_id(member.id(), to);
    to.put_u16(member.incarnation());
    to.put_u8(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
}

fn put_member_id(id: &MemberId, to: &mut Vec<u8>) {
    to.put_u16(id.node.0);
    to.put_u64(id.incarnation.0);
    to.put_slice(id.boot.as_bytes());
    to.put_u32(id.renewals);
    match id.address.ip() {
        IpAddr::V4(ip) => {
            to.put_u8(4);
            to.put_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            to.put_u8(6);
            to.put_slice(&ip.octets());
        }
    }
    to.put_u16(id.address.port());
}

fn get_member_id(from: &mut impl Buf) -> Result<MemberId, CodecError> {
    let node = NodeId(get_u16(from)?);
    let incarnation = Incarnation(from.try_get_u64().map_err(|_| CodecError::TooShort)?);
    let boot = BootId::from_bytes(get_array(from)?);
    let renewals = from.try_get_u32().map_err(|_| CodecError::TooShort)?;
    let ip = match get_u8(from)? {
        4 => IpAddr::V4(Ipv4Addr::from(get_array::<4>(from)?)),
        6 => IpAddr::V6(Ipv6Addr::from(get_array::<16>(from)?)),
        _ => return Err(CodecError::Unknown),
    };
    Ok(MemberId {
        node,
        incarnation,
        boot,
        renewals,
        address: SocketAddr::new(ip, get_u16(from)?),
    })
}

fn get_u8(from: &mut impl Buf) -> Result<u8, CodecError> {
    from.try_get_u8().map_err(|_| CodecError::TooShort)
}

fn get_u16(from: &mut impl Buf) -> Result<u16, CodecError> {
    from.try_get_u16().map_err(|_| CodecError::TooShort)
}

fn get_array<const N: usize>(from: &mut impl Buf) -> Result<[u8; N], CodecError> {
    let mut array = [0; N];
    from.try_copy_to_slice(&mut array)
        .map_err(|_| CodecError::TooShort)?;
    Ok(array)
}

#[cfg(test)]
mod tests;
