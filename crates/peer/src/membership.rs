//! Who is alive: gossip among the nodes of a cluster.
//!
//! Membership suggests, the catalog decides. What a node learns here (somebody does not answer, somebody
//! is back) is passed to whoever decides; nobody is fenced, moved or replaced by gossip alone.
//!
//! Absent by design: state of nodes other than their liveness, and any topic.
//!
//! Where to start: [`Swim`] is the protocol as a machine, without a socket or a clock; [`Gossip`] lets it
//! run over UDP; [`MemberView`] is what comes out; [`Membership`] is how the rest of a node sees it.

mod codec;
mod fixed;
mod gossip;
mod identity;
mod profile;
mod random;
mod swim;
mod view;

use std::fmt::Debug;
use std::sync::Arc;

use model::NodeId;
use tokio::sync::watch;

pub use fixed::Fixed;
pub use gossip::{Clock, Exchange, Gossip, GossipCounters, GossipOptions};
pub use identity::MemberId;
pub use profile::Profile;
pub use swim::{Input, Listed, Output, Swim, SwimCounters};
pub use view::{Liveness, MemberRow, MemberSeen, MemberView};

/// Who is alive, as far as this node sees.
pub trait Membership: Debug + Send + Sync + 'static {
    /// What is seen now.
    fn view(&self) -> Arc<MemberView>;

    /// Rings when a node comes, goes or is suspected; not when only a round trip changed.
    fn watch(&self) -> watch::Receiver<Arc<MemberView>>;

    /// The nodes of the cluster with their peer addresses (`host:port`), this one among them or not. Nobody
    /// else is heard, or counted.
    fn set_roster(&self, roster: Vec<(NodeId, String)>);

    /// A connection to this node does not work, or works again. Kept to this node, and forgotten soon.
    fn report_link(&self, node: NodeId, works: bool);
}
