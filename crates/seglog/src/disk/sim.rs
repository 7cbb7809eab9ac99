//! A disk in memory that keeps exactly the promises of [`Disk`] and breaks everything else.
//!
//! Every file has two contents: what a reader sees (the page cache) and what a power cut leaves
//! (the durable bytes), and between them the list of changes not yet synced. Directories work the
//! same way, name by name. [`SimDisk::crash`] builds the disk as it would be found afterwards.
//!
//! Nothing here is random but by seed: the same calls on the same seed give the same bytes, errors
//! and operation log.
//!
//! | what happens | how |
//! |---|---|
//! | unsynced writes are lost, torn by sector, or reach the disk out of order | [`Crash`] |
//! | names come or go until their directory is synced | [`Crash`] |
//! | an operation fails once; a failed sync forgets what was dirty | [`SimDisk::fail`] |
//! | no space left, later lifted | [`SimDisk::set_capacity`] |
//! | bits rot | [`SimDisk::flip_bit`] |
//! | syncs take long | [`SimDisk::set_sync_cost`], [`SimDisk::elapsed`] |
//! | the machine is off from some operation on | [`SimDisk::crash_at`] |

mod bytes;
mod crash;
mod file;
mod names;
mod oplog;
mod rng;
mod tree;
mod world;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use crash::Crash;
pub use oplog::{Op, OpKind};
pub use rng::Rng;

use self::world::World;
use super::{Disk, DiskFile};

/// Called after every operation that changes the disk, before its caller hears of it.
pub type Observer = Box<dyn FnMut(&SimDisk, &Op) + Send>;

/// One process's view of a simulated disk; the lock it takes is its own and ends with it.
pub struct SimDisk {
    machine: Arc<Machine>,
    process: u64,
}

/// The disk itself, shared by all handles and open files.
struct Machine {
    world: Mutex<World>,
    // Apart from the world, so that an observer may look at the disk while it is called.
    observer: Mutex<Option<Observer>>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::from_world(World::new(seed))
    }

    fn from_world(world: World) -> Self {
        let machine = Machine {
            world: Mutex::new(world),
            observer: Mutex::new(None),
        };
        Self {
            machine: Arc::new(machine),
            process: 0,
        }
    }

    /// The same disk as another process sees it: everything but the lock is shared.
    #[must_use]
    pub fn another_process(&self) -> Self {
        let process = self.machine.world.lock().next_process();
        Self {
            machine: Arc::clone(&self.machine),
            process,
        }
    }

    /// The disk as found after the power was cut now. This one is not changed.
    #[must_use]
    pub fn crash(&self, crash: Crash, seed: u64) -> Self {
        Self::from_world(self.machine.world.lock().after(crash, Rng::new(seed)))
    }

    /// Cuts the power during operation `number`: it reaches the cache, and it and everything after
    /// it returns an error.
    pub fn crash_at(&self, number: u64) {
        self.machine.world.lock().crash_at(number);
    }

    /// Lets one operation of this kind fail, after `skip` of them on paths that contain `part`.
    pub fn fail(&self, kind: OpKind, part: &str, skip: u64) {
        self.machine.world.lock().fail(kind, part, skip);
    }

    /// Forgets the failures still to come.
    pub fn heal(&self) {
        self.machine.world.lock().heal();
    }

    /// Whether a failure is still to come.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.machine.world.lock().has_faults()
    }

    /// The most bytes that all files together may take; `None` lifts the limit.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.machine.world.lock().set_capacity(capacity);
    }

    /// Bytes that all files together take, reserved ones included.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.machine.world.lock().used()
    }

    /// How long a sync takes from now on.
    pub fn set_sync_cost(&self, cost: Duration) {
        self.machine.world.lock().set_sync_cost(cost);
    }

    /// Simulated time spent on this disk.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.machine.world.lock().elapsed()
    }

    /// Turns one bit of a file over, on the disk and in the cache; false when there is no such bit.
    pub fn flip_bit(&self, path: &str, byte: u64, bit: u8) -> bool {
        self.machine.world.lock().flip_bit(path, byte, bit)
    }

    /// Every file with its length, in the order of the paths.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        self.machine.world.lock().files()
    }

    /// What a reader sees of a file.
    #[must_use]
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        self.machine.world.lock().contents(path)
    }

    /// How many operations there were: the number of the next one.
    #[must_use]
    pub fn op_count(&self) -> u64 {
        self.machine.world.lock().op_count()
    }

    /// The operation log from operation `from` on.
    #[must_use]
    pub fn ops_since(&self, from: u64) -> Vec<Op> {
        self.machine.world.lock().ops_since(from)
    }

    /// Has `observer` called after every operation that changes the disk, in place of the last one.
    /// It may look at the disk and copy it, and must not do operations on it.
    pub fn observe(&self, observer: Option<Observer>) {
        *self.machine.observer.lock() = observer;
    }

    fn run<T>(&self, operate: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        run(&self.machine, operate)
    }

    fn file(&self, path: &str, inode: tree::Inode) -> Box<dyn DiskFile> {
        Box::new(file::SimFile::new(Arc::clone(&self.machine), path, inode))
    }
}

/// Runs one operation and shows it to the observer.
fn run<T>(
    machine: &Arc<Machine>,
    operate: impl FnOnce(&mut World) -> io::Result<T>,
) -> io::Result<T> {
    let (result, op) = {
        let mut world = machine.world.lock();
        let before = world.op_count();
        let result = operate(&mut world);
        (result, world.changed_since(before))
    };
    if let (Some(op), Some(observer)) = (op, machine.observer.lock().as_mut()) {
        // A handle for the call only, as a process that can hold no lock.
        let view = SimDisk {
            machine: Arc::clone(machine),
            process: u64::MAX,
        };
        observer(&view, &op);
    }
    result
}

impl Disk for SimDisk {
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.run(|world| world.open(path))
            .map(|inode| self.file(path, inode))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.run(|world| world.create(path))
            .map(|inode| self.file(path, inode))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.run(|world| world.list(dir))
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.run(|world| world.create_dir(dir))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.run(|world| world.remove(path))
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.run(|world| world.remove_dir(dir))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.run(|world| world.rename(from, to))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.run(|world| world.sync_dir(dir))
    }

    fn lock(&self, path: &str) -> io::Result<()> {
        self.run(|world| world.lock_for(path, self.process))
    }
}

impl Drop for SimDisk {
    fn drop(&mut self) {
        self.machine.world.lock().unlock(self.process);
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
