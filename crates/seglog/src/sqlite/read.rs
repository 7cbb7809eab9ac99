//! Reading, on connections of its own: readers never wait for the writer, nor it for them.

use std::path::PathBuf;

use bytes::Bytes;
use model::{Offset, PartitionId, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, params};
use wire::Batch;

use super::state::Place;
use super::{Fault, schema};
use crate::{Frame, ReadError, Sealer};

/// Connections kept open between reads; more are opened when more threads read at once.
const IDLE_MAX: usize = 8;

/// The connections of the readers.
pub(super) struct Readers {
    path: PathBuf,
    /// `None` once the store is closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

/// Why rows did not give batches.
enum Trouble {
    /// From this offset on they are not what was written.
    At(Offset),
    Fault(Fault),
}

impl Readers {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::new(Some(Vec::new())),
        }
    }

    pub(super) fn close(&self) {
        self.idle.lock().take();
    }

    pub(super) fn read(
        &self,
        partition: PartitionId,
        place: &Place,
        from: Offset,
        max_bytes: usize,
        sealer: Option<&Sealer>,
    ) -> Result<Vec<Batch>, ReadError> {
        let bounds = place.bounds;
        if from < bounds.start || from > bounds.end {
            return Err(ReadError::OutOfRange {
                wanted: from,
                bounds,
            });
        }
        if from == bounds.end {
            return Ok(Vec::new());
        }
        self.with(|connection| {
            let scan = Scan {
                partition,
                place,
                max_bytes,
                sealer,
            };
            scan.run(connection, from).map_err(|trouble| match trouble {
                Trouble::At(at) => damaged(connection, place, at),
                // A page made no sense on the way; where exactly, only its rows could tell.
                Trouble::Fault(Fault::Damaged(_)) => damaged(connection, place, from),
                Trouble::Fault(fault) => fault.read_error(),
            })
        })
    }

    /// Walks along the index, which holds the timestamps, from the first offset kept.
    pub(super) fn find_time(
        &self,
        place: &Place,
        timestamp: Timestamp,
    ) -> Result<Option<Offset>, ReadError> {
        let (start, end) = (place.bounds.start, place.bounds.end);
        let found: Option<i64> = self.query(|connection| {
            let mut find = connection.prepare_cached(
                "SELECT base FROM batches WHERE partition = ?1 AND base >= ?2 AND base < ?3
                     AND last >= ?4 AND max_timestamp >= ?5 ORDER BY base LIMIT 1",
            )?;
            let first = first_base(connection, place)?;
            let values = params![
                place.key,
                first,
                end.to_wire(),
                start.to_wire(),
                timestamp.as_millis()
            ];
            Ok(find.query_row(values, |row| row.get(0)).optional()?)
        })?;
        Ok(found
            .and_then(Offset::from_wire)
            .map(|base| base.max(start)))
    }

    /// Bytes of the batches that the partition holds, without SQLite's own.
    pub(super) fn size(&self, place: &Place) -> Result<u64, ReadError> {
        self.query(|connection| stored_bytes(connection, place))
    }

    /// The first offset that retention keeps. Batches are what is counted here, not segments: those
    /// at the front go that are too old, or without which the partition is still large enough. The
    /// newest stays.
    pub(super) fn retained_from(&self, place: &Place, now: Timestamp) -> Result<Offset, ReadError> {
        let settings = &place.settings;
        let oldest = settings
            .retention
            .map(|retention| now.before(retention).as_millis());
        if oldest.is_none() && settings.retention_bytes.is_none() {
            return Ok(place.bounds.start);
        }
        self.query(|connection| {
            let mut bytes = match settings.retention_bytes {
                Some(_) => stored_bytes(connection, place)?,
                None => 0,
            };
            let mut start = place.bounds.start;
            let mut rows = connection.prepare_cached(
                "SELECT last, max_timestamp, size FROM batches
                 WHERE partition = ?1 AND base >= ?2 AND base < ?3 ORDER BY base",
            )?;
            let first = first_base(connection, place)?;
            let mut rows = rows.query(params![place.key, first, place.bounds.end.to_wire()])?;
            while let Some(row) = rows.next()? {
                let (last, timestamp): (i64, i64) = (row.get(0)?, row.get(1)?);
                let size = unsigned(row.get(2)?)?;
                let next = offset(last)?.saturating_add(1);
                let old = oldest.is_some_and(|oldest| timestamp < oldest);
                let rest = bytes.saturating_sub(size);
                let surplus = settings.retention_bytes.is_some_and(|limit| rest >= limit);
                if next >= place.bounds.end || !(old || surplus) {
                    break;
                }
                (bytes, start) = (rest, start.max(next));
            }
            Ok(start)
        })
    }

    fn query<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, ReadError> {
        self.with(|connection| query(connection).map_err(Fault::read_error))
    }

    /// Lends a connection.
    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let closed = || ReadError::Io("the store is closed".to_owned());
        let idle = self.idle.lock().as_mut().ok_or_else(closed)?.pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path).map_err(Fault::read_error)?,
        };
        let result = read(&connection);
        if let Some(idle) = self.idle.lock().as_mut()
            && idle.len() < IDLE_MAX
        {
            idle.push(connection);
        }
        result
    }
}

