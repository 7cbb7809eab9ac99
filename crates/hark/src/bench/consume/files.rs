//! The limit for reading settled data: files of the same kind, read by nobody but the system.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use model::Offset;
use rustix::fs::{Advice, fadvise};

const READ_BYTES: usize = 4 << 20;

/// A segment file.
#[derive(Debug)]
pub(super) struct SegmentFile {
    path: PathBuf,
    /// The offset of its first record, which is its name.
    pub base: Offset,
}

impl SegmentFile {
    /// Reads all of it; how many bytes. Nothing stays in the system's cache, and what was there
    /// before is not used.
    pub(super) fn read(&self) -> io::Result<u64> {
        let mut file = File::open(&self.path)?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        let mut block = vec![0; READ_BYTES];
        let mut bytes = 0;
        loop {
            let count = file.read(&mut block)?;
            if count == 0 {
                fadvise(&file, 0, None, Advice::DontNeed)?;
                return Ok(bytes);
            }
            bytes += count as u64;
            std::hint::black_box(&mut block);
        }
    }
}

/// The segment files of the largest partition under `dir`, in order.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut largest = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Some(base) = base_of(&path) {
                found.push(SegmentFile { path, base });
            }
        }
        if found.len() > largest.len() {
            largest = found;
        }
    }
    largest.sort_by_key(|segment| segment.base);
    Ok(largest)
}

/// `OFFSET.segment`
fn base_of(path: &Path) -> Option<Offset> {
    let is_segment = path.extension()? == "segment";
    let digits = path.file_stem()?.to_str().filter(|_| is_segment)?;
    digits.parse().ok().and_then(Offset::new)
}
