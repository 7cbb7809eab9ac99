//! What a node holds of the agreement: who it is, the engine once it is a member, the catalog.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catalog::{Catalog, Claim, RaftId};
use model::{BootId, Instant, StorageId};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::engine::{self, Raft};
use crate::identity::{Identity, Member};
use crate::incoming::Incoming;
use crate::log::LogStore;
use crate::machine::{Machine, Views};
use crate::network::{Gate, Ways};
use crate::quiet::Roster;
use crate::runtime::Scope;
use crate::twin::Twins;
use crate::writer::Writer;
use crate::{Change, Key, OpenError, Saved, Seams, Store, StoreError, Timings};
use crate::{Status, steward};

/// How long a node that closes waits for what is under way.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A node's part in the agreement on the catalog. Clones are the same.
///
/// A life goes [`Control::open`]; then, on a new data directory, [`Control::found`] or, after another
/// node has taken [`Control::registration`], [`Control::joined`]; on one that is a member already
/// [`Control::register`]; and [`Control::close`].
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) inner: Arc<Inner>,
}

/// How control is opened.
#[derive(Debug, Clone)]
pub struct ControlOptions {
    /// Where it keeps what must survive.
    pub store: Arc<dyn Store>,
    /// How long things take.
    pub timings: Timings,
    /// Entries of the log between two snapshots; the default when not given.
    pub snapshot_after: Option<u64>,
}

pub(crate) struct Inner {
    pub(crate) timings: Timings,
    pub(crate) seams: Seams,
    pub(crate) scope: Scope,
    /// This start.
    pub(crate) boot: BootId,
    pub(crate) views: Views,
    pub(crate) gate: Gate,
    pub(crate) engine: OnceLock<Running>,
    pub(crate) incoming: Mutex<Option<Incoming>>,
    pub(crate) twins: Twins,
    /// When a leader last said that it hands over.
    pub(crate) transfer_seen: Mutex<Option<Instant>>,
    pub(crate) identity: Mutex<Identity>,
    /// The last fingerprint that was asked for, and of which revision: it costs a walk over everything.
    fingerprint: Mutex<(u64, u64)>,
    snapshot_after: Option<u64>,
    pub(crate) writer: Writer,
    pub(crate) log: LogStore,
    /// Until the engine takes it.
    machine: Mutex<Option<Machine>>,
    /// One step of a node's life at a time.
    pub(crate) life: tokio::sync::Mutex<()>,
}

/// The engine of a member.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) raft: Raft,
    pub(crate) me: RaftId,
}

impl Control {
    /// Opens what the store holds. A member takes part in the agreement from here on.
    pub async fn open(options: ControlOptions, seams: Seams) -> Result<Self, OpenError> {
        let scope = Scope::new(u64::from_be_bytes(draw(&seams)));
        let saved = options.store.load().await?;
        let writer = Writer::start(options.store, &scope);
        let identity = read_identity(&saved, &seams, &writer).await?;
        let views = Views::default();
        let inner = Inner {
            timings: options.timings,
            boot: BootId::from_bytes(draw(&seams)),
            gate: Gate::default(),
            engine: OnceLock::new(),
            incoming: Mutex::default(),
            twins: Twins::default(),
            transfer_seen: Mutex::default(),
            snapshot_after: options.snapshot_after,
            log: LogStore::new(&saved, writer.clone())?,
            machine: Mutex::new(Some(Machine::new(&saved, views.clone(), writer.clone())?)),
            life: tokio::sync::Mutex::default(),
            identity: Mutex::new(identity),
            fingerprint: Mutex::new((0, Catalog::default().fingerprint())),
            seams,
            scope,
            views,
            writer,
        };
        let control = Self {
            inner: Arc::new(inner),
        };
        if let Some(member) = control.identity().member {
            control.start_engine(member).await?;
        }
        Ok(control)
    }

