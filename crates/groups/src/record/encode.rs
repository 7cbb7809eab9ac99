//! Records to bytes.

use alloc::vec::Vec;

use bytes::Bytes;
use model::PartitionId;

use super::codec::Writer;
use super::{Assigner, Membership, StateRecord, StoredMember};
use crate::{Assignment, Assigns, Commit, InstanceId};

pub(super) const KEY_COMMIT: u8 = 1;
pub(super) const KEY_MEMBERSHIP: u8 = 2;
pub(super) const VERSION: u8 = 1;
pub(super) const BY_CLIENT: u8 = 1;
pub(super) const BY_SERVER: u8 = 2;

pub(super) fn key(record: &StateRecord) -> Bytes {
    let mut writer = Writer::default();
    match record {
        StateRecord::Commit {
            group, partition, ..
        } => {
            writer.u8(KEY_COMMIT);
            writer.text(group.as_str());
            writer.topic(partition.topic);
            writer.u32(partition.index.0);
        }
        StateRecord::Membership { group, .. } => {
            writer.u8(KEY_MEMBERSHIP);
            writer.text(group.as_str());
        }
    }
    writer.finish()
}

pub(super) fn value(record: &StateRecord) -> Option<Bytes> {
    let mut writer = Writer::default();
    writer.u8(VERSION);
    match record {
        StateRecord::Commit { value, .. } => commit(&mut writer, value.as_ref()?),
        StateRecord::Membership { value, .. } => membership(&mut writer, value.as_ref()?),
    }
    Some(writer.finish())
}

fn commit(writer: &mut Writer, commit: &Commit) {
    writer.u64(commit.offset.get());
    writer.option(commit.leader_epoch, |writer, epoch| writer.u32(epoch.0));
    writer.text(&commit.metadata);
}

fn membership(writer: &mut Writer, membership: &Membership) {
    writer.u32(membership.generation);
    writer.u8(match membership.assigner {
        Assigner::Nobody => 0,
        Assigner::Leader => 1,
        Assigner::Coordinator => 2,
    });
    writer.text(&membership.protocol_type);
    writer.option(membership.protocol.as_deref(), Writer::text);
    writer.option(membership.leader.as_ref(), |writer, leader| {
        writer.text(leader.as_str());
    });
    writer.count(membership.members.len());
    membership
        .members
        .iter()
        .for_each(|each| member(writer, each));
}

fn member(writer: &mut Writer, member: &StoredMember) {
    writer.text(member.member.as_str());
    writer.option(
        member.instance.as_ref().map(InstanceId::as_str),
        Writer::text,
    );
    writer.text(&member.client);
    writer.text(&member.host);
    writer.millis(member.session_timeout);
    writer.millis(member.rebalance_timeout);
    assigns(writer, &member.assigns);
    assignment(writer, &member.assignment);
}

fn assigns(writer: &mut Writer, assigns: &Assigns) {
    match assigns {
        Assigns::ByClient {
            protocol_type,
            protocols,
            ..
        } => {
            writer.u8(BY_CLIENT);
            writer.text(protocol_type);
            writer.count(protocols.len());
            for (name, metadata) in protocols {
                writer.text(name);
                writer.bytes(metadata);
            }
        }
        Assigns::ByServer { .. } => writer.u8(BY_SERVER),
    }
    writer.count(assigns.topics().len());
    assigns
        .topics()
        .iter()
        .for_each(|topic| writer.text(topic.as_str()));
}

fn assignment(writer: &mut Writer, assignment: &Assignment) {
    match assignment {
        Assignment::None => writer.u8(0),
        Assignment::Opaque(bytes) => {
            writer.u8(1);
            writer.bytes(bytes);
        }
        Assignment::Partitions(partitions) => {
            writer.u8(2);
            shares(writer, partitions);
        }
    }
}

/// Neighbouring partitions of one topic share the 16 bytes of its id.
fn shares(writer: &mut Writer, partitions: &[PartitionId]) {
    let shares: Vec<&[PartitionId]> = partitions.chunk_by(|a, b| a.topic == b.topic).collect();
    writer.count(shares.len());
    for share in shares {
        let Some(first) = share.first() else { continue };
        writer.topic(first.topic);
        writer.count(share.len());
        share
            .iter()
            .for_each(|partition| writer.u32(partition.index.0));
    }
}
