//! The calls of one connection that are being answered.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;

use model::limits;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// Each call is a task, so that a slow one holds up none.
#[derive(Debug, Default)]
pub(super) struct Calls {
    tasks: JoinSet<()>,
    running: BTreeMap<u64, AbortHandle>,
    numbers: HashMap<Id, u64>,
}

/// Whether there was a place for a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    Taken,
    Full,
    Duplicate,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Begins to answer.
    pub(super) fn begin(
        &mut self,
        call: u64,
        answer: impl Future<Output = ()> + Send + 'static,
    ) -> Place {
        if self.running.contains_key(&call) {
            return Place::Duplicate;
        }
        if self.running.len() >= limits::PEER_CALLS_IN_FLIGHT_MAX {
            return Place::Full;
        }
        let task = self.tasks.spawn(answer);
        self.numbers.insert(task.id(), call);
        self.running.insert(call, task);
        Place::Taken
    }

    /// Drops the answer, if it is not there yet. Its place is free at once.
    pub(super) fn cancel(&mut self, call: u64) {
        if let Some(task) = self.running.remove(&call) {
            self.numbers.remove(&task.id());
            task.abort();
        }
    }

    /// The next task that has ended; none while there are no tasks.
    pub(super) async fn next_done(&mut self) -> Option<Result<Id, JoinError>> {
        let done = self.tasks.join_next_with_id().await?;
        Some(done.map(|(id, ())| id))
    }

    /// Forgets a task that has ended; its call, unless that was cancelled.
    pub(super) fn end(&mut self, id: Id) -> Option<u64> {
        let call = self.numbers.remove(&id)?;
        self.running.remove(&call);
        Some(call)
    }
}
