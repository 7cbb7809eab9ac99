//! One segment: a file of a partition's batches, each behind its stored header.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Offset, PartitionId, Timestamp};
use parking_lot::Mutex;

use crate::{Disk, DiskFile};

use super::files::Files;
use super::index::{FIRST_BATCH, Index};
use super::partition::directory;
use super::scan::Scan;
use super::stored::{Seed, Stored, StoredHeaderBytes};

/// Space is reserved ahead in steps as large as the file, within these bounds.
const RESERVE_STEP_MIN: u64 = 128 * 1024;
const RESERVE_STEP_MAX: u64 = 32 << 20;

/// Writes of this size and more are not kept in the system's cache. Not less: the page in which one
/// write ends and the next begins may have to be read back.
const STREAM_FROM_BYTES: u64 = 1 << 20;

/// One segment file.
pub(super) struct Segment {
    pub(super) partition: PartitionId,
    pub(super) base: Offset,
    seed: Seed,
    state: Mutex<SegmentState>,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    /// Held while the older part of the index is loaded, so that one reader does it.
    loading: Mutex<()>,
    damaged: AtomicBool,
}

struct SegmentState {
    extent: Extent,
    reserved: u64,
    index: Index,
    /// Lines of the index come from a file, which may be stale.
    index_from_file: bool,
    /// Where the last reader stopped; the next mostly goes on there.
    hint: Option<(Offset, u64)>,
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of the file that count.
    pub(super) bytes: u64,
    /// One past the last record.
    pub(super) end: Offset,
    /// Largest timestamp of any record.
    pub(super) max_timestamp: Timestamp,
}

/// Name of a segment's file or its index.
fn name(base: Offset, suffix: &str) -> String {
    format!("{:020}.{suffix}", base.get())
}

/// Base offset of the segment or index file with this name.
pub(super) fn base_of(name: &str) -> Option<Offset> {
    let (digits, suffix) = name.split_once('.')?;
    matches!(suffix, "segment" | "index").then(|| digits.parse().ok().and_then(Offset::new))?
}

impl Segment {
    /// A segment that holds nothing but its header, or as much as `extent` says.
    pub(super) fn new(partition: PartitionId, base: Offset, extent: Extent) -> Self {
        let state = SegmentState {
            extent,
            reserved: 0,
            index: Index::from(extent.bytes, extent.max_timestamp),
            index_from_file: false,
            hint: None,
        };
        Self {
            partition,
            base,
            seed: Seed::of(partition),
            state: Mutex::new(state),
            file: Mutex::default(),
            loading: Mutex::default(),
            damaged: AtomicBool::new(false),
        }
    }

    /// What an empty segment holds.
    pub(super) fn empty(base: Offset) -> Extent {
        Extent {
            bytes: FIRST_BATCH,
            end: base,
            max_timestamp: Timestamp::default(),
        }
    }

    pub(super) fn path(&self) -> String {
        format!(
            "{}/{}",
            directory(self.partition),
            name(self.base, "segment")
        )
    }

    pub(super) fn index_path(&self) -> String {
        format!("{}/{}", directory(self.partition), name(self.base, "index"))
    }

    pub(super) fn extent(&self) -> Extent {
        self.state.lock().extent
    }

