//! Walking over a segment file from stored header to stored header.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use model::Offset;
use wire::batch::HEADER_BYTES;

use crate::DiskFile;

use super::stored::{STORED_HEADER_BYTES, Seed, StoredHeader, StoredHeaderBytes};

/// Reads ahead this much when searching for the next sound header.
const SEARCH_BYTES: usize = 256 * 1024;

/// Reads of this size and more leave nothing behind in the system's cache.
const STREAM_FROM_BYTES: usize = 1 << 20;
/// Larger leftovers are rather read again.
const LEFTOVER_BYTES_MAX: usize = 256 * 1024;

/// A walk; the buffer is what was read last.
#[derive(Debug)]
pub(super) struct Scan {
    file: Arc<dyn DiskFile>,
    seed: Seed,
    /// Offsets that the segment holds.
    offsets: Range<Offset>,
    /// Bytes of the file that count.
    end: u64,
    /// Bytes to read at a time.
    want: usize,
    streams: bool,
    buffer: Bytes,
    buffer_at: u64,
}

impl Scan {
    /// What to read at a time when only headers are wanted: small batches share a read, and large
    /// ones are skipped.
    pub(super) const HEADERS: usize = 16 * 1024;

    pub(super) fn new(
        file: Arc<dyn DiskFile>,
        seed: Seed,
        offsets: Range<Offset>,
        end: u64,
        want: usize,
    ) -> Self {
        Self {
            file,
            seed,
            offsets,
            end,
            want,
            streams: false,
            buffer: Bytes::new(),
            buffer_at: 0,
        }
    }

    /// The same walk, after which what it read need not stay in the system's cache.
    pub(super) const fn streaming(mut self, streams: bool) -> Self {
        self.streams = streams && self.want >= STREAM_FROM_BYTES;
        self
    }

    /// The same walk with the bytes at `position` already read.
    pub(super) fn with(mut self, position: u64, bytes: Bytes) -> Self {
        (self.buffer, self.buffer_at) = (bytes, position);
        self
    }

    /// What a streaming walk read from `position` on and was not asked for: a copy, because the buffer belongs to the batches now.
    pub(super) fn leftover(&self, position: u64) -> Option<Bytes> {
        let left = self.buffer.get(self.in_buffer(position)..)?;
        let worth_it = self.streams && left.len() <= LEFTOVER_BYTES_MAX;
        (worth_it && !left.is_empty()).then(|| Bytes::copy_from_slice(left))
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// The header at `position`, or `None` when what is there is none, or not of a batch that can
    /// be there.
    pub(super) fn header(&mut self, position: u64) -> io::Result<Option<StoredHeader>> {
        if !self.load(position, STORED_HEADER_BYTES)? {
            return Ok(None);
        }
        Ok(self.decode(position))
    }

    /// The frame behind the header at `position`, unchecked, as a slice of what was read; `None`
    /// when the file is shorter than it was.
    pub(super) fn frame(
        &mut self,
        position: u64,
        header: &StoredHeader,
    ) -> io::Result<Option<Bytes>> {
        let stored = STORED_HEADER_BYTES + header.length as usize;
        if !self.load(position, stored)? {
            return Ok(None);
        }
        let from = self.in_buffer(position);
        Ok(Some(
            self.buffer.slice(from + STORED_HEADER_BYTES..from + stored),
        ))
    }

    /// The header at `position`, or the first sound one behind it.
    pub(super) fn next_from(&mut self, position: u64) -> io::Result<Option<(u64, StoredHeader)>> {
        match self.header(position)? {
            Some(header) => Ok(Some((position, header))),
            None => self.next_after(position),
        }
    }

    /// The first sound header behind `position`, wherever it begins: the bytes before it are
    /// damaged, so nothing says where the next batch is.
    pub(super) fn next_after(&mut self, position: u64) -> io::Result<Option<(u64, StoredHeader)>> {
        let want = std::mem::replace(&mut self.want, SEARCH_BYTES);
        let found = self.search(position + 1);
        self.want = want;
        found
    }

    fn search(&mut self, from: u64) -> io::Result<Option<(u64, StoredHeader)>> {
        let mut position = from;
        while position + STORED_HEADER_BYTES as u64 <= self.end {
            if !self.load(position, STORED_HEADER_BYTES)? {
                return Ok(None);
            }
            if let Some(header) = self.decode(position) {
                return Ok(Some((position, header)));
            }
            position += 1;
        }
        Ok(None)
    }

    /// Sound, inside the file, and with offsets that the segment has.
    fn decode(&self, position: u64) -> Option<StoredHeader> {
        let bytes: &StoredHeaderBytes =
            self.buffer.get(self.in_buffer(position)..)?.first_chunk()?;
        let header = StoredHeader::decode(bytes, self.seed)?;
        let plausible = header.length as usize >= HEADER_BYTES
            && position + header.stored_bytes() <= self.end
            && header.base >= self.offsets.start
            && header.last < self.offsets.end;
        plausible.then_some(header)
    }

    fn in_buffer(&self, position: u64) -> usize {
        usize::try_from(position.saturating_sub(self.buffer_at)).unwrap_or(usize::MAX)
    }

    /// Has these bytes in the buffer; false when the file does not have them.
    fn load(&mut self, position: u64, bytes: usize) -> io::Result<bool> {
        let begins = position >= self.buffer_at;
        if begins && self.buffer.len().saturating_sub(self.in_buffer(position)) >= bytes {
            return Ok(true);
        }
        if self
            .end
            .checked_sub(position)
            .is_none_or(|left| left < bytes as u64)
        {
            return Ok(false);
        }
        // What is there already is not read again, so that one read goes on where the last ended:
        // only then does the system read ahead.
        let known = self
            .buffer
            .get(self.in_buffer(position)..)
            .filter(|_| begins);
        let known = known.unwrap_or_default();
        let read_from = position + known.len() as u64;
        let left = usize::try_from(self.end - read_from).unwrap_or(usize::MAX);
        let read = left.min(self.want.max(bytes).saturating_sub(known.len()));
        let mut buffer = vec![0; known.len() + read];
        let (front, rest) = buffer.split_at_mut(known.len());
        front.copy_from_slice(known);
        let result = if self.streams {
            self.file.stream_from(rest, read_from)
        } else {
            self.file.read_at(rest, read_from)
        };
        match result {
            Ok(()) => {}
            // Shorter than the checkpoint says: as good as damaged.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return self.load_less(position, bytes);
            }
            Err(error) => return Err(error),
        }
        self.buffer = Bytes::from(buffer);
        self.buffer_at = position;
        Ok(true)
    }

    /// The file ends early: takes no more than was asked for.
    fn load_less(&mut self, position: u64, bytes: usize) -> io::Result<bool> {
        let mut buffer = vec![0; bytes];
        match self.file.read_at(&mut buffer, position) {
            Ok(()) => {
                self.buffer = Bytes::from(buffer);
                self.buffer_at = position;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}
