//! One writer in front of the store: changes reach the disk in the order in which they were asked for,
//! and those that came while the disk was busy go together.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::runtime::Scope;
use crate::{Change, Store, StoreError};

/// Hands changes to the store.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    queue: mpsc::UnboundedSender<Job>,
    failure: Arc<Mutex<Option<StoreError>>>,
}

/// What is told when the changes are on disk, or the store has failed.
pub(crate) type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

struct Job {
    changes: Vec<Change>,
    done: Done,
}

/// Most changes of one commit.
const CHANGES_PER_COMMIT: usize = 4096;

impl Writer {
    /// A writer whose task runs in `scope`.
    pub(crate) fn start(store: Arc<dyn Store>, scope: &Scope) -> Self {
        // Unbounded, because the engine bounds what it has in flight.
        let (queue, inbox) = mpsc::unbounded_channel();
        let failure = Arc::new(Mutex::new(None));
        scope.spawn(write(store, inbox, failure.clone()));
        Self { queue, failure }
    }

    /// Asks for changes. `done` is called once, after those that were asked for before.
    pub(crate) fn submit(&self, changes: Vec<Change>, done: Done) {
        if let Err(refused) = self.queue.send(Job { changes, done }) {
            let why = "its writer has ended".to_owned();
            (refused.0.done)(Err(StoreError::Failed(why)));
        }
    }

    /// Makes changes and waits until they are on disk.
    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.begin(changes).await
    }

    /// Asks for changes now; the answer comes when they are on disk, whether it is waited for or not.
    pub(crate) fn begin(
        &self,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let (answer, arrival) = oneshot::channel();
        let done = move |outcome| {
            let _ = answer.send(outcome);
        };
        self.submit(changes, Box::new(done));
        let ended = StoreError::Failed("its writer has ended".to_owned());
        async move { arrival.await.map_err(|_| ended)? }
    }

    /// The failure after which nothing is written any more.
    pub(crate) fn failure(&self) -> Option<StoreError> {
        self.failure.lock().clone()
    }
}

async fn write(
    store: Arc<dyn Store>,
    mut inbox: mpsc::UnboundedReceiver<Job>,
    failure: Arc<Mutex<Option<StoreError>>>,
) {
    while let Some(job) = inbox.recv().await {
        let (changes, done) = gather(job, &mut inbox);
        let earlier = failure.lock().clone();
        let outcome = match earlier {
            Some(error) => Err(error),
            None => store.commit(changes).await,
        };
        if let Err(error) = &outcome {
            failure.lock().get_or_insert_with(|| {
                tracing::error!(%error, "nothing more is written to the control database");
                error.clone()
            });
        }
        done.into_iter().for_each(|done| done(outcome.clone()));
    }
}

/// The job and those that stand in line behind it.
fn gather(first: Job, inbox: &mut mpsc::UnboundedReceiver<Job>) -> (Vec<Change>, Vec<Done>) {
    let mut changes = first.changes;
    let mut done = vec![first.done];
    while changes.len() < CHANGES_PER_COMMIT
        && let Ok(job) = inbox.try_recv()
    {
        changes.extend(job.changes);
        done.push(job.done);
    }
    (changes, done)
}
