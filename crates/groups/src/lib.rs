//! The consumer-group coordinator as a pure machine.
//!
//! A *group* shares the partitions of some topics among its *members*, so that each partition has
//! one reader at a time, and remembers how far the group has read: its *commits*. One
//! [`Coordinator`] holds all groups of a node, whichever door their members came through.
//!
//! ```text
//!   doors ──Request──►┌──────────────────────────────┐──Reply────►  doors
//!  topics ──Changed──►│ Coordinator                  │
//!     log ──Persisted►│  Group*                      │──Persist──►  internal topic
//!   clock ──now──────►│   Member*  Commit*  Topics   │──deadline─►  clock
//!                     └──────────────────────────────┘
//!
//!                    first member joins
//!        ┌───────┐ ──────────────────────►┌────────────────────┐◄──────────────┐
//!        │ Empty │                        │ PreparingRebalance │               │ a member joins,
//!        └───────┘◄────────────────────── └────────────────────┘               │ leaves, changes,
//!                    nobody is left        │ all have joined, or               │ or falls silent;
//!                                          │ the rebalance timeout             │ topics change
//!                                          │ has passed: generation + 1        │
//!                   a member assigns       ▼            the coordinator        │
//!             ┌─────────────────────┐◄─────┴──────────►┌────────┐  assigns     │
//!             │ CompletingRebalance │─────────────────►│ Stable │──────────────┤
//!             └─────────────────────┘ leader has synced└────────┘              │
//!                        └─────────────────────────────────────────────────────┘
//! ```
//!
//! **Two kinds of member in one group.** A [`Assigns::ByClient`] member speaks Kafka's classic
//! protocol: one of them, the leader, assigns for all, in bytes the coordinator does not read. A
//! [`Assigns::ByServer`] member wants to be told. As soon as one of those is in the group, the
//! coordinator assigns for everybody, stickily ([`assign`]).
//!
//! **Fences.** Every completed rebalance has a new *generation*. A commit, sync or heartbeat of
//! another generation is refused, so a member that was asleep during a rebalance cannot overwrite
//! its successor's commits. Where the coordinator assigned, a commit for a partition that the
//! member does not own is refused too.
//!
//! **Durability.** What the coordinator says was stored first: a commit is answered, and a
//! generation is told to its members, only after [`Input::Persisted`]. The host appends the
//! records of every [`Output::Persist`] in the order in which it got them. After a restart
//! [`Restoring`] takes the records back, and the members go on in the same generation as if
//! nothing had happened.
//!
//! **Time.** All deadlines are monotonic. An empty group is forgotten, commits and all, when it
//! has been empty and without a new commit for [`Options::commit_retention`]; that age counts
//! again from zero after a restart, because a monotonic clock does not outlive its process and a
//! civil clock that jumps ahead would throw commits away. To keep commits for longer than promised
//! is harmless, to lose them is not.
//!
//! What is absent: sockets, files, clocks, tasks, log lines and random sources; names of wire
//! protocols' errors; any knowledge of which partitions exist beyond [`Input::PartitionsChanged`].

#![no_std]

extern crate alloc;

pub mod assign;
mod commits;
mod coordinator;
mod error;
mod group;
mod input;
mod member;
mod name;
mod options;
mod outbox;
mod output;
mod record;
mod restore;
mod topics;

pub use commits::Commit;
pub use coordinator::Coordinator;
pub use error::Error;
pub use input::{
    Assigns, CommitRequest, Departure, Fence, FetchCommits, Input, Join, Leave, Request, Sync,
    Token,
};
pub use name::{GroupName, InstanceId, MemberId, NameError};
pub use options::Options;
pub use output::{
    Alive, Answer, Assignment, CandidateMember, Description, Joined, MemberDescription, Output,
    StateName, Summary, Synced, Ticket,
};
pub use record::{Assigner, DecodeError, Membership, StateRecord, StoredMember};
pub use restore::Restoring;
