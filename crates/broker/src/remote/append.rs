//! Appends to partitions that other nodes lead.
//!
//! A partition has one call under way at a time, with all batches that came while the one before it
//! was: so they reach the log in the order in which they were given, and few calls carry many.
//!
//! Every batch hears of its fate by its own deadline. One that waited until there was no time left to
//! send it was never sent, and is told so; of one that was sent, and is not answered for, nobody knows.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use model::PartitionId;
use model::limits::PEER_APPEND_BYTES_MAX;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use wire::Batch;

use super::message::{Ask, Response};
use super::{Remote, Trouble, unfitting};
use crate::error::PublishError;
use crate::partition::Place;

/// A batch that has less time left is not sent any more: the answer would come too late.
const CALL_PATIENCE_MIN: Duration = Duration::from_secs(1);

/// What became of one batch.
type Fate = Result<Place, PublishError>;

/// The batches that wait, by partition. A partition is in it for as long as a task works on it.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<BTreeMap<PartitionId, VecDeque<Queued>>>);

/// Batches for one call.
#[derive(Debug, Default)]
struct Run {
    queued: Vec<Queued>,
    /// When the first of them is to be answered for.
    until: Option<Instant>,
    /// Those that there is no time for any more.
    late: Vec<Queued>,
}

/// A batch that waits for its call.
struct Queued {
    batch: Batch,
    until: Instant,
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
        until: Instant,
    ) -> oneshot::Receiver<Fate> {
        let (answer, receiver) = oneshot::channel();
        let queued = Queued {
            batch,
            until,
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
            for late in run.late {
                self.tell(late, Err(too_late()));
            }
            let Some(until) = run.until else { continue };
            let batches = run.queued.iter().map(|queued| queued.batch.clone());
            let fates = self.deliver(to, batches.collect(), until).await;
            for (queued, fate) in run.queued.into_iter().zip(fates) {
                self.tell(queued, fate);
            }
        }
    }

    fn tell(&self, queued: Queued, fate: Fate) {
        self.count(&fate);
        // Whoever asked may have gone away.
        let _ = queued.answer.send(fate);
    }

    /// What its leader refuses, that counts.
    fn count(&self, fate: &Fate) {
        let error = fate.as_ref().err();
        if let Some(PublishError::LeaderUnavailable(_) | PublishError::OutcomeUnknown(_)) = error {
            self.counts.publishes_failed.add(1);
        }
    }

    /// One fate for each batch.
    async fn deliver(&self, to: PartitionId, batches: Vec<Batch>, until: Instant) -> Vec<Fate> {
        let count = batches.len();
        let first = match self.call_append(to, batches.clone(), until).await {
            Err(Trouble::Moved(_)) => {
                self.refresh_until(until).await;
                self.call_append(to, batches.clone(), until).await
            }
            other => other,
        };
        match first {
            Ok(fates) => fates,
            Err(Trouble::Moved(why) | Trouble::Unavailable(why)) => {
                vec![Err(PublishError::LeaderUnavailable(why)); count]
            }
            Err(Trouble::Unknown(why)) => self.deliver_again(to, batches, until, why).await,
        }
    }

    /// The batches were sent and the answer was lost. Those of idempotent producers are sent once
    /// more, for the leader knows them again; of the others the caller hears that nobody knows.
    async fn deliver_again(
        &self,
        to: PartitionId,
        batches: Vec<Batch>,
        until: Instant,
        why: String,
    ) -> Vec<Fate> {
        let is_known_again = |batch: &Batch| batch.header().producer.is_some();
        let again: Vec<Batch> = batches
            .iter()
            .filter(|b| is_known_again(b))
            .cloned()
            .collect();
        let mut fates = match again.is_empty() {
            true => Vec::new(),
            false => {
                self.refresh_until(until).await;
                let told = self.call_append(to, again, until).await;
                told.unwrap_or_default()
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
        until: Instant,
    ) -> Result<Vec<Fate>, Trouble> {
        let count = batches.len();
        let (leader, partition, revision) = self.leader(to.topic, to.index)?;
        let ask = Ask::Append {
            topic: to.topic,
            partition,
            batches,
        };
        let patience = until.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            return Err(Trouble::Unavailable(
                "there is no time left to ask".to_owned(),
            ));
        }
        match self.ask(leader, revision, ask, patience).await? {
            Response::Appended(fates) if fates.len() == count => Ok(fates),
            _ => Err(unfitting(leader)),
        }
    }

    async fn refresh_until(&self, until: Instant) {
        // Whoever asks again finds out.
        let _ = timeout_at(until, self.refresh()).await;
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
    fn next_run(&self, of: PartitionId) -> Option<Run> {
        let mut lanes = self.0.lock();
        let lane = lanes.get_mut(&of)?;
        if lane.is_empty() {
            lanes.remove(&of);
            return None;
        }
        let too_late = Instant::now() + CALL_PATIENCE_MIN;
        let mut bytes = 0;
        let mut run = Run::default();
        while let Some(next) = lane.pop_front() {
            if next.until < too_late {
                run.late.push(next);
                continue;
            }
            bytes += next.batch.bytes().len();
            if bytes > PEER_APPEND_BYTES_MAX && !run.queued.is_empty() {
                lane.push_front(next);
                break;
            }
            run.until = Some(run.until.map_or(next.until, |until| until.min(next.until)));
            run.queued.push(next);
        }
        Some(run)
    }
}

/// A batch that never left this node.
pub(crate) fn too_late() -> PublishError {
    let why = "what was sent to it before is not answered for";
    PublishError::LeaderUnavailable(why.to_owned())
}
