//! Which settings a topic can have, and which it has.

use model::Mode;
use model::limits::{
    BATCH_BYTES_DEFAULT, BATCH_BYTES_MAX, MESSAGE_BYTES_LIMIT_MIN, PARTITIONS_PER_TOPIC_MAX,
    SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
use seglog::PartitionSettings;

use crate::api::{EffectiveSettings, NewTopic, TopicChanges, TopicSettings};
use crate::error::TopicError;

/// Checks everything about a topic to be made but whether its name is free. Gives its partitions.
pub(crate) fn check_new(topic: &NewTopic, default_partitions: u32) -> Result<u32, TopicError> {
    let partitions = topic.partitions.unwrap_or(default_partitions);
    if topic.name.is_internal() {
        return Err(TopicError::Reserved);
    }
    if partitions == 0 || partitions > PARTITIONS_PER_TOPIC_MAX {
        return Err(TopicError::Partitions(partitions));
    }
    match topic.replication_factor {
        None | Some(1) => {}
        Some(other) => return Err(TopicError::Replication(other)),
    }
    if topic.mode != Mode::Leader {
        return Err(TopicError::Mode);
    }
    check_settings(&topic.settings)?;
    Ok(partitions)
}

/// The settings after a change, if they can be.
pub(crate) fn changed(
    mut settings: TopicSettings,
    changes: &TopicChanges,
) -> Result<TopicSettings, TopicError> {
    put(&mut settings.retention, changes.retention);
    put(&mut settings.retention_bytes, changes.retention_bytes);
    put(&mut settings.segment_bytes, changes.segment_bytes);
    put(&mut settings.max_message_bytes, changes.max_message_bytes);
    check_settings(&settings)?;
    Ok(settings)
}

fn put<T>(setting: &mut Option<T>, change: Option<Option<T>>) {
    if let Some(value) = change {
        *setting = value;
    }
}

/// Whether these can be settings of a topic, or a node's defaults for topics.
///
/// # Errors
/// [`TopicError::Setting`] with the name of the setting and its bounds.
pub fn check_settings(settings: &TopicSettings) -> Result<(), TopicError> {
    let segment = SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX;
    let message = MESSAGE_BYTES_LIMIT_MIN..=BATCH_BYTES_MAX;
    let is_outside = |bytes: u64| !segment.contains(&bytes);
    if settings.retention.is_some_and(|time| time.as_millis() == 0) {
        return refuse("retention must be at least one millisecond".to_owned());
    }
    if settings.segment_bytes.is_some_and(is_outside) {
        let (min, max) = (segment.start(), segment.end());
        return refuse(format!("segment_bytes must lie between {min} and {max}"));
    }
    let is_outside = |bytes: usize| !message.contains(&bytes);
    if settings.max_message_bytes.is_some_and(is_outside) {
        let (min, max) = (message.start(), message.end());
        return refuse(format!(
            "max_message_bytes must lie between {min} and {max}"
        ));
    }
    Ok(())
}

/// What holds for a topic that sets this where the node has these defaults.
pub(crate) fn effective(own: &TopicSettings, defaults: &TopicSettings) -> EffectiveSettings {
    let segment_bytes = own.segment_bytes.or(defaults.segment_bytes);
    let max_message_bytes = own.max_message_bytes.or(defaults.max_message_bytes);
    EffectiveSettings {
        retention: own.retention.or(defaults.retention),
        retention_bytes: own.retention_bytes.or(defaults.retention_bytes),
        segment_bytes: segment_bytes.unwrap_or(SEGMENT_BYTES_DEFAULT),
        max_message_bytes: max_message_bytes.unwrap_or(BATCH_BYTES_DEFAULT),
    }
}

impl EffectiveSettings {
    /// What the store is to know of them.
    pub(crate) const fn of_store(&self) -> PartitionSettings {
        PartitionSettings {
            segment_bytes: self.segment_bytes,
            retention: self.retention,
            retention_bytes: self.retention_bytes,
        }
    }
}

const fn refuse(why: String) -> Result<(), TopicError> {
    Err(TopicError::Setting(why))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn topic() -> NewTopic {
        NewTopic {
            name: "t".parse().unwrap(),
            partitions: None,
            replication_factor: None,
            mode: Mode::Leader,
            settings: TopicSettings::default(),
        }
    }

    #[test]
    fn what_a_topic_can_be() {
        type Change = fn(&mut NewTopic);
        let cases: &[(Change, Result<u32, &str>)] = &[
            (|_| {}, Ok(4)),
            (|t| t.partitions = Some(1), Ok(1)),
            (|t| t.partitions = Some(10_000), Ok(10_000)),
            (|t| t.partitions = Some(0), Err("invalid_partitions")),
            (|t| t.partitions = Some(10_001), Err("invalid_partitions")),
            (|t| t.name = "__mine".parse().unwrap(), Err("reserved_name")),
            (|t| t.replication_factor = Some(1), Ok(4)),
            (
                |t| t.replication_factor = Some(3),
                Err("invalid_replication_factor"),
            ),
            (|t| t.mode = Mode::Gossip, Err("mode_not_available")),
            (
                |t| t.settings.retention = Some(Duration::ZERO),
                Err("invalid_setting"),
            ),
            (
                |t| t.settings.segment_bytes = Some(1),
                Err("invalid_setting"),
            ),
            (
                |t| t.settings.segment_bytes = Some(u64::MAX),
                Err("invalid_setting"),
            ),
            (
                |t| t.settings.max_message_bytes = Some(0),
                Err("invalid_setting"),
            ),
            (
                |t| t.settings.max_message_bytes = Some(usize::MAX),
                Err("invalid_setting"),
            ),
            (
                |t| t.settings.max_message_bytes = Some(BATCH_BYTES_MAX),
                Ok(4),
            ),
        ];
        for (number, (change, expected)) in cases.iter().enumerate() {
            let mut topic = topic();
            change(&mut topic);
            let checked = check_new(&topic, 4).map_err(|error| error.code());
            assert_eq!(checked, *expected, "case {number}");
        }
    }

    #[test]
    fn a_topics_own_settings_come_before_the_nodes_and_those_before_the_built_in() {
        let own = TopicSettings {
            retention_bytes: Some(1),
            max_message_bytes: Some(200),
            ..TopicSettings::default()
        };
        let defaults = TopicSettings {
            retention: Some(Duration::from_secs(9)),
            retention_bytes: Some(2),
            max_message_bytes: Some(300),
            segment_bytes: None,
        };
        let expected = EffectiveSettings {
            retention: Some(Duration::from_secs(9)),
            retention_bytes: Some(1),
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            max_message_bytes: 200,
        };
        assert_eq!(effective(&own, &defaults), expected);
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let before = TopicSettings {
            retention_bytes: Some(5),
            segment_bytes: Some(1 << 20),
            ..TopicSettings::default()
        };
        let changes = TopicChanges {
            retention: Some(Some(Duration::from_secs(1))),
            retention_bytes: Some(None),
            ..TopicChanges::default()
        };
        let after = TopicSettings {
            retention: Some(Duration::from_secs(1)),
            segment_bytes: Some(1 << 20),
            ..TopicSettings::default()
        };
        assert_eq!(changed(before, &changes), Ok(after));
    }
}
