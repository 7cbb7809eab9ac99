//! Appends to partitions that other nodes lead.
//!
//! A partition has one call under way at a time, with all batches that came while the one before it
//! was: so they reach the log in the order in which they were given, and few calls carry many.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use model::PartitionId;
use model::limits::PEER_APPEND_BYTES_MAX;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wire::Batch;

use super::message::{Ask, Response};
use super::{Remote, Trouble, unfitting};
use crate::error::PublishError;
use crate::partition::Place;

/// How long a leader has to bring batches to its disk.
const APPEND_PATIENCE: Duration = Duration::from_secs(20);

/// What became of one batch.
type Fate = Result<Place, PublishError>;

/// The batches that wait, by partition. A partition is in it for as long as a task works on it.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<BTreeMap<PartitionId, VecDeque<Queued>>>);

/// A batch that waits for its call.
struct Queued {
    batch: Batch,
    answer: oneshot::Sender<Fate>,
    /// Given back when the fate is known.
    _budget: Box<dyn Any + Send>,
}

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queued({} bytes)", self.batch.bytes().len())
    }
}

impl Remote {
    /// Takes a place in the partition's line at once: the order of calls is the order in the log.
    /// The receiver hears of the fate; dropping it changes nothing. `budget` is dropped then.
    pub(crate) fn append(
        &self,
        to: PartitionId,
        batch: Batch,
        budget: impl Send + 'static,
    ) -> oneshot::Receiver<Fate> {
        let (answer, receiver) = oneshot::channel();
        let queued = Queued {
            batch,
            answer,
            _budget: Box::new(budget),
        };
        if self.lanes.push(to, queued) {
            let this = self.clone();
            tokio::spawn(async move { this.work_off(to).await });
        }
        receiver
    }

    async fn work_off(&self, to: PartitionId) {
        while let Some(run) = self.lanes.next_run(to) {
            let batches: Vec<Batch> = run.iter().map(|queued| queued.batch.clone()).collect();
            let fates = self.deliver(to, batches).await;
            for (queued, fate) in run.into_iter().zip(fates) {
                self.count(&fate);
                // Whoever asked may have gone away.
                let _ = queued.answer.send(fate);
            }
        }
    }

    /// What its leader refuses, that counts.
    fn count(&self, fate: &Fate) {
        let error = fate.as_ref().err();
        if let Some(PublishError::LeaderUnavailable(_) | PublishError::OutcomeUnknown(_)) = error {
            self.counts.publishes_failed.add(1);
        }
    }

    /// One fate for each batch.
    async fn deliver(&self, to: PartitionId, batches: Vec<Batch>) -> Vec<Fate> {
        let count = batches.len();
        let first = match self.call_append(to, batches.clone()).await {
            Err(Trouble::Moved(_)) => {
                self.refresh().await;
                self.call_append(to, batches.clone()).await
            }
            other => other,
        };
        match first {
            Ok(fates) => fates,
            Err(Trouble::Moved(why) | Trouble::Unavailable(why)) => {
                vec![Err(PublishError::LeaderUnavailable(why)); count]
            }
            Err(Trouble::Unknown(why)) => self.deliver_again(to, batches, why).await,
        }
    }

    /// The batches were sent and the answer was lost. Those of idempotent producers are sent once
    /// more, for the leader knows them again; of the others the caller hears that nobody knows.
    async fn deliver_again(&self, to: PartitionId, batches: Vec<Batch>, why: String) -> Vec<Fate> {
        let is_known_again = |batch: &Batch| batch.header().producer.is_some();
        let again: Vec<Batch> = batches
            .iter()
            .filter(|b| is_known_again(b))
            .cloned()
            .collect();
        let mut fates = match again.is_empty() {
            true => Vec::new(),
            false => {
                self.refresh().await;
                self.call_append(to, again).await.unwrap_or_default()
            }
        }
        .into_iter();
        // Whatever goes wrong now, the first try may have gone well. That holds for a refusal of the
        // batch too: of a producer's batches the leader remembers only the last ones.
        let fate = |batch| {
            let again = is_known_again(batch).then(|| fates.next());
            let place = again.flatten().and_then(Result::ok);
            place.ok_or_else(|| PublishError::OutcomeUnknown(why.clone()))
        };
        batches.iter().map(fate).collect()
    }

    async fn call_append(
        &self,
        to: PartitionId,
        batches: Vec<Batch>,
    ) -> Result<Vec<Fate>, Trouble> {
        let count = batches.len();
        let (leader, partition, revision) = self.leader(to.topic, to.index)?;
        let ask = Ask::Append {
            topic: to.topic,
            partition,
            batches,
        };
        match self.ask(leader, revision, ask, APPEND_PATIENCE).await? {
            Response::Appended(fates) if fates.len() == count => Ok(fates),
            _ => Err(unfitting(leader)),
        }
    }
}

impl Lanes {
    /// True when nobody works on the partition yet.
    fn push(&self, to: PartitionId, queued: Queued) -> bool {
        let mut lanes = self.0.lock();
        let is_new = !lanes.contains_key(&to);
        lanes.entry(to).or_default().push_back(queued);
        is_new
    }

    /// What goes into the next call; `None` when there is no more and the work is done.
    fn next_run(&self, of: PartitionId) -> Option<Vec<Queued>> {
        let mut lanes = self.0.lock();
        let lane = lanes.get_mut(&of)?;
        let mut bytes = 0;
        let mut run = Vec::new();
        while let Some(next) = lane.front() {
            bytes += next.batch.bytes().len();
            if bytes > PEER_APPEND_BYTES_MAX && !run.is_empty() {
                break;
            }
            run.extend(lane.pop_front());
        }
        if run.is_empty() {
            lanes.remove(&of);
            return None;
        }
        Some(run)
    }
}
