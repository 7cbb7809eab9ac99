//! Rows of `hark.db` as values.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Offset, PartitionId, PartitionIndex, Timestamp, TopicId, TopicName};
use rusqlite::Row;
use rusqlite::types::Type;

use super::{SavedProducers, TopicRow};
use crate::api::TopicSettings;

pub(super) const SELECT_TOPICS: &str = "SELECT id, name, partitions, created_ms, applied, \
     retention_ms, retention_bytes, segment_bytes, max_message_bytes FROM topics ORDER BY name";

/// A row of [`SELECT_TOPICS`], without the partitions that are held.
pub(super) fn topic(row: &Row<'_>) -> rusqlite::Result<TopicRow> {
    let name: String = row.get(1)?;
    let name = name.parse::<TopicName>().map_err(|error| odd(1, error))?;
    Ok(TopicRow {
        id: TopicId::from_bytes(row.get(0)?),
        name,
        partitions: row.get(2)?,
        created: Timestamp::from_millis(row.get(3)?).ok_or_else(|| odd(3, Negative))?,
        applied: row.get(4)?,
        held: BTreeSet::new(),
        settings: TopicSettings {
            retention: unsigned(row, 5)?.map(Duration::from_millis),
            retention_bytes: unsigned(row, 6)?,
            segment_bytes: unsigned(row, 7)?,
            max_message_bytes: unsigned(row, 8)?
                .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        },
    })
}

/// Settings in the order of the columns. What SQLite's signed integers cannot hold becomes the most
/// that they can.
pub(super) fn settings(settings: &TopicSettings) -> [Option<i64>; 4] {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let retention = settings.retention.map(|time| time.as_millis());
    [
        retention.map(|millis| i64::try_from(millis).unwrap_or(i64::MAX)),
        settings.retention_bytes.map(signed),
        settings.segment_bytes.map(signed),
        settings.max_message_bytes.map(|bytes| signed(bytes as u64)),
    ]
}

/// A row of `topic, partition`.
pub(super) fn partition(row: &Row<'_>) -> rusqlite::Result<PartitionId> {
    Ok(PartitionId {
        topic: TopicId::from_bytes(row.get(0)?),
        index: PartitionIndex(row.get(1)?),
    })
}

/// A row of `topic, partition, up_to, state`.
pub(super) fn producers(row: &Row<'_>) -> rusqlite::Result<SavedProducers> {
    Ok(SavedProducers {
        partition: partition(row)?,
        up_to: Offset::from_wire(row.get(2)?).ok_or_else(|| odd(2, Negative))?,
        table: row.get(3)?,
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    let checked = value.map(|value| u64::try_from(value).map_err(|error| odd(column, error)));
    checked.transpose()
}

fn odd(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, Box::new(error))
}

#[derive(Debug, thiserror::Error)]
#[error("a negative number where none can be")]
struct Negative;
