//! The consensus engine, fixed to our types. One configuration for product and simulation.

use std::fmt;

use bytes::Bytes;
use catalog::{Outcome, Refusal};
use openraft::impls::{EmptyNode, leader_id_adv};
use openraft::{Config, SnapshotPolicy, StepDownPolicy};

use crate::machine::Machine;
use crate::runtime::Runtime;
use crate::{OpenError, Timings};

openraft::declare_raft_types!(
    /// The engine's types. Positions in the log are (term, leader, index): two nodes may win one term,
    /// one after the other, and are told apart by their ids.
    pub(crate) Engine:
        D = Proposal,
        R = Answer,
        NodeId = u64,
        Node = EmptyNode,
        AsyncRuntime = Runtime,
);

pub(crate) type Raft = openraft::Raft<Engine, Machine>;
pub(crate) type LeaderId = leader_id_adv::LeaderId<u64, u64>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Position = openraft::LogId<LeaderId>;
pub(crate) type Payload = openraft::EntryPayload<Proposal, u64, EmptyNode>;
pub(crate) type Entry = openraft::Entry<LeaderId, Payload>;
pub(crate) type Membership = openraft::Membership<u64, EmptyNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, EmptyNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, EmptyNode>;
pub(crate) type Snapshot = openraft::Snapshot<LeaderId, u64, EmptyNode, Bytes>;

/// A command on its way into the log. Proposed again under the same id, it takes effect once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// Random; tells one proposal from another.
    pub(crate) id: [u8; 16],
    /// What [`catalog::Command::encode`] gave.
    pub(crate) command: Bytes,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.command.len())
    }
}

/// What came of an entry; none of those that carry no command.
pub(crate) type Answer = Option<Result<Outcome, Refusal>>;

/// Entries between two snapshots.
const ENTRIES_PER_SNAPSHOT: u64 = 4096;
/// Entries that are kept although a snapshot holds them, for nodes that are a little behind.
const ENTRIES_KEPT: u64 = 1024;
/// Most entries sent to another node at once.
const ENTRIES_PER_APPEND: u64 = 128;

/// The engine's settings for these timings.
pub(crate) fn config(timings: &Timings, snapshot_after: Option<u64>) -> Result<Config, OpenError> {
    let millis =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let per_snapshot = snapshot_after.unwrap_or(ENTRIES_PER_SNAPSHOT);
    let config = Config {
        cluster_name: "hark".to_owned(),
        heartbeat_interval: millis(timings.heartbeat),
        election_timeout_min: millis(timings.election_min),
        election_timeout_max: millis(timings.election_max),
        install_snapshot_timeout: millis(timings.call.saturating_mul(15)),
        max_payload_entries: ENTRIES_PER_APPEND,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(per_snapshot),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT.min(per_snapshot / 2),
        replication_lag_threshold: per_snapshot.saturating_mul(2),
        removed_leader_step_down: StepDownPolicy::After(millis(timings.heartbeat)),
        enable_pre_vote: Some(true),
        // A leader that restarts asks for votes like anybody else: it may have been replaced.
        enable_leader_restore: Some(false),
        backoff: "100ms 200ms ...1000ms".to_owned(),
        ..Config::default()
    };
    config
        .validate()
        .map_err(|error| OpenError::Engine(error.to_string()))
}
