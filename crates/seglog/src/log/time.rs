//! Finding a batch by time.

use std::io;
use std::sync::Arc;

use model::{Offset, Timestamp};

use crate::ReadError;

use super::Log;
use super::partition::Partition;
use super::scan::Scan;
use super::segment::Segment;

/// Offset of the first batch that holds a record at or after `timestamp`; the partition's start
/// when that lies inside the batch.
pub(super) fn find(
    log: &Log,
    partition: &Partition,
    timestamp: Timestamp,
) -> Result<Option<Offset>, ReadError> {
    let (start, segments, in_memory) = {
        let state = partition.state.lock();
        let reaches = |segment: &&Arc<Segment>| {
            let extent = segment.extent();
            extent.max_timestamp >= timestamp && extent.end > state.start
        };
        let segments: Vec<_> = state.segments.values().filter(reaches).cloned().collect();
        let headers = state.tail.iter().map(|entry| entry.stored.header);
        let in_memory = headers
            .filter(|header| header.last >= state.start)
            .find(|header| header.max_timestamp >= timestamp)
            .map(|header| header.base);
        (state.start, segments, in_memory)
    };
    for segment in segments {
        match in_segment(log, &segment, start, timestamp) {
            Ok(Some(offset)) => return Ok(Some(offset.max(start))),
            Ok(None) => {}
            // Removed since, or lost: later ones may still answer.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ReadError::Io(error.to_string())),
        }
    }
    Ok(in_memory.map(|offset| offset.max(start)))
}

/// Damaged headers are passed over: reading will tell.
fn in_segment(
    log: &Log,
    segment: &Arc<Segment>,
    start: Offset,
    timestamp: Timestamp,
) -> io::Result<Option<Offset>> {
    let mut position = segment.locate_time(&log.files, timestamp)?;
    let mut scan = segment.scan(&log.files, Scan::HEADERS)?;
    while position < scan.end() {
        let Some((at, header)) = scan.next_from(position)? else {
            break;
        };
        if header.last >= start && header.max_timestamp >= timestamp {
            return Ok(Some(header.base));
        }
        position = at + header.stored_bytes();
    }
    Ok(None)
}
