//! Nodes: who was let in, and as whom.

use std::sync::Arc;

use catalog::{Command, Node};
use model::BootId;

use super::super::check::{M3, M9};
use super::{Ledger, Step};
use crate::Violation;
use crate::check::ensure;

impl Ledger {
    /// M3.
    pub(super) fn m3_a_node_is_one_line_of_starts(
        &mut self,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        for node in step.after.nodes() {
            let before = step.before.node(node.id);
            if before == Some(node) {
                continue;
            }
            self.check_disk(node)?;
            let holder = self.slots.entry(node.slot).or_insert(node.id);
            ensure(*holder == node.id, M3, || {
                format!("slot {} was that of node {holder}", node.slot)
            })?;
            self.check_start(before, node)?;
        }
        self.note_losses(step);
        let back = step
            .after
            .nodes()
            .find(|node| self.removed.contains(&node.id));
        ensure(back.is_none(), M3, || format!("{back:?} was removed"))
    }

    /// The consensus knows each disk under a name of its own.
    fn check_disk(&mut self, node: &Node) -> Result<(), Violation> {
        if node.awaits_disk {
            return Ok(());
        }
        let known = self.disks.entry(node.raft_id()).or_insert(node.storage);
        ensure(*known == node.storage, M3, || {
            format!(
                "{:?} was {known}, and is {} now",
                node.raft_id(),
                node.storage
            )
        })
    }

    /// Who comes in goes on where the node's last start was.
    fn check_start(&self, before: Option<&Arc<Node>>, node: &Node) -> Result<(), Violation> {
        let Some(before) = before else {
            return ensure(node.incarnation.0 == 1, M3, || {
                format!("a new node begins as {node:?}")
            });
        };
        if before.boot == node.boot && before.storage == node.storage {
            return ensure(before.incarnation == node.incarnation, M3, || {
                format!("one start is two incarnations: {node:?}")
            });
        }
        ensure(node.incarnation.0 == before.incarnation.0 + 1, M3, || {
            format!("{} is followed by {}", before.incarnation, node.incarnation)
        })?;
        if before.storage != node.storage {
            return ensure(before.awaits_disk, M3, || {
                format!("another disk was let in as node {}: {node:?}", node.id)
            });
        }
        ensure(!self.forgotten.contains(&node.storage), M3, || {
            format!("a disk that was given up was let in: {node:?}")
        })?;
        ensure(self.descends(node.boot, before.boot), M3, || {
            format!("an old copy was let in: {node:?} does not follow {before:?}")
        })
    }

    fn descends(&self, boot: BootId, from: BootId) -> bool {
        let start = self.starts.get(&boot);
        start.is_none_or(|start| start.ancestors.contains(&from))
    }

    fn note_losses(&mut self, step: &Step<'_>) {
        for node in step.before.nodes() {
            match step.after.node(node.id) {
                None => {
                    self.removed.insert(node.id);
                }
                Some(after) if after.awaits_disk => {
                    self.forgotten.insert(node.storage);
                }
                Some(_) => {}
            }
        }
    }
}

/// M9: a belief about an earlier start says nothing of this one.
pub(super) fn m9_fences_hit_what_they_saw(step: &Step<'_>) -> Result<(), Violation> {
    let Command::Fence {
        id, incarnation, ..
    } = step.command
    else {
        return Ok(());
    };
    let (before, after) = (step.before.node(*id), step.after.node(*id));
    let seen = before.map(|node| node.incarnation);
    ensure(before == after || seen == Some(*incarnation), M9, || {
        format!("node {id} is fenced for what {incarnation} did, and is {seen:?}")
    })
}
