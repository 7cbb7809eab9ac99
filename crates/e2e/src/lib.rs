//! End-to-end tests on real processes: what they share.
//!
//! [`Node`] is one running `hark serve`, [`Cluster`] several that know each other; [`hark`] is the
//! command line beside them, and [`Net`] a network that can be cut.

mod binary;
mod cluster;
mod member;
mod net;
mod node;
mod port;
mod process;
mod subscriber;
mod text;

pub use binary::{command, hark};
pub use cluster::{Cluster, View};
pub use member::Member;
pub use net::Net;
pub use node::Node;
pub use port::free_port;
pub use process::Process;
pub use subscriber::{Seen, by_group, by_sse};
pub use text::{Line, dependency_sources};
