//! An open file of the simulated disk.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::tree::Inode;
use super::{Machine, run};
use crate::disk::DiskFile;

/// It stays readable and writable when its name is gone, as on a real disk.
pub(super) struct SimFile {
    machine: Arc<Machine>,
    path: Arc<str>,
    inode: Inode,
}

impl SimFile {
    pub(super) fn new(machine: Arc<Machine>, path: &str, inode: Inode) -> Self {
        Self {
            machine,
            path: Arc::from(path),
            inode,
        }
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.machine.world.lock().len_of(self.inode)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        run(&self.machine, |world| {
            world.read_at(self.inode, &self.path, buf, position)
        })
    }

    fn write_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        run(&self.machine, |world| {
            world.write_at(self.inode, &self.path, parts, position)
        })
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        run(&self.machine, |world| {
            world.reserve(self.inode, &self.path, len)
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        run(&self.machine, |world| {
            world.set_len(self.inode, &self.path, len)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        run(&self.machine, |world| {
            world.sync_data(self.inode, &self.path)
        })
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimFile").field(&self.path).finish()
    }
}
