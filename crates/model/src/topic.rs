//! Topics and their partitions.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::TopicId;
use crate::limits::TOPIC_NAME_BYTES_MAX;

/// The number of a partition within its topic, counted from 0 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionIndex(pub u32);

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The topic.
    pub topic: TopicId,
    /// Which of its partitions.
    pub index: PartitionIndex,
}

/// `TOPIC-INDEX`, the name of the partition's directory.
impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// What a topic promises when the network breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Strong: one leader per partition; nothing acknowledged is lost.
    #[default]
    Leader,
    /// Available: every node accepts writes, and all copies converge.
    Gossip,
}

impl Mode {
    /// The word for it in every API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Gossip => "gossip",
        }
    }
}

/// The name of a topic: 1 to 249 of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(String);

impl TopicName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names that begin with two underscores belong to Hark itself.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.0.starts_with("__")
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(name: &str) -> Result<Self, TopicNameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() {
            Err(TopicNameError::Empty)
        } else if name.len() > TOPIC_NAME_BYTES_MAX {
            Err(TopicNameError::TooLong)
        } else if !name.bytes().all(allowed) {
            Err(TopicNameError::BadCharacter)
        } else if name == "." || name == ".." {
            Err(TopicNameError::Dots)
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

/// Why a text cannot be the name of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TopicNameError {
    /// No text at all.
    #[error("a topic name must not be empty")]
    Empty,
    /// Longer than [`TOPIC_NAME_BYTES_MAX`].
    #[error("a topic name has at most {TOPIC_NAME_BYTES_MAX} characters")]
    TooLong,
    /// Something outside the allowed set.
    #[error("a topic name may hold only letters, digits, '.', '_' and '-'")]
    BadCharacter,
    /// `.` or `..`.
    #[error("a topic cannot be named '.' or '..'")]
    Dots,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names() {
        let long = "x".repeat(TOPIC_NAME_BYTES_MAX + 1);
        let cases: &[(&str, Result<(), TopicNameError>)] = &[
            ("a", Ok(())),
            ("Orders.v2_eu-west", Ok(())),
            ("...", Ok(())),
            ("__commits", Ok(())),
            (&long[1..], Ok(())),
            ("", Err(TopicNameError::Empty)),
            (&long, Err(TopicNameError::TooLong)),
            (".", Err(TopicNameError::Dots)),
            ("..", Err(TopicNameError::Dots)),
            ("../etc", Err(TopicNameError::BadCharacter)),
            ("a/b", Err(TopicNameError::BadCharacter)),
            ("a\0b", Err(TopicNameError::BadCharacter)),
            ("a\nb", Err(TopicNameError::BadCharacter)),
            ("\u{441}", Err(TopicNameError::BadCharacter)),
        ];
        for (name, expected) in cases {
            let parsed = name.parse::<TopicName>();
            assert_eq!(parsed.map(|_| ()), *expected, "{name:?}");
        }
    }
}
