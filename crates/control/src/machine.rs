//! The replicated state: the catalog, and the answers to the last commands.
//!
//! It lives in memory. What survives a crash is the last snapshot and the log behind it; a start applies
//! again what is known to be agreed on.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use catalog::{Catalog, Command, Outcome, Refusal};
use futures_util::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::engine::{
    Answer, Engine, Entry, Position, Proposal, Snapshot, SnapshotMeta, StoredMembership,
};
use crate::recent::Recent;
use crate::runtime::{self, compute};
use crate::writer::Writer;
use crate::{Change, Key, Saved, StoreError, snapshot};

/// The replicated state, as the engine drives it.
#[derive(Debug)]
pub(crate) struct Machine {
    catalog: Catalog,
    recent: Recent,
    applied: Option<Position>,
    membership: StoredMembership,
    current: Current,
    views: Views,
    writer: Writer,
}

/// The newest snapshot.
type Current = Arc<Mutex<Option<Snapshot>>>;

/// Where the machine shows what it has applied. Both always hold the newest.
#[derive(Debug, Clone)]
pub(crate) struct Views {
    /// The catalog, at each change of it.
    pub(crate) catalog: watch::Sender<Arc<Catalog>>,
    /// The last position applied, and how the catalog stood at it; told after the catalog. Many wait for it,
    /// and are woken in their order.
    pub(crate) applied: runtime::watch::Sender<Option<u64>>,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            catalog: watch::Sender::new(Arc::default()),
            applied: runtime::watch::Sender::new(None),
        }
    }
}

impl Machine {
    /// The state of the last snapshot.
    pub(crate) fn new(saved: &Saved, views: Views, writer: Writer) -> Result<Self, StoreError> {
        let mut machine = Self {
            catalog: Catalog::default(),
            recent: Recent::default(),
            applied: None,
            membership: StoredMembership::default(),
            current: Current::default(),
            views,
            writer,
        };
        if let Some(bytes) = saved.values.get(&Key::Snapshot) {
            let damaged = |_| StoreError::Damaged("the snapshot".to_owned());
            let snapshot = snapshot::decode(bytes.clone()).map_err(damaged)?;
            machine.restore(&snapshot).map_err(damaged)?;
            *machine.current.lock() = Some(snapshot);
        }
        Ok(machine)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), crate::codec::DecodeError> {
        (self.catalog, self.recent) =
            compute(|| snapshot::decode_contents(snapshot.snapshot.clone()))?;
        self.applied = snapshot.meta.last_log_id;
        self.membership = snapshot.meta.last_membership.clone();
        self.show();
        Ok(())
    }

    fn apply_entry(&mut self, entry: Entry) -> io::Result<Answer> {
        let answer = match entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(proposal) => Some(self.apply_proposal(&proposal)?),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                None
            }
        };
        self.applied = Some(entry.log_id);
        Ok(answer)
    }

    /// A command that cannot be read was written by a later release: going on without it would make
    /// this node's catalog another one.
    fn apply_proposal(&mut self, proposal: &Proposal) -> io::Result<Result<Outcome, Refusal>> {
        if let Some(answer) = self.recent.answer(&proposal.id, &self.catalog) {
            return Ok(answer);
        }
        let command = Command::decode(&proposal.command)
            .map_err(|_| io::Error::other("the log has a command that this release cannot read"))?;
        let answer = self.catalog.apply(&command);
        self.recent.remember(proposal.id, &answer);
        Ok(answer)
    }

    fn show(&self) {
        let is_new = self.views.catalog.borrow().revision() != self.catalog.revision();
        if is_new || self.views.applied.borrow().is_none() {
            self.views
                .catalog
                .send_replace(Arc::new(self.catalog.clone()));
        }
        let index = self.applied.map(|applied| applied.index);
        self.views.applied.send_replace(index);
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        }
    }
}

impl RaftStateMachine<Engine> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<Position>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    /// Who waits for an answer gets it when the catalog that holds it can be seen.
    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Engine>>> + Unpin + OptionalSend,
    {
        let mut answers: Vec<(ApplyResponder<Engine>, Answer)> = Vec::new();
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let answer = self.apply_entry(entry)?;
            answers.extend(responder.map(|responder| (responder, answer)));
        }
        self.show();
        for (responder, answer) in answers {
            responder.send(answer);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            catalog: self.catalog.clone(),
            recent: self.recent.clone(),
            meta: self.meta(),
            current: self.current.clone(),
            writer: self.writer.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, contents: Bytes) -> io::Result<()> {
        let snapshot = Snapshot {
            meta: meta.clone(),
            snapshot: contents,
        };
        self.restore(&snapshot).map_err(io::Error::other)?;
        save(snapshot, &self.current, &self.writer).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.current.lock().clone())
    }
}

/// A copy of the state at one position, on its way to disk.
#[derive(Debug)]
pub(crate) struct Builder {
    catalog: Catalog,
    recent: Recent,
    meta: SnapshotMeta,
    current: Current,
    writer: Writer,
}

impl RaftSnapshotBuilder<Engine> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let snapshot = Snapshot {
            meta: self.meta.clone(),
            snapshot: compute(|| snapshot::encode_contents(&self.catalog, &self.recent)),
        };
        save(snapshot.clone(), &self.current, &self.writer).await?;
        Ok(snapshot)
    }
}

/// Makes this snapshot the one that there is, unless a newer one came meanwhile, and waits for the disk.
async fn save(snapshot: Snapshot, current: &Current, writer: &Writer) -> io::Result<()> {
    let bytes = compute(|| snapshot::encode(&snapshot));
    let written = {
        // Compared and handed over under one lock: an older snapshot that passes a newer one on its way
        // to the disk would end before the log begins.
        let mut current = current.lock();
        let is_newer = |held: &Snapshot| held.meta.last_log_id > snapshot.meta.last_log_id;
        if current.as_ref().is_some_and(is_newer) {
            return Ok(());
        }
        *current = Some(snapshot);
        writer.begin(vec![Change::Put(Key::Snapshot, bytes)])
    };
    written.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
