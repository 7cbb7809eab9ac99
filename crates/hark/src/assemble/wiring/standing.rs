//! How far this process has come with its cluster, and whom it waits for.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::RaftId;
use model::NodeId;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::assemble::finding::PeerAddress;
use crate::text::CORNER_DIGITS_MIN;

/// How far this process has come with its cluster. Clones are the same.
#[derive(Debug, Clone)]
pub(in crate::assemble) struct Standing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stage: watch::Sender<Stage>,
    heard: Mutex<Heard>,
}

/// Who answered when all were last asked.
#[derive(Debug, Default)]
pub(in crate::assemble) struct Heard {
    /// The members.
    pub members: BTreeSet<NodeId>,
    /// Where another process answered that has the same data directory, and is not registered either, as
    /// far as is known.
    pub twin: Option<PeerAddress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It may be no member, or one that is not wanted.
    Entering,
    /// It was a member when it ended, and nobody who answers knows better.
    Member,
    /// The cluster has registered this start.
    Registered,
}

impl Standing {
    pub(in crate::assemble) fn new() -> Self {
        Self(Arc::new(Inner {
            stage: watch::Sender::new(Stage::Entering),
            heard: Mutex::default(),
        }))
    }

    /// Everybody was asked, and these answered.
    pub(in crate::assemble) fn set_heard(&self, heard: Heard) {
        *self.0.heard.lock() = heard;
    }

    /// Whether another process that answered has the same data directory.
    pub(in crate::assemble) fn has_twin(&self) -> bool {
        self.0.heard.lock().twin.is_some()
    }

    /// This node was a member, and nobody who answered knows better.
    pub(in crate::assemble) fn set_member(&self) {
        self.reach(Stage::Member);
    }

    /// The cluster has registered this start, and the data directory has it.
    pub(in crate::assemble) fn set_registered(&self) {
        self.reach(Stage::Registered);
    }

    /// Returns once clients may be answered with what is here.
    pub(in crate::assemble) async fn may_be_read(&self) {
        let mut stages = self.0.stage.subscribe();
        // The sender lives as long as this.
        let _ = stages.wait_for(|stage| *stage >= Stage::Member).await;
    }

    /// What has to come before this start is registered; none once it is.
    pub(in crate::assemble) fn waits_for(
        &self,
        me: NodeId,
        voters: &BTreeSet<RaftId>,
    ) -> Option<String> {
        if *self.0.stage.borrow() == Stage::Registered {
            return None;
        }
        let heard = self.0.heard.lock();
        if let Some(twin) = &heard.twin {
            return Some(format!(
                "the process at {twin} to end, which has the same data directory or a copy of it"
            ));
        }
        let is_heard = |node: NodeId| node == me || heard.members.contains(&node);
        let voters: BTreeSet<NodeId> = voters.iter().map(|voter| voter.node()).collect();
        let (alive, silent): (Vec<NodeId>, Vec<NodeId>) =
            voters.into_iter().partition(|node| is_heard(*node));
        if alive.len() > silent.len() {
            return Some("its cluster to register this start".to_owned());
        }
        let corner = |id: NodeId| id.corner(CORNER_DIGITS_MIN).to_string();
        let silent: Vec<String> = silent.into_iter().map(corner).collect();
        Some(format!("a majority of the voters: {}", silent.join(", ")))
    }

    fn reach(&self, reached: Stage) {
        self.0.stage.send_if_modified(|stage| {
            let is_news = *stage < reached;
            *stage = reached.max(*stage);
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(members: &[u16]) -> Heard {
        Heard {
            members: members.iter().copied().map(NodeId).collect(),
            twin: None,
        }
    }

    #[tokio::test]
    async fn it_says_whom_it_waits_for() {
        let voters: BTreeSet<RaftId> = [1, 3, 5].map(|id| RaftId::new(NodeId(id), 0)).into();
        let standing = Standing::new();
        let waits = || standing.waits_for(NodeId(1), &voters);
        let alone = Some("a majority of the voters: 011, 101");
        assert_eq!(waits().as_deref(), alone);
        standing.set_heard(heard(&[9]));
        standing.set_member();
        standing.may_be_read().await;
        assert_eq!(waits().as_deref(), alone);
        standing.set_heard(heard(&[5]));
        assert_eq!(
            waits().as_deref(),
            Some("its cluster to register this start")
        );
        standing.set_heard(Heard {
            twin: "10.0.0.1:7946".parse().ok(),
            ..heard(&[3, 5])
        });
        let names_it = waits().is_some_and(|what| what.contains("the process at 10.0.0.1:7946"));
        assert!(standing.has_twin() && names_it);
        standing.set_registered();
        assert_eq!(waits(), None);
        standing.set_heard(heard(&[]));
        assert_eq!(waits(), None, "there is no way back");
    }
}
