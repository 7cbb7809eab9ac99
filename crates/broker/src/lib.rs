//! The one in-process API that every door calls.
//!
//! Written for an ideal client, not for a protocol: doors convert their requests into these calls
//! and the answers back, and decide nothing. Domain types carry no serialization.
//!
//! ```text
//! publish ─► cut into batches ─► line, budget ─► Partition ─► Store ─► durable ─► receipts, bell
//! poll    ─► positions ─► Reader ─► fresh batches in memory, else Store ─► records, cursor
//! group   ─► member ─► coordinator (pure) ─► `__groups` log ─► Persisted ─► answer
//! ```
//!
//! What blocks runs off the async workers: the store's reads and changes, and `hark.db`. Futures may
//! be dropped at any point: what was accepted is finished, and what was taken is given back.
//!
//! Where to start: [`Broker`].

mod admin;
pub mod api;
mod batches;
mod broker;
mod counts;
pub mod error;
mod fetch;
mod fresh;
mod group;
mod inner;
mod metadata;
mod open;
mod partition;
mod poll;
mod producer_ids;
mod producers;
mod publish;
mod reader;
pub mod seams;
mod settings;
mod start;
mod tasks;
mod topic;
mod topics;
mod wake;

pub use api::*;
pub use broker::Broker;
pub use error::*;
pub use publish::check_records;
pub use seglog::Health;
