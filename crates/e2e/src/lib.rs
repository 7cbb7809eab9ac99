//! End-to-end tests on real processes: what they share.
//!
//! [`Node`] is one running `hark serve`; [`hark`] is the command line beside it.

mod binary;
mod node;
mod subscriber;
mod text;

pub use binary::{command, hark};
pub use node::Node;
pub use subscriber::{Seen, by_group, by_sse};
pub use text::{Line, dependency_sources};
