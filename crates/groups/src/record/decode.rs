//! Bytes to records.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use model::{LeaderEpoch, Offset, PartitionId, PartitionIndex, TopicName};

use super::codec::Reader;
use super::encode::{BY_CLIENT, BY_SERVER, KEY_COMMIT, KEY_MEMBERSHIP, VERSION};
use super::{Assigner, DecodeError, Membership, StateRecord, StoredMember};
use crate::{Assignment, Assigns, Commit};

type Decoded<T> = Result<T, DecodeError>;

pub(super) fn record(key: &[u8], value: Option<&[u8]>) -> Decoded<StateRecord> {
    let mut reader = Reader::new(key);
    let record = match reader.u8()? {
        KEY_COMMIT => StateRecord::Commit {
            group: reader.name()?,
            partition: partition(&mut reader)?,
            value: versioned(value, commit)?,
        },
        KEY_MEMBERSHIP => StateRecord::Membership {
            group: reader.name()?,
            value: versioned(value, membership)?.map(Arc::new),
        },
        _ => return Err(DecodeError::UnknownKind),
    };
    reader.finish()?;
    Ok(record)
}

fn versioned<T>(
    value: Option<&[u8]>,
    read: impl FnOnce(&mut Reader<'_>) -> Decoded<T>,
) -> Decoded<Option<T>> {
    let Some(bytes) = value else { return Ok(None) };
    let mut reader = Reader::new(bytes);
    if reader.u8()? != VERSION {
        return Err(DecodeError::UnknownKind);
    }
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(Some(value))
}

fn partition(reader: &mut Reader<'_>) -> Decoded<PartitionId> {
    Ok(PartitionId {
        topic: reader.topic()?,
        index: PartitionIndex(reader.u32()?),
    })
}

fn commit(reader: &mut Reader<'_>) -> Decoded<Commit> {
    Ok(Commit {
        offset: Offset::new(reader.u64()?).ok_or(DecodeError::Invalid("offset"))?,
        leader_epoch: reader.option(Reader::u32)?.map(LeaderEpoch),
        metadata: reader.text()?,
    })
}

fn membership(reader: &mut Reader<'_>) -> Decoded<Membership> {
    Ok(Membership {
        generation: reader.u32()?,
        assigner: assigner(reader)?,
        protocol_type: reader.text()?,
        protocol: reader.option(Reader::text)?,
        leader: reader.option(Reader::name)?,
        members: reader.list(member)?,
    })
}

fn assigner(reader: &mut Reader<'_>) -> Decoded<Assigner> {
    match reader.u8()? {
        0 => Ok(Assigner::Nobody),
        1 => Ok(Assigner::Leader),
        2 => Ok(Assigner::Coordinator),
        _ => Err(DecodeError::Invalid("assigner")),
    }
}

fn member(reader: &mut Reader<'_>) -> Decoded<StoredMember> {
    Ok(StoredMember {
        member: reader.name()?,
        instance: reader.option(Reader::name)?,
        client: reader.text()?,
        host: reader.text()?,
        session_timeout: reader.millis()?,
        rebalance_timeout: reader.millis()?,
        assigns: assigns(reader)?,
        assignment: assignment(reader)?,
    })
}

fn assigns(reader: &mut Reader<'_>) -> Decoded<Assigns> {
    match reader.u8()? {
        BY_CLIENT => Ok(Assigns::ByClient {
            protocol_type: reader.text()?,
            protocols: reader.list(protocol)?,
            topics: topics(reader)?,
        }),
        BY_SERVER => Ok(Assigns::ByServer {
            topics: topics(reader)?,
        }),
        _ => Err(DecodeError::Invalid("kind of member")),
    }
}

fn protocol(reader: &mut Reader<'_>) -> Decoded<(Arc<str>, Bytes)> {
    Ok((reader.text()?, Bytes::copy_from_slice(reader.bytes()?)))
}

fn topics(reader: &mut Reader<'_>) -> Decoded<BTreeSet<TopicName>> {
    reader.list(Reader::name)
}

fn assignment(reader: &mut Reader<'_>) -> Decoded<Assignment> {
    match reader.u8()? {
        0 => Ok(Assignment::None),
        1 => Ok(Assignment::Opaque(Bytes::copy_from_slice(reader.bytes()?))),
        2 => shares(reader).map(Assignment::Partitions),
        _ => Err(DecodeError::Invalid("assignment")),
    }
}

/// Sorted again, because an owner is looked up by binary search.
fn shares(reader: &mut Reader<'_>) -> Decoded<Arc<[PartitionId]>> {
    let shares: Vec<Vec<PartitionId>> = reader.list(|reader| {
        let topic = reader.topic()?;
        reader.list(|reader| {
            Ok(PartitionId {
                topic,
                index: PartitionIndex(reader.u32()?),
            })
        })
    })?;
    let partitions: BTreeSet<PartitionId> = shares.into_iter().flatten().collect();
    Ok(partitions.into_iter().collect())
}
