//! Fewer signs of life for those who do not vote.
//!
//! The engine sends one to everybody all the time, and one more for each read. A voter needs them: without
//! them it elects. Who only learns needs to hear what is new, which comes as entries do; to it the same sign
//! is sent again only now and then, so that both sides see that the other is there.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catalog::RaftId;
use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::raft::AppendEntriesRequest;
use openraft::type_config::alias::WatchReceiverOf;
use tokio::time::Instant;

use crate::engine::{Engine, Position, Vote};

/// What the engine shows of itself: who leads, who votes.
pub(crate) type ServerMetrics = WatchReceiverOf<Engine, RaftServerMetrics<Engine>>;

/// Who votes, once the engine runs.
#[derive(Clone, Default)]
pub(crate) struct Roster(Arc<OnceLock<ServerMetrics>>);

impl Roster {
    pub(crate) fn set(&self, metrics: ServerMetrics) {
        let _ = self.0.set(metrics);
    }

    /// Whether a node follows without a vote.
    fn is_learner(&self, node: RaftId) -> bool {
        self.0.get().is_some_and(|metrics| {
            let metrics = metrics.borrow_watched();
            let mut learners = metrics.membership_config.membership().learner_ids();
            learners.any(|learner| learner == node.0)
        })
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roster").finish_non_exhaustive()
    }
}

/// The signs of life to one node.
#[derive(Debug)]
pub(crate) struct Signs {
    /// How long a sign that was answered is not repeated to a learner.
    rest: Duration,
    /// What the last one said that was answered, and when it was sent.
    answered: Option<(Sign, Instant)>,
}

/// All that is in a sign of life: the vote of the leader, what the other is known to have, what is agreed on.
type Sign = (Vote, Option<Position>, Option<Position>);

impl Signs {
    pub(crate) const fn new(rest: Duration) -> Self {
        let answered = None;
        Self { rest, answered }
    }

    /// Whether this says nothing that a learner has not confirmed just now.
    pub(crate) fn is_spare(
        &self,
        roster: &Roster,
        to: RaftId,
        request: &AppendEntriesRequest<Engine>,
    ) -> bool {
        let is_fresh = |(sign, at): &(Sign, Instant)| {
            request.entries.is_empty() && *sign == sign_of(request) && at.elapsed() < self.rest
        };
        self.answered.as_ref().is_some_and(is_fresh) && roster.is_learner(to)
    }

    /// A sign that was sent at `at` was answered: the other has what it should.
    pub(crate) fn note(&mut self, request: &AppendEntriesRequest<Engine>, at: Instant) {
        self.answered = Some((sign_of(request), at));
    }
}

fn sign_of(request: &AppendEntriesRequest<Engine>) -> Sign {
    (request.vote, request.prev_log_id, request.leader_commit)
}
