//! Open segment files: as many as the options allow, the one opened longest ago is closed first.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{Disk, DiskFile};

use super::segment::Segment;

pub(super) struct Files {
    disk: Arc<dyn Disk>,
    open_max: usize,
    open: Mutex<VecDeque<Weak<Segment>>>,
    leftovers: Mutex<VecDeque<Leftover>>,
}

/// What a reader of many bytes read too much; the next read goes on with it.
struct Leftover {
    segment: Weak<Segment>,
    position: u64,
    bytes: Bytes,
}

/// Together they take little, however many partitions are read.
const LEFTOVERS_MAX: usize = 32;

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, open_max: usize) -> Self {
        Self {
            disk,
            open_max,
            open: Mutex::default(),
            leftovers: Mutex::default(),
        }
    }

    /// The segment's file, opened if need be.
    pub(super) fn get(&self, segment: &Arc<Segment>) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = segment.open_file() {
            return Ok(file);
        }
        let file: Arc<dyn DiskFile> = Arc::from(self.disk.open(&segment.path())?);
        self.keep(segment, &file);
        Ok(file)
    }

    /// A file that is read once and not kept.
    pub(super) fn open_path(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path)
    }

    /// Keeps a file open; whoever uses one that is closed here has it until then.
    pub(super) fn keep(&self, segment: &Arc<Segment>, file: &Arc<dyn DiskFile>) {
        segment.set_open_file(Some(Arc::clone(file)));
        let mut open = self.open.lock();
        open.push_back(Arc::downgrade(segment));
        while open.len() > self.open_max {
            if let Some(oldest) = open.pop_front().and_then(|oldest| oldest.upgrade()) {
                oldest.set_open_file(None);
            }
        }
    }

    /// Keeps what was read of a segment from `position` on.
    pub(super) fn keep_leftover(&self, segment: &Arc<Segment>, position: u64, bytes: Bytes) {
        let mut leftovers = self.leftovers.lock();
        if leftovers.len() >= LEFTOVERS_MAX {
            leftovers.pop_front();
        }
        leftovers.push_back(Leftover {
            segment: Arc::downgrade(segment),
            position,
            bytes,
        });
    }

    /// What was read of a segment from `position` on.
    pub(super) fn take_leftover(&self, segment: &Arc<Segment>, position: u64) -> Option<Bytes> {
        let mut leftovers = self.leftovers.lock();
        let at = leftovers.iter().position(|leftover| {
            leftover.position == position && leftover.segment.as_ptr() == Arc::as_ptr(segment)
        })?;
        leftovers.remove(at).map(|leftover| leftover.bytes)
    }
}
