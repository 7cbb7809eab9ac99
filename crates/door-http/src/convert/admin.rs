//! Topics and groups.

use std::borrow::Cow;
use std::time::Duration;

use broker::{
    EffectiveSettings, GroupDescription, NewTopic, PartitionDescription, TopicChanges,
    TopicDescription, TopicSettings,
};
use model::Mode;

use super::cluster::{Places, numbers};
use super::records::by_topic;
use crate::dto::{
    ConfigRequest, CreateTopicRequest, GroupAnswer, GroupCommitAnswer, GroupMemberAnswer, ModeName,
    PartitionAnswer, ProducerTopic, TopicAnswer, TopicConfig, TopicSummary,
};
use crate::error::Refusal;
use crate::input::topic_name;

/// Today every topic has one copy.
const COPIES: u16 = 1;

/// The topic to make.
pub(crate) fn new_topic(request: &CreateTopicRequest) -> Result<NewTopic, Refusal> {
    let config = &request.config;
    Ok(NewTopic {
        name: topic_name(&request.name)?,
        partitions: request.partitions,
        replication_factor: request.replication_factor,
        mode: match request.mode.unwrap_or_default() {
            ModeName::Leader => Mode::Leader,
            ModeName::Gossip => Mode::Gossip,
        },
        settings: TopicSettings {
            retention: config.retention_ms.map(Duration::from_millis),
            retention_bytes: config.retention_bytes,
            segment_bytes: config.segment_bytes,
            max_message_bytes: config.max_message_bytes.map(clamped),
        },
    })
}

/// The settings to change.
pub(crate) fn changes(request: &ConfigRequest) -> TopicChanges {
    TopicChanges {
        retention: request
            .retention_ms
            .map(|set| set.map(Duration::from_millis)),
        retention_bytes: request.retention_bytes,
        segment_bytes: request.segment_bytes,
        max_message_bytes: request.max_message_bytes.map(|set| set.map(clamped)),
    }
}

/// A size past the address space is past every limit too, and refused for that by the broker.
fn clamped(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The name of a promise.
pub(crate) const fn mode_name(mode: Mode) -> ModeName {
    match mode {
        Mode::Leader => ModeName::Leader,
        Mode::Gossip => ModeName::Gossip,
    }
}

/// A topic in full.
pub(crate) fn topic_answer(topic: &TopicDescription, places: &Places) -> TopicAnswer {
    let partitions = topic.partitions.iter();
    TopicAnswer {
        name: topic.name.to_string(),
        id: topic.id.to_string(),
        mode: mode_name(topic.mode),
        replication_factor: COPIES,
        created: topic.created.as_millis(),
        config: config(&topic.settings),
        effective: effective(&topic.effective),
        partitions: partitions
            .map(|partition| partition_answer(partition, places))
            .collect(),
    }
}

fn config(settings: &TopicSettings) -> TopicConfig {
    TopicConfig {
        retention_ms: settings.retention.map(millis),
        retention_bytes: settings.retention_bytes,
        segment_bytes: settings.segment_bytes,
        max_message_bytes: settings.max_message_bytes.map(|bytes| bytes as u64),
    }
}

fn effective(settings: &EffectiveSettings) -> TopicConfig {
    TopicConfig {
        retention_ms: settings.retention.map(millis),
        retention_bytes: settings.retention_bytes,
        segment_bytes: Some(settings.segment_bytes),
        max_message_bytes: Some(settings.max_message_bytes as u64),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What a publisher of batches must know of a topic.
pub(crate) fn producer_topic(topic: &TopicDescription) -> ProducerTopic {
    ProducerTopic {
        name: topic.name.to_string(),
        id: topic.id.to_string(),
        partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX),
        max_message_bytes: topic.effective.max_message_bytes as u64,
    }
}

/// A topic in a list.
pub(crate) fn topic_summary(topic: &TopicDescription) -> TopicSummary {
    let partitions = &topic.partitions;
    let held = || partitions.iter().filter_map(|partition| partition.held);
    TopicSummary {
        name: topic.name.to_string(),
        id: topic.id.to_string(),
        mode: mode_name(topic.mode),
        partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
        replication_factor: COPIES,
        records: held().map(|held| held.end.since(held.start)).sum(),
        bytes: held().map(|held| held.bytes).sum(),
        created: topic.created.as_millis(),
    }
}

/// A partition.
pub(crate) fn partition_answer(
    partition: &PartitionDescription,
    places: &Places,
) -> PartitionAnswer {
    PartitionAnswer {
        partition: partition.index.0,
        leader: partition.leader.map(|node| node.0),
        leader_http: places.get(partition.leader),
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
        start: partition.held.map(|held| held.start.get()),
        end: partition.held.map(|held| held.end.get()),
        bytes: partition.held.map(|held| held.bytes),
        epoch: partition.leader_epoch.0,
    }
}

/// A group.
pub(crate) fn group_answer(group: GroupDescription) -> GroupAnswer {
    let member = |member: broker::GroupMember| GroupMemberAnswer {
        assignment: by_topic(&member.partitions),
        member_id: member.member_id,
        consumer: member.consumer,
    };
    let commit = |commit: broker::GroupCommit| GroupCommitAnswer {
        topic: commit.topic.to_string(),
        partition: commit.partition.0,
        offset: commit.offset.get(),
        lag: commit.lag,
    };
    GroupAnswer {
        name: group.name,
        state: Cow::Borrowed(group.state),
        generation: group.generation,
        members: group.members.into_iter().map(member).collect(),
        commits: group.commits.into_iter().map(commit).collect(),
    }
}
