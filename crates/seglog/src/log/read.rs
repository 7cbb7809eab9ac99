//! Reading: from memory what has not settled, from segments what has.

use std::io;
use std::sync::Arc;

use model::{Offset, PartitionId};
use wire::Batch;

use crate::{Bounds, ReadError};

use super::Log;
use super::partition::{Partition, State};
use super::scan::Scan;
use super::segment::Segment;
use super::stored::{STORED_HEADER_BYTES, Stored, StoredHeader, check};

/// A first read covers this much more than was asked for, because the index is sparse.
const INDEX_SLACK_BYTES: usize = 64 * 1024;
/// Most bytes that one read takes from a file, whatever was asked for.
const READ_BYTES_MAX: usize = 32 << 20;

/// Where the batch at an offset is.
enum Place {
    End,
    Memory(Vec<Stored>),
    /// In a segment. Many readers are behind in the newest, and share what the system caches of it.
    File {
        segment: Arc<Segment>,
        newest: bool,
    },
    /// Nowhere, though it should be somewhere; the next batch is at the offset given.
    Missing(Offset),
}

/// Why a segment gave nothing.
enum Fault {
    Damaged { resume_at: Offset },
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) fn read(
    log: &Log,
    partition: &Partition,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<Batch>, ReadError> {
    let place = place_of(&partition.state.lock(), from, max_bytes)?;
    match place {
        Place::End => Ok(Vec::new()),
        Place::Memory(stored) => from_memory(log, partition, from, stored),
        Place::Missing(resume_at) => Err(ReadError::Damaged {
            at: from,
            resume_at,
        }),
        Place::File { segment, newest } => {
            match from_segment(log, &segment, newest, from, max_bytes) {
                Ok(batches) => Ok(batches),
                Err(fault) => fault_of(log, partition, &segment, from, max_bytes, fault),
            }
        }
    }
}

fn place_of(state: &State, from: Offset, max_bytes: usize) -> Result<Place, ReadError> {
    if state.dropped {
        return Err(ReadError::NoPartition);
    }
    let bounds @ Bounds { start, end } = state.bounds();
    if from < start || from > end {
        return Err(ReadError::OutOfRange {
            wanted: from,
            bounds,
        });
    }
    if from == end {
        return Ok(Place::End);
    }
    if state
        .tail
        .front()
        .is_some_and(|first| first.stored.header.base <= from)
    {
        return Ok(Place::Memory(some_of_tail(state, from, max_bytes)));
    }
    Ok(match state.segments.range(..=from).next_back() {
        Some((base, segment)) if from < segment.extent().end => Place::File {
            segment: Arc::clone(segment),
            newest: state
                .segments
                .last_key_value()
                .is_some_and(|(last, _)| last == base),
        },
        _ => {
            let next = state.segments.range(from..).next().map(|(base, _)| *base);
            Place::Missing(next.unwrap_or(state.settled).max(from.saturating_add(1)))
        }
    })
}

/// Whole batches out of memory; only their handles are copied.
fn some_of_tail(state: &State, from: Offset, max_bytes: usize) -> Vec<Stored> {
    let first = state
        .tail
        .partition_point(|entry| entry.stored.header.last < from);
    let mut bytes = 0;
    let within = |stored: &&Stored| {
        bytes += stored.bytes().len();
        bytes <= max_bytes || bytes == stored.bytes().len()
    };
    state
        .tail
        .range(first..)
        .map(|entry| &entry.stored)
        .take_while(within)
        .cloned()
        .collect()
}

fn from_memory(
    log: &Log,
    partition: &Partition,
    from: Offset,
    stored: Vec<Stored>,
) -> Result<Vec<Batch>, ReadError> {
    let mut batches = Vec::with_capacity(stored.len());
    for stored in stored {
        let resume_at = stored.header.next();
        match stored.batch(partition.id, log.sealer.as_deref()) {
            Some(batch) => batches.push(batch),
            None if batches.is_empty() => {
                return Err(ReadError::Damaged {
                    at: from,
                    resume_at,
                });
            }
            None => break,
        }
    }
    Ok(batches)
}

fn from_segment(
    log: &Log,
    segment: &Arc<Segment>,
    newest: bool,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<Batch>, Fault> {
    let max_bytes = max_bytes.min(READ_BYTES_MAX);
    let (start, sequential) = segment.locate(&log.files, from)?;
    let slack = if sequential { 0 } else { INDEX_SLACK_BYTES };
    let mut scan = segment
        .scan(&log.files, max_bytes + slack)?
        .streaming(!newest);
    if let Some(leftover) = log.files.take_leftover(segment, start) {
        scan = scan.with(start, leftover);
    }
    let end_of_segment = segment.extent().end;
    match find(&mut scan, start, from)? {
        Some((position, header)) if header.base <= from => {
            let (batches, next, end) = collect(
                log,
                segment.partition,
                &mut scan,
                position,
                header,
                max_bytes as u64,
            )?;
            segment.set_hint(next, end);
            if let Some(leftover) = scan.leftover(end) {
                log.files.keep_leftover(segment, end, leftover);
            }
            Ok(batches)
        }
        found => {
            let resume_at = found.map_or(end_of_segment, |(_, header)| header.base);
            Err(Fault::Damaged { resume_at })
        }
    }
}

/// The batch that holds `from`, or, if damage has taken it, the first sound one behind it.
fn find(scan: &mut Scan, start: u64, from: Offset) -> io::Result<Option<(u64, StoredHeader)>> {
    let mut position = start;
    while position < scan.end() {
        let Some((at, header)) = scan.next_from(position)? else {
            break;
        };
        if header.last >= from {
            return Ok(Some((at, header)));
        }
        position = at + header.stored_bytes();
    }
    Ok(None)
}

/// Whole batches from here on, each checked, as slices of what was read; and which offset comes
/// next, and where.
fn collect(
    log: &Log,
    partition: PartitionId,
    scan: &mut Scan,
    from: u64,
    first: StoredHeader,
    max_bytes: u64,
) -> Result<(Vec<Batch>, Offset, u64), Fault> {
    let (mut position, mut header) = (from, first);
    let mut batches = Vec::new();
    loop {
        let frame = scan
            .frame(position, &header)?
            .and_then(|bytes| check(&header, &bytes));
        let batch = frame.and_then(|f| f.batch(partition, log.sealer.as_deref()).ok());
        let next = header.next();
        match batch {
            Some(batch) => batches.push(batch),
            None if batches.is_empty() => return Err(Fault::Damaged { resume_at: next }),
            None => return Ok((batches, header.base, position)),
        }
        position += header.stored_bytes();
        // Not even the next header would fit: it is not worth another read.
        if position + STORED_HEADER_BYTES as u64 > scan.end().min(from + max_bytes) {
            return Ok((batches, next, position));
        }
        match scan.header(position)? {
            Some(follows)
                if follows.base == next
                    && position + follows.stored_bytes() <= from + max_bytes =>
            {
                header = follows;
            }
            // Too much; or wrong, which is told to whoever reads on from here.
            _ => return Ok((batches, next, position)),
        }
    }
}

/// Finds out whether a fault is one: the segment may have been removed, or a stale index may have
/// led astray. Then it reads again; each time something has changed for good, so this ends.
fn fault_of(
    log: &Log,
    partition: &Partition,
    segment: &Arc<Segment>,
    from: Offset,
    max_bytes: usize,
    fault: Fault,
) -> Result<Vec<Batch>, ReadError> {
    let io = |error: io::Error| ReadError::Io(error.to_string());
    let still_there = {
        let state = partition.state.lock();
        let now = state.segments.get(&segment.base);
        now.is_some_and(|now| Arc::ptr_eq(now, segment))
    };
    if !still_there {
        return read(log, partition, from, max_bytes);
    }
    match fault {
        Fault::Damaged { .. } if segment.distrust_index(&*log.disk).map_err(io)? => {
            read(log, partition, from, max_bytes)
        }
        Fault::Io(error) if error.kind() != io::ErrorKind::NotFound => Err(io(error)),
        fault => {
            segment.quarantine();
            let resume_at = match fault {
                Fault::Damaged { resume_at } => resume_at,
                Fault::Io(_) => segment.extent().end,
            };
            Err(ReadError::Damaged {
                at: from,
                resume_at,
            })
        }
    }
}
