//! For tests, the simulator and the fuzzer. A disk in memory keeps what was synced and, when the power
//! fails, may lose what was not.

mod pause;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::rpc::{Request, Response};
use crate::{BoxFuture, Change, Saved, Store, StoreError};

pub use pause::Pause;

/// A disk in memory. Clones are the same disk; it outlives the processes that use it.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    synced: Saved,
    /// The transaction that is on its way. SQLite's are whole or not there at all, so this is all that
    /// a loss of power leaves open.
    pending: Option<Vec<Change>>,
    /// Grows with every opening: the process before that has ended.
    openings: u64,
    sync_takes: Duration,
    failure: Option<String>,
    /// How many more commits succeed.
    good_commits: Option<u64>,
    commits: u64,
}

impl MemoryDisk {
    /// An empty disk whose syncs take no time.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as the store of a process that starts now. A store opened before fails from here on.
    #[must_use]
    pub fn open(&self) -> Arc<dyn Store> {
        let mut disk = self.0.lock();
        disk.openings += 1;
        disk.pending = None;
        Arc::new(MemoryStore {
            disk: self.clone(),
            opening: disk.openings,
        })
    }

    /// From now on a sync takes this long, by tokio's clock.
    pub fn set_sync_time(&self, sync_takes: Duration) {
        self.0.lock().sync_takes = sync_takes;
    }

    /// The power fails. The transaction that is on its way is on the disk afterwards, or is not, as
    /// `keep_pending` says. Whoever has the disk open can do nothing more with it.
    pub fn crash(&self, keep_pending: bool) {
        let mut disk = self.0.lock();
        disk.openings += 1;
        let pending = disk.pending.take().filter(|_| keep_pending);
        for change in pending.into_iter().flatten() {
            disk.synced.apply(change);
        }
    }

    /// Every commit from now on fails with this reason.
    pub fn fail(&self, why: &str) {
        self.0.lock().failure = Some(why.to_owned());
    }

    /// Every commit after this many more fails.
    pub fn fail_after(&self, commits: u64) {
        self.0.lock().good_commits = Some(commits);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut disk = self.0.lock();
        disk.failure = None;
        disk.good_commits = None;
    }

    /// What is on the disk.
    #[must_use]
    pub fn saved(&self) -> Saved {
        self.0.lock().synced.clone()
    }

    /// How many transactions were synced.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.lock().commits
    }

    /// Another disk with the same contents, as a copied data directory is.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        copy.0.lock().synced = self.saved();
        copy
    }
}

#[derive(Debug)]
struct MemoryStore {
    disk: MemoryDisk,
    opening: u64,
}

impl MemoryStore {
    /// Whether this store may still touch the disk.
    fn check(&self) -> Result<(), StoreError> {
        let disk = self.disk.0.lock();
        match &disk.failure {
            Some(why) => Err(StoreError::Failed(why.clone())),
            None if disk.openings != self.opening => {
                Err(StoreError::Failed("the process has ended".to_owned()))
            }
            None => Ok(()),
        }
    }
}

impl Disk {
    fn use_up_commit(&mut self) -> Result<(), StoreError> {
        match &mut self.good_commits {
            Some(0) => Err(StoreError::Failed("the disk is used up".to_owned())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Store for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Saved, StoreError>> {
        Box::pin(async {
            self.check()?;
            Ok(self.disk.saved())
        })
    }

    fn commit(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.check()?;
            let sync_takes = {
                let mut disk = self.disk.0.lock();
                disk.pending = Some(changes);
                disk.sync_takes
            };
            if !sync_takes.is_zero() {
                tokio::time::sleep(sync_takes).await;
            }
            self.check()?;
            let mut disk = self.disk.0.lock();
            disk.use_up_commit()?;
            for change in disk.pending.take().into_iter().flatten() {
                disk.synced.apply(change);
            }
            disk.commits += 1;
            Ok(())
        })
    }
}

/// Reads bytes as a request of another node's control and writes it again; nothing when they are none.
#[must_use]
pub fn reread_request(bytes: Bytes) -> Option<Bytes> {
    Some(Request::decode(bytes).ok()?.encode())
}

/// The same for an answer.
#[must_use]
pub fn reread_response(bytes: Bytes) -> Option<Bytes> {
    Some(Response::decode(bytes).ok()?.encode())
}
