//! Agreement on the catalog: every node holds the same one, changed by the same commands in the same
//! order. The only crate that knows which consensus engine does it.
//!
//! A node that stands alone is a cluster of one and takes the same path as any other.
//!
//! Where to start: [`Control`] is what a node holds; [`seams`] is what it takes from the world;
//! `steward` is the loop that, on the controller, keeps voters, fences and leadership in order, after
//! the pure rules in `decide`.
//!
//! **Invariant**: nothing here knows a socket, a wall clock or a random source but through [`seams`].
//! With the store of [`testing`] there is no thread either, so that a simulator can run it from a seed.

mod codec;
mod control;
pub mod decide;
mod engine;
mod error;
mod hand_over;
mod handle;
mod identity;
mod incoming;
mod join;
mod life;
mod log;
mod machine;
mod network;
mod propose;
mod quiet;
mod recent;
mod removal;
mod rpc;
mod runtime;
pub mod seams;
mod snapshot;
mod status;
mod steward;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod timings;
mod twin;
mod writer;

pub use control::{Control, ControlOptions};
pub use error::{ControlError, OpenError, ProposeError};
pub use identity::{Confirmed, Identity, Member};
pub use join::{Joined, Newcomer, NotJoined};
pub use life::Introduction;
pub use seams::{BoxFuture, Clock, Entropy, Liveliness, Liveness, Network, NetworkError, Seams};
pub use status::{Role, Status};
pub use store::{Change, Key, Saved, SqliteStore, Store, StoreError};
pub use timings::Timings;
