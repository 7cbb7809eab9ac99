//! A directory for one measurement.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::exit::{Outcome, While as _};

/// A fresh directory, removed with all it holds when dropped.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new directory in `parent`.
    pub(super) fn new(parent: &Path) -> Outcome<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("hark-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(parent)
            .and_then(|()| fs::create_dir(&path))
            .while_doing(format_args!("make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            crate::output::note(&format!(
                "hark: cannot remove {}: {error}",
                self.0.display()
            ));
        }
    }
}
