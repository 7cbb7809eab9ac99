//! What becomes of batches in the store: durable or lost.
//!
//! The store tells it on its own thread, in order. A loss is only noted here; whoever takes the
//! partition's `log` next applies it.

use std::sync::atomic::Ordering;

use model::{LeaderEpoch, Offset, Timestamp};
use seglog::AppendError;
use tokio::sync::oneshot;
use wire::Batch;

use super::{Log, Partition};
use crate::producers::Remembered;

/// The fate of a batch that the partition took.
pub(crate) type Appended = Result<Place, AppendError>;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: Offset,
    /// The reign under which it was accepted; of a batch that was there before, the present one.
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) timestamp: Timestamp,
    pub(crate) duplicate: bool,
}

/// What became of batches in the store.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Attempt and offset from which on everything was lost.
    lost_from: Option<(u64, Offset)>,
    /// Retries of batches whose fate is open: they get the same answer.
    followers: Vec<Follower>,
}

#[derive(Debug)]
struct Follower {
    attempt: u64,
    base: Offset,
    answer: oneshot::Sender<Appended>,
}

impl Partition {
    /// Runs on the store's thread, in order, when a batch is durable or lost.
    pub(super) fn finish(
        &self,
        attempt: u64,
        batch: Batch,
        result: Result<(), AppendError>,
        answer: oneshot::Sender<Appended>,
    ) {
        let header = batch.header();
        let (base, timestamp) = (header.base_offset, header.max_timestamp);
        let leader_epoch = header.leader_epoch;
        let followers = match &result {
            Ok(()) => self.durable(attempt, batch),
            Err(error) => {
                tracing::debug!(partition = %self.id, %base, %error, "append refused");
                self.counts.publishes_failed.add(1);
                self.lost(attempt, base)
            }
        };
        let place = |duplicate| Place {
            offset: base,
            leader_epoch,
            timestamp,
            duplicate,
        };
        // Whoever asked may have gone away; the batch stays where it is.
        let _ = answer.send(result.clone().map(|()| place(false)));
        for follower in followers {
            let _ = follower.send(result.clone().map(|()| place(true)));
        }
    }

    fn durable(&self, attempt: u64, batch: Batch) -> Vec<oneshot::Sender<Appended>> {
        let header = batch.header();
        let size = batch.bytes().len() as u64;
        self.counts
            .records_published
            .add(u64::from(header.record_count));
        self.counts.bytes_published.add(size);
        self.unsaved_bytes.fetch_add(size, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        // Kept before it can be seen, so that the run of kept batches never ends before the log.
        if self.wake.has_waiters() {
            self.fresh.push(batch);
        } else {
            self.fresh.clear();
        }
        let mut outcome = self.outcome.lock();
        let end = header.last_offset.saturating_add(1);
        self.end.store(end.get(), Ordering::SeqCst);
        let followers = outcome.take_followers(attempt, header.base_offset);
        drop(outcome);
        self.wake.ring();
        followers
    }

    fn lost(&self, attempt: u64, base: Offset) -> Vec<oneshot::Sender<Appended>> {
        let mut outcome = self.outcome.lock();
        // Failures of one attempt come in order, so the first of them says from where.
        if outcome
            .lost_from
            .is_none_or(|(earlier, _)| earlier < attempt)
        {
            outcome.lost_from = Some((attempt, base));
        }
        outcome.take_followers(attempt, base)
    }

    /// Waits with a batch that was taken before; `None` when that one was lost just now.
    pub(super) fn follow(
        &self,
        log: &Log,
        original: Remembered,
    ) -> Option<oneshot::Receiver<Appended>> {
        let (answer, receiver) = oneshot::channel();
        let mut outcome = self.outcome.lock();
        let base = original.base_offset;
        if base < self.end() {
            let place = Place {
                offset: base,
                leader_epoch: self.leader_epoch(),
                timestamp: original.timestamp,
                duplicate: true,
            };
            // The receiver is right here, so it cannot be gone.
            let _ = answer.send(Ok(place));
        } else if outcome.lost_from.is_some_and(|lost| lost.0 == log.attempt) {
            return None;
        } else {
            outcome.followers.push(Follower {
                attempt: log.attempt,
                base,
                answer,
            });
        }
        Some(receiver)
    }

    /// Takes back what was lost since the last time. Gives the attempt that begins then.
    pub(super) fn apply_losses(&self, log: &mut Log) -> u64 {
        let lost = self.outcome.lock().lost_from.take();
        if let Some((attempt, from)) = lost
            && attempt == log.attempt
        {
            debug_assert!(from >= self.end(), "a durable batch cannot be lost");
            log.next = log.next.min(from);
            log.producers.roll_back(from);
            log.attempt += 1;
        }
        log.attempt
    }
}

impl Outcome {
    fn take_followers(&mut self, attempt: u64, base: Offset) -> Vec<oneshot::Sender<Appended>> {
        let of_it = |f: &mut Follower| f.attempt == attempt && f.base == base;
        let taken = self.followers.extract_if(.., of_it);
        taken.map(|follower| follower.answer).collect()
    }
}
