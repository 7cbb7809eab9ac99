//! Watches whether this process may go on being its node.

use std::sync::Arc;
use std::time::Duration;

use control::Control;
use peer::membership::{Gossip, MemberView, Membership as _};
use tokio::sync::watch;

use crate::assemble::wiring::{Late, Links};
use crate::exit::{Exit, Failure};

/// Between two looks at what rings no bell.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches whether this process may go on being its node.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    control: Control,
    /// Comes once this start is registered.
    gossip: Late<Arc<Gossip>>,
    links: Links,
}

impl Guard {
    pub(super) const fn new(control: Control, gossip: Late<Arc<Gossip>>, links: Links) -> Self {
        Self {
            control,
            gossip,
            links,
        }
    }

    /// There once this start is registered.
    pub(super) fn gossip(&self) -> Option<Arc<Gossip>> {
        self.gossip.now()
    }

    /// Returns once the process must end, with the reason.
    pub(super) async fn alarm(&self) -> Failure {
        let (mut catalogs, mut views) = (self.control.watch(), None);
        loop {
            views = views.or_else(|| Some(self.gossip()?.watch()));
            if let Some(failure) = self.look() {
                tracing::error!(%failure, "this node must stop");
                return failure;
            }
            tokio::select! {
                _ = catalogs.changed() => {}
                () = change_of(&mut views) => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn look(&self) -> Option<Failure> {
        if let Some(why) = self.control.status().failure {
            return Some(Failure::failed(why));
        }
        if let Err(refusal) = self.control.view().admit(&self.control.claim()) {
            return Some(Failure::new(Exit::Refused, refusal.to_string()));
        }
        // A node that was removed is told nothing any more, and so not that it was removed.
        if let Some(why) = self.links.turned_away() {
            return Some(Failure::new(Exit::Refused, why));
        }
        let other = self.gossip()?.view().fenced_by?;
        Some(Failure::new(
            Exit::Refused,
            format!(
                "another process was registered as node {} after this one, at {}; one of the two \
                 runs on a copy of the data directory",
                other.node, other.address
            ),
        ))
    }
}

/// Waits for news; for ever where none can come yet.
async fn change_of(views: &mut Option<watch::Receiver<Arc<MemberView>>>) {
    match views {
        Some(views) => drop(views.changed().await),
        None => std::future::pending().await,
    }
}
