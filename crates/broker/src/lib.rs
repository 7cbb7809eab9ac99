//! The one in-process API that every door calls.
//!
//! Written for an ideal client, not for a protocol: doors convert their requests into these calls
//! and the answers back, and decide nothing. Domain types carry no serialization.
//!
//! ```text
//! topic   ─► Cluster agrees ─► reconciler ─► Store, hark.db ─► Topic and its seats
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
mod alone;
pub mod api;
mod batches;
mod bond;
mod broker;
mod budget;
mod counts;
mod describe;
pub mod error;
mod fetch;
mod fresh;
mod group;
mod inner;
mod metadata;
mod nodes;
mod open;
mod partition;
mod poll;
mod producer_ids;
mod producers;
mod publish;
mod reader;
mod reconcile;
mod remote;
pub mod seams;
mod seat;
mod settings;
mod standing;
mod start;
mod tasks;
mod topic;
mod topics;
mod wake;

pub use alone::Alone;
pub use api::*;
pub use bond::bind;
pub use broker::Broker;
pub use catalog::NodeState;
pub use error::*;
pub use nodes::NodeChange;
pub use publish::check_records;
#[doc(hidden)]
pub use remote::reread;
pub use seglog::Health;
pub use settings::check_settings;
