//! What a node tells of its part in the agreement.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::RaftId;
use openraft::async_runtime::{Instant, WatchReceiver};
use openraft::{RaftMetrics, ServerState};

use crate::codec::{DecodeError, Reader, Writer};
use crate::control::{Inner, Running};
use crate::engine::Engine;

pub(crate) type Metrics = RaftMetrics<Engine>;

/// What a node tells of its part in the agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How the consensus knows this node; none before it has joined.
    pub me: Option<RaftId>,
    /// Its part.
    pub role: Role,
    /// The present term.
    pub term: u64,
    /// Who leads, as far as this node knows; none when a leader has not heard a quorum for so long that
    /// another may lead.
    pub controller: Option<RaftId>,
    /// Who votes.
    pub voters: BTreeSet<RaftId>,
    /// Who follows without a vote.
    pub learners: BTreeSet<RaftId>,
    /// The last change of these is agreed on, and none is under way.
    pub settled: bool,
    /// Position of the last entry of the log.
    pub last: Option<u64>,
    /// Position of the last entry known to be agreed on.
    pub committed: Option<u64>,
    /// Position of the last entry that the catalog holds.
    pub applied: Option<u64>,
    /// Position up to which the snapshot goes.
    pub snapshot: Option<u64>,
    /// Position of the last entry that is gone from the log.
    pub purged: Option<u64>,
    /// How long ago a quorum was heard; only of the leader.
    pub quorum_heard: Option<Duration>,
    /// The catalog's revision.
    pub revision: u64,
    /// The catalog's fingerprint: equal on all nodes that have applied the same position.
    pub fingerprint: u64,
    /// Why the agreement has stopped on this node, if it has.
    pub failure: Option<String>,
}

/// A node's part in the agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Has not joined a cluster.
    Outside,
    /// Follows without a vote.
    Learner,
    /// Votes, and follows the leader.
    Follower,
    /// Asks to lead.
    Candidate,
    /// Leads: it is the controller.
    Leader,
    /// Has stopped, by request or after a failure.
    Stopped,
}

impl Status {
    /// What a node knows just now.
    pub(crate) fn of(inner: &Inner) -> Self {
        let catalog = inner.views.catalog.borrow().clone();
        let outside = Self {
            me: None,
            role: Role::Outside,
            term: 0,
            controller: None,
            voters: BTreeSet::new(),
            learners: BTreeSet::new(),
            settled: false,
            last: None,
            committed: None,
            applied: *inner.views.applied.borrow(),
            snapshot: None,
            purged: None,
            quorum_heard: None,
            revision: catalog.revision(),
            fingerprint: inner.fingerprint(&catalog),
            failure: inner.store_failure().map(|error| error.to_string()),
        };
        match inner.engine.get() {
            None => outside,
            Some(running) => outside.with_engine(running, inner.timings.election_max),
        }
    }

    fn with_engine(mut self, running: &Running, lease: Duration) -> Self {
        let metrics = running.raft.metrics().borrow_watched().clone();
        let membership = metrics.membership_config.membership();
        let heard = quorum_heard(running.me, &metrics);
        let unheard = metrics.state.is_leader() && heard.is_none_or(|heard| heard > lease);
        self.me = Some(running.me);
        self.role = role(&metrics);
        self.term = metrics.current_term;
        self.controller = metrics.current_leader.filter(|_| !unheard).map(RaftId);
        self.voters = membership.voter_ids().map(RaftId).collect();
        self.learners = membership.learner_ids().map(RaftId).collect();
        self.settled = is_settled(&metrics);
        self.last = metrics.last_log_index;
        self.committed = metrics.local_committed.map(|position| position.index);
        self.snapshot = metrics.snapshot.map(|position| position.index);
        self.purged = metrics.purged.map(|position| position.index);
        self.quorum_heard = heard;
        if let Err(fatal) = &metrics.running_state {
            self.failure.get_or_insert_with(|| fatal.to_string());
        }
        self
    }

    /// Its bytes: me (optional `u64`), role `u8`, term `u64`, controller (optional `u64`), voters and
    /// learners (count `u32` and as many `u64`), settled `u8`, the five positions (each optional `u64`), milliseconds
    /// since a quorum was heard (optional `u64`), revision and fingerprint `u64`, failure (optional
    /// `bytes`).
    pub(crate) fn write(&self, w: &mut Writer) {
        write_id(w, self.me);
        w.u8(self.role.code()).u64(self.term);
        write_id(w, self.controller);
        write_ids(w, &self.voters);
        write_ids(w, &self.learners);
        w.flag(self.settled);
        for position in [
            self.last,
            self.committed,
            self.applied,
            self.snapshot,
            self.purged,
        ] {
            write_number(w, position);
        }
        let heard = self.quorum_heard.map(|heard| heard.as_millis());
        write_number(
            w,
            heard.map(|heard| u64::try_from(heard).unwrap_or(u64::MAX)),
        );
        w.u64(self.revision)
            .u64(self.fingerprint)
            .option(self.failure.as_ref(), |w, failure| {
                w.text(failure);
            });
    }

