//! Topics, and where their partitions are.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use model::limits::{
    BATCH_BYTES_MAX, MESSAGE_BYTES_LIMIT_MIN, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
use model::{LeaderEpoch, Mode, NodeId, Timestamp, TopicId, TopicName};

use crate::Refusal;

/// A topic as agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// Its promise.
    pub mode: Mode,
    /// When it was made.
    pub created: Timestamp,
    /// What was set.
    pub settings: TopicSettings,
    /// The catalog's revision when it was last changed.
    pub changed: u64,
    /// By index.
    pub partitions: Vec<Arc<PartitionState>>,
}

/// Who holds a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// Who keeps copies; the first is the home.
    pub replicas: Vec<NodeId>,
    /// Who is known to have everything that was acknowledged. Never empty.
    pub isr: Vec<NodeId>,
    /// Who takes appends, if anybody may.
    pub leader: Option<NodeId>,
    /// Grows with every change of the leader.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change of this state: changes name the epoch that they saw.
    pub epoch: u64,
}

/// What may be set on a topic. `None` means: the default, first the node's and then the built-in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// How long records are kept.
    pub retention: Option<Duration>,
    /// How many bytes each partition keeps.
    pub retention_bytes: Option<u64>,
    /// Size of a segment file.
    pub segment_bytes: Option<u64>,
    /// Largest batch taken.
    pub max_message_bytes: Option<usize>,
}

/// A change of settings: `None` leaves a setting, `Some(None)` puts it back to the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicChanges {
    /// See [`TopicSettings::retention`].
    pub retention: Option<Option<Duration>>,
    /// See [`TopicSettings::retention_bytes`].
    pub retention_bytes: Option<Option<u64>>,
    /// See [`TopicSettings::segment_bytes`].
    pub segment_bytes: Option<Option<u64>>,
    /// See [`TopicSettings::max_message_bytes`].
    pub max_message_bytes: Option<Option<usize>>,
}

impl TopicSettings {
    /// These settings with some changed.
    #[must_use]
    pub fn with(&self, changes: &TopicChanges) -> Self {
        Self {
            retention: changes.retention.unwrap_or(self.retention),
            retention_bytes: changes.retention_bytes.unwrap_or(self.retention_bytes),
            segment_bytes: changes.segment_bytes.unwrap_or(self.segment_bytes),
            max_message_bytes: changes.max_message_bytes.unwrap_or(self.max_message_bytes),
        }
    }

    /// Whether these can be settings of a topic, or a node's defaults for topics.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with the name of the setting and its bounds.
    pub fn check(&self) -> Result<(), Refusal> {
        let segment = SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX;
        let message = MESSAGE_BYTES_LIMIT_MIN..=BATCH_BYTES_MAX;
        if self.retention.is_some_and(|time| time.as_millis() == 0) {
            let message = "retention must be at least one millisecond";
            return Err(Refusal::Invalid(message.to_string()));
        }
        within("segment_bytes", self.segment_bytes, &segment)?;
        within("max_message_bytes", self.max_message_bytes, &message)
    }
}

fn within<T: PartialOrd + fmt::Display>(
    setting: &str,
    value: Option<T>,
    bounds: &RangeInclusive<T>,
) -> Result<(), Refusal> {
    if value.is_none_or(|value| bounds.contains(&value)) {
        return Ok(());
    }
    let (min, max) = (bounds.start(), bounds.end());
    Err(Refusal::Invalid(format!(
        "{setting} must lie between {min} and {max}"
    )))
}