/// One read over rows that must follow each other.
struct Scan<'a> {
    partition: PartitionId,
    place: &'a Place,
    max_bytes: usize,
    sealer: Option<&'a Sealer>,
}

impl Scan<'_> {
    fn run(&self, connection: &Connection, from: Offset) -> Result<Vec<Batch>, Trouble> {
        let base = self.base_of(connection, from)?;
        let mut rows = connection.prepare_cached(
            "SELECT base, last, crc, frame FROM batches
             WHERE partition = ?1 AND base >= ?2 AND base < ?3 ORDER BY base",
        )?;
        let end = self.place.bounds.end;
        let mut rows = rows.query(params![self.place.key, base.to_wire(), end.to_wire()])?;
        let (mut batches, mut bytes, mut expected) = (Vec::new(), 0_usize, base);
        while expected < end && (batches.is_empty() || bytes < self.max_bytes) {
            let batch = match rows.next() {
                Ok(Some(row)) => self.batch(row, expected),
                // The last rows of the partition are missing.
                Ok(None) => Err(Trouble::At(expected)),
                Err(error) => Err(error.into()),
            };
            match batch {
                Ok(batch) => {
                    let size = batch.bytes().len();
                    if !batches.is_empty() && bytes.saturating_add(size) > self.max_bytes {
                        break;
                    }
                    bytes += size;
                    expected = batch.header().last_offset.saturating_add(1);
                    batches.push(batch);
                }
                // What came before is good; the next read begins at the trouble and tells of it.
                Err(_) if !batches.is_empty() => break,
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(batches)
    }

    /// Base offset of the batch that holds `from`.
    fn base_of(&self, connection: &Connection, from: Offset) -> Result<Offset, Trouble> {
        let mut find = connection.prepare_cached(
            "SELECT base, last FROM batches WHERE partition = ?1 AND base <= ?2
             ORDER BY base DESC LIMIT 1",
        )?;
        let found: Option<(i64, i64)> = find
            .query_row(params![self.place.key, from.to_wire()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match found {
            Some((base, last)) if last >= from.to_wire() => {
                Offset::from_wire(base).ok_or(Trouble::At(from))
            }
            _ => Err(Trouble::At(from)),
        }
    }

    /// The batch of a row, when the row is the one that must come now and holds what was written.
    fn batch(&self, row: &Row<'_>, expected: Offset) -> Result<Batch, Trouble> {
        let wrong = Trouble::At(expected);
        let (base, last, crc): (i64, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Ok(frame) = row.get_ref(3)?.as_blob() else {
            return Err(wrong);
        };
        if base != expected.to_wire() || crc32c::crc32c(frame) != crc {
            return Err(wrong);
        }
        let Ok(frame) = Frame::parse(&Bytes::copy_from_slice(frame)) else {
            return Err(wrong);
        };
        let head = *frame.head();
        if head.base_offset != expected || head.last_offset.to_wire() != last {
            return Err(wrong);
        }
        frame.batch(self.partition, self.sealer).map_err(|_| wrong)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(Fault::from(error))
    }
}

/// Says where reading can go on: at the next row that there is.
fn damaged(connection: &Connection, place: &Place, at: Offset) -> ReadError {
    let next = || -> Result<Option<i64>, rusqlite::Error> {
        let mut find = connection.prepare_cached(
            "SELECT min(base) FROM batches WHERE partition = ?1 AND base > ?2 AND base < ?3",
        )?;
        let end = place.bounds.end.to_wire();
        find.query_row(params![place.key, at.to_wire(), end], |row| row.get(0))
    };
    let next = next().ok().flatten().and_then(Offset::from_wire);
    ReadError::Damaged {
        at,
        resume_at: next.unwrap_or(place.bounds.end),
    }
}

/// Base offset of the first batch that counts: it may begin before the first offset kept.
fn first_base(connection: &Connection, place: &Place) -> Result<i64, Fault> {
    let mut find = connection.prepare_cached(
        "SELECT base FROM batches WHERE partition = ?1 AND base <= ?2 AND last >= ?2
         ORDER BY base DESC LIMIT 1",
    )?;
    let start = place.bounds.start.to_wire();
    let found = find
        .query_row(params![place.key, start], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(start))
}

fn stored_bytes(connection: &Connection, place: &Place) -> Result<u64, Fault> {
    let mut sum = connection.prepare_cached(
        "SELECT coalesce(sum(size), 0) FROM batches
         WHERE partition = ?1 AND base >= ?2 AND base < ?3",
    )?;
    let first = first_base(connection, place)?;
    let end = place.bounds.end.to_wire();
    unsigned(sum.query_row(params![place.key, first, end], |row| row.get(0))?)
}

fn offset(value: i64) -> Result<Offset, Fault> {
    Offset::from_wire(value)
        .ok_or_else(|| Fault::Damaged("a batch has a negative offset".to_owned()))
}

fn unsigned(value: i64) -> Result<u64, Fault> {
    u64::try_from(value).map_err(|_| Fault::Damaged("a size is negative".to_owned()))
}