    pub(crate) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            me: read_id(r)?,
            role: read_role(r)?,
            term: r.u64()?,
            controller: read_id(r)?,
            voters: read_ids(r)?,
            learners: read_ids(r)?,
            settled: r.flag()?,
            last: r.option(Reader::u64)?,
            committed: r.option(Reader::u64)?,
            applied: r.option(Reader::u64)?,
            snapshot: r.option(Reader::u64)?,
            purged: r.option(Reader::u64)?,
            quorum_heard: r.option(Reader::u64)?.map(Duration::from_millis),
            revision: r.u64()?,
            fingerprint: r.u64()?,
            failure: r.option(Reader::text)?,
        })
    }
}

/// How long ago the leader heard a quorum. One that votes alone always has just heard itself.
pub(crate) fn quorum_heard(me: RaftId, metrics: &Metrics) -> Option<Duration> {
    if !metrics.state.is_leader() {
        return None;
    }
    let membership = metrics.membership_config.membership();
    if membership.voter_ids().all(|voter| voter == me.0) {
        return Some(Duration::ZERO);
    }
    metrics.last_quorum_acked.map(|heard| heard.elapsed())
}

/// How long ago the leader heard each of the others.
pub(crate) fn heard(metrics: &Metrics) -> BTreeMap<RaftId, Duration> {
    let heard = metrics.heartbeat.iter().flatten();
    heard
        .filter_map(|(node, at)| Some((RaftId(*node), at.as_ref()?.elapsed())))
        .collect()
}

/// Which of the others have answered the leader lately.
pub(crate) fn answering(metrics: &Metrics, lately: Duration) -> BTreeSet<RaftId> {
    let heard = heard(metrics).into_iter();
    let answering = heard.filter(|(_, ago)| *ago < lately);
    answering.map(|(node, _)| node).collect()
}

/// Whether no change of the voters is under way.
pub(crate) fn is_settled(metrics: &Metrics) -> bool {
    !is_joint(metrics) && metrics.membership_config == metrics.committed_membership_config
}

/// Whether both the old and the new voters count, by agreement.
pub(crate) fn is_half_done(metrics: &Metrics) -> bool {
    is_joint(metrics) && metrics.membership_config == metrics.committed_membership_config
}

fn is_joint(metrics: &Metrics) -> bool {
    metrics.membership_config.get_joint_config().len() > 1
}

fn role(metrics: &Metrics) -> Role {
    if metrics.running_state.is_err() {
        return Role::Stopped;
    }
    match metrics.state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

impl Role {
    const ALL: [Self; 6] = [
        Self::Outside,
        Self::Learner,
        Self::Follower,
        Self::Candidate,
        Self::Leader,
        Self::Stopped,
    ];

    /// The word for it in every API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Learner => "learner",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Stopped => "stopped",
        }
    }

    const fn code(self) -> u8 {
        self as u8
    }
}

fn write_id(w: &mut Writer, id: Option<RaftId>) {
    write_number(w, id.map(|id| id.0));
}

fn write_number(w: &mut Writer, number: Option<u64>) {
    w.option(number, |w, number| {
        w.u64(number);
    });
}

fn write_ids(w: &mut Writer, ids: &BTreeSet<RaftId>) {
    w.u32(u32::try_from(ids.len()).unwrap_or(u32::MAX));
    for id in ids {
        w.u64(id.0);
    }
}

fn read_id(r: &mut Reader) -> Result<Option<RaftId>, DecodeError> {
    Ok(r.option(Reader::u64)?.map(RaftId))
}

fn read_ids(r: &mut Reader) -> Result<BTreeSet<RaftId>, DecodeError> {
    let count = r.u32()? as usize;
    let count = r.count(count, 8)?;
    (0..count).map(|_| Ok(RaftId(r.u64()?))).collect()
}

fn read_role(r: &mut Reader) -> Result<Role, DecodeError> {
    let error = r.error();
    let code = r.u8()?;
    let role = Role::ALL.into_iter().find(|role| role.code() == code);
    role.ok_or(error)
}
