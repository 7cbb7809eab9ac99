//! The way of a process into its cluster, which may take longer than the opening of its doors.

use std::future::Future;
use std::sync::Arc;

use control::Control;
use peer::Security;
use peer::membership::{Gossip, GossipOptions, MemberId, Membership as _, Profile};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::ports::Own;
use super::start::{Wires, no_member};
use crate::assemble::banner::Entry;
use crate::assemble::chores;
use crate::assemble::entering::Entering;
use crate::exit::{Failure, Outcome};

/// A process on its way into its cluster, by itself; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Arrival {
    way: JoinSet<Outcome<Entry>>,
    entry: Option<Entry>,
}

/// What happens once the cluster has registered this start.
#[derive(Debug)]
pub(super) struct Company {
    pub(super) wires: Wires,
    pub(super) control: Control,
    pub(super) security: Security,
    /// For gossip.
    pub(super) socket: UdpSocket,
    pub(super) own: Own,
}

impl Arrival {
    /// Sets out.
    pub(super) fn begin(entering: Entering, company: Company) -> Self {
        let mut way = JoinSet::new();
        way.spawn(async move {
            let entry = entering.enter().await?;
            company.gossip()?;
            Ok(entry)
        });
        Self { way, entry: None }
    }

    /// Waits until this start is registered, and gossip has begun.
    ///
    /// # Errors
    /// When the cluster does not want this node.
    pub(super) async fn end(&mut self) -> Outcome<Entry> {
        if let Some(entry) = self.entry {
            return Ok(entry);
        }
        let entry = match self.way.join_next().await {
            Some(Ok(entry)) => entry?,
            _ => return Err(Failure::failed("the way into the cluster has broken off")),
        };
        self.entry = Some(entry);
        Ok(entry)
    }

    /// Waits for something else, and on the way for a refusal.
    pub(super) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> Outcome<T> {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                ended = self.end(), if self.entry.is_none() => drop(ended?),
                other = &mut other => return Ok(other),
            }
        }
    }
}

impl Company {
    /// From here on others see that this node is alive, and it sees them.
    pub(super) fn gossip(self) -> Outcome<Arc<Gossip>> {
        let identity = self.control.identity();
        let (member, confirmed) = identity
            .member
            .zip(identity.confirmed)
            .ok_or_else(no_member)?;
        let senses = self.wires.senses;
        let options = GossipOptions {
            me: MemberId {
                node: member.raft_id.node(),
                incarnation: confirmed.incarnation,
                boot: self.control.boot(),
                renewals: 0,
                address: self.own.gossip,
            },
            cluster: member.cluster,
            keys: self.security.keys().cloned(),
            profile: Profile::LAN,
            seed: senses.seed(),
        };
        let links = Arc::new(self.wires.links.loose());
        let gossip = Arc::new(Gossip::start(options, self.socket, Arc::new(senses), links));
        gossip.set_roster(chores::roster(&self.control.view(), &self.wires.book));
        self.wires.gossip.set(Arc::clone(&gossip));
        Ok(gossip)
    }
}