    /// Some bytes are not what was written: the file is kept as it is.
    pub(super) fn quarantine(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(super) fn open_file(&self) -> Option<Arc<dyn DiskFile>> {
        self.file.lock().clone()
    }

    pub(super) fn set_open_file(&self, file: Option<Arc<dyn DiskFile>>) {
        *self.file.lock() = file;
    }

    /// Writes batches at the end. Only the settle step calls this, one call at a time. They count
    /// once this has returned, whatever a failed try before left there.
    pub(super) fn append(
        &self,
        file: &dyn DiskFile,
        batches: &[Stored],
        segment_bytes: u64,
    ) -> io::Result<()> {
        let from = self.extent().bytes;
        let heads: Vec<StoredHeaderBytes> = batches
            .iter()
            .map(|stored| stored.header.encode(self.seed))
            .collect();
        let parts: Vec<&[u8]> = heads
            .iter()
            .zip(batches)
            .flat_map(|(head, stored)| [head.as_slice(), stored.bytes().as_ref()])
            .collect();
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        self.reserve(file, from + bytes, segment_bytes)?;
        if bytes >= STREAM_FROM_BYTES {
            file.stream_at(&parts, from)?;
        } else {
            file.write_at(&parts, from)?;
        }
        self.extend(batches);
        Ok(())
    }

    /// Gives back the space reserved beyond the end; nothing is appended any more.
    pub(super) fn finish(&self, file: &dyn DiskFile) -> io::Result<()> {
        let (bytes, reserved) = {
            let state = self.state.lock();
            (state.extent.bytes, state.reserved)
        };
        if reserved > bytes {
            file.set_len(bytes)
        } else {
            Ok(())
        }
    }

    /// Where to begin looking for the batch that holds `offset`, and whether it begins there.
    pub(super) fn locate(
        self: &Arc<Self>,
        files: &Files,
        offset: Offset,
    ) -> io::Result<(u64, bool)> {
        let (hint, position) = {
            let state = self.state.lock();
            (state.hint, state.index.locate(offset))
        };
        match (hint, position) {
            (Some((at, position)), _) if at == offset => Ok((position, true)),
            (_, Some(position)) => Ok((position, false)),
            (_, None) => {
                self.load_index(files)?;
                let position = self.state.lock().index.locate(offset);
                Ok((position.unwrap_or(FIRST_BATCH), false))
            }
        }
    }

    /// Where to begin looking for the first batch that reaches `timestamp`.
    pub(super) fn locate_time(
        self: &Arc<Self>,
        files: &Files,
        timestamp: Timestamp,
    ) -> io::Result<u64> {
        self.load_index(files)?;
        Ok(self
            .state
            .lock()
            .index
            .locate_time(timestamp)
            .unwrap_or(FIRST_BATCH))
    }

    pub(super) fn set_hint(&self, offset: Offset, position: u64) {
        self.state.lock().hint = Some((offset, position));
    }

    /// Walks over the batches that the segment holds now.
    pub(super) fn scan(self: &Arc<Self>, files: &Files, want: usize) -> io::Result<Scan> {
        let file = files.get(self)?;
        let extent = self.extent();
        Ok(Scan::new(
            file,
            self.seed,
            self.base..extent.end,
            extent.bytes,
            want,
        ))
    }

    /// Forgets what index and hint said if that came from a file: it may have been a stale one.
    /// False when there was nothing to forget.
    pub(super) fn distrust_index(&self, disk: &dyn Disk) -> io::Result<bool> {
        let distrusted = {
            let mut state = self.state.lock();
            let distrusted = state.index_from_file;
            if distrusted {
                state.forget_index();
            }
            distrusted
        };
        if distrusted {
            disk.remove(&self.index_path())?;
        }
        Ok(distrusted)
    }

    /// Gives the index back to memory; it is loaded again when it is needed.
    pub(super) fn unload_index(&self) {
        self.state.lock().forget_index();
    }

    /// The index as a file, if all of it is known.
    pub(super) fn encode_index(&self) -> Option<Vec<u8>> {
        let state = self.state.lock();
        state.index.is_complete().then(|| state.index.encode())
    }

    /// Whether this run of the log has added to the segment.
    pub(super) fn has_grown(&self) -> bool {
        let state = self.state.lock();
        state.index.known_from() < state.extent.bytes
    }

    /// Completes the index, from its file or from the segment itself.
    pub(super) fn load_index(self: &Arc<Self>, files: &Files) -> io::Result<()> {
        let _one_loads = self.loading.lock();
        let known_from = {
            let state = self.state.lock();
            if state.index.is_complete() {
                return Ok(());
            }
            state.index.known_from()
        };
        let from_file = self.read_index(files, known_from);
        let trusted = from_file.is_some();
        let older = self.rest_of_index(files, known_from, from_file)?;
        let mut state = self.state.lock();
        state.index.complete_with(older);
        state.index_from_file = trusted;
        Ok(())
    }

    /// The index file, or `None` when it is missing or damaged.
    fn read_index(&self, files: &Files, segment_bytes: u64) -> Option<Index> {
        let file = files.open_path(&self.index_path()).ok()?;
        let bytes = file
            .len()
            .ok()
            .filter(|len| *len <= Index::file_bytes_max(segment_bytes))?;
        let mut buffer = vec![0; usize::try_from(bytes).ok()?];
        file.read_at(&mut buffer, 0).ok()?;
        Index::decode(&buffer).filter(|index| index.last_position() < segment_bytes)
    }

    /// Adds what a cut-off or missing index file lacks, by going over the segment.
    fn rest_of_index(
        self: &Arc<Self>,
        files: &Files,
        until: u64,
        from_file: Option<Index>,
    ) -> io::Result<Index> {
        let newest = Timestamp::default();
        let mut index = from_file.unwrap_or_else(|| Index::from(FIRST_BATCH, newest));
        let mut scan = self.scan(files, Scan::HEADERS)?;
        let mut position = index.last_position();
        while position < until {
            let Some((found_at, header)) = scan.next_from(position)? else {
                break;
            };
            index.note(&header, found_at);
            position = found_at + header.stored_bytes();
        }
        Ok(index)
    }

    fn reserve(&self, file: &dyn DiskFile, needed: u64, segment_bytes: u64) -> io::Result<()> {
        let reserved = self.state.lock().reserved;
        if needed <= reserved {
            return Ok(());
        }
        let step = needed.clamp(RESERVE_STEP_MIN, RESERVE_STEP_MAX);
        let ahead = (needed + step).min(segment_bytes).max(needed);
        file.reserve(ahead)?;
        self.state.lock().reserved = ahead;
        Ok(())
    }

    fn extend(&self, batches: &[Stored]) {
        let mut state = self.state.lock();
        for stored in batches {
            let position = state.extent.bytes;
            state.index.note(&stored.header, position);
            state.extent.bytes += stored.header.stored_bytes();
            state.extent.end = stored.header.next();
            state.extent.max_timestamp =
                state.extent.max_timestamp.max(stored.header.max_timestamp);
        }
    }
}

impl SegmentState {
    fn forget_index(&mut self) {
        self.index = Index::from(self.extent.bytes, self.extent.max_timestamp);
        self.index_from_file = false;
        self.hint = None;
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