    /// Who this node is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.inner.identity.lock().clone()
    }

    /// This start of it.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.inner.boot
    }

    /// What this process says of itself to those it talks to.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.inner.identity.lock().claim(self.inner.boot)
    }

    /// The newest catalog that this node has applied.
    #[must_use]
    pub fn view(&self) -> Arc<Catalog> {
        self.inner.views.catalog.borrow().clone()
    }

    /// The same, and a bell for the next.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.inner.views.catalog.subscribe()
    }

    /// What this node knows of the agreement.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.inner)
    }

    /// Takes no part any more and leaves everything on disk.
    ///
    /// After 5 s it ends everything where it stands, as a loss of power would. What is given up then was
    /// acknowledged to nobody: a write that is under way may yet reach the disk or not, and the position up
    /// to which the log is agreed on may be an older one, which costs the next start one message.
    pub async fn close(&self) {
        if tokio::time::timeout(CLOSE_PATIENCE, self.end())
            .await
            .is_err()
        {
            tracing::warn!("control did not end in time and is ended where it stands");
        }
        self.inner.scope.end();
    }

    async fn end(&self) {
        if let Some(running) = self.inner.engine.get() {
            let _ = running.raft.shutdown().await;
        }
        if let Err(error) = self.inner.log.flush().await {
            tracing::warn!(%error, "the last agreed position is not written down");
        }
    }

    /// Ends everything where it stands, as a loss of power would.
    #[cfg(any(test, feature = "testing"))]
    pub fn crash(&self) {
        self.inner.scope.end();
    }

    /// What stops everything that this node does by itself for a while, as `SIGSTOP` does with a process.
    /// Whoever calls its methods meanwhile must be stopped by another one.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn pause(&self) -> crate::testing::Pause {
        self.inner.scope.pause()
    }

    pub(crate) async fn start_engine(&self, member: Member) -> Result<(), OpenError> {
        let inner = &self.inner;
        let Some(machine) = inner.machine.lock().take() else {
            return Ok(());
        };
        let me = member.raft_id;
        let config = engine::config(&inner.timings, inner.snapshot_after)?;
        let roster = Roster::default();
        let ways = Ways {
            roster: roster.clone(),
            rest: inner.timings.rest(),
            me,
            network: inner.seams.network.clone(),
            gate: inner.gate.clone(),
            patience: inner.timings.call,
        };
        let raft = Raft::new(me.0, Arc::new(config), ways, inner.log.clone(), machine);
        let raft = inner.scope.run(raft).await;
        let raft = raft.map_err(|error| OpenError::Engine(error.to_string()))?;
        roster.set(raft.server_metrics());
        let _ = inner.engine.set(Running { raft, me });
        inner.scope.spawn(steward::run(Arc::downgrade(inner)));
        Ok(())
    }
}

impl Inner {
    /// Why nothing is written any more, if so.
    pub(crate) fn store_failure(&self) -> Option<StoreError> {
        self.writer.failure()
    }

    /// The fingerprint of the newest catalog.
    pub(crate) fn fingerprint(&self, catalog: &Catalog) -> u64 {
        let mut known = self.fingerprint.lock();
        if known.0 != catalog.revision() {
            *known = (catalog.revision(), catalog.fingerprint());
        }
        known.1
    }

    /// Random bytes from the seam.
    pub(crate) fn draw<const N: usize>(&self) -> [u8; N] {
        draw(&self.seams)
    }

    /// Waits until the catalog of this node holds everything up to `index`.
    pub(crate) async fn wait_applied(&self, index: u64, patience: Duration) -> bool {
        let mut applied = self.views.applied.subscribe();
        let arrival = applied.wait_for(|applied| applied.is_some_and(|applied| applied >= index));
        let arrival = tokio::time::timeout(patience, arrival).await;
        matches!(arrival, Ok(Ok(_)))
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("boot", &self.boot)
            .field("identity", &*self.identity.lock())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.scope.end();
    }
}

async fn read_identity(
    saved: &Saved,
    seams: &Seams,
    writer: &Writer,
) -> Result<Identity, StoreError> {
    if let Some(bytes) = saved.values.get(&Key::Identity) {
        let damaged = |_| StoreError::Damaged("the identity".to_owned());
        return Identity::decode(bytes.clone()).map_err(damaged);
    }
    let identity = Identity::new(StorageId::from_bytes(draw(seams)));
    let change = Change::Put(Key::Identity, identity.encode());
    writer.write(vec![change]).await?;
    Ok(identity)
}

fn draw<const N: usize>(seams: &Seams) -> [u8; N] {
    let mut bytes = [0; N];
    seams.entropy.fill(&mut bytes);
    bytes
}
