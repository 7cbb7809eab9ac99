//! What was agreed on, command by command: applied to a catalog of the checker's own, and every step
//! held against rules that know nothing of how the catalog does it.

mod nodes;
mod topics;

use std::collections::{BTreeMap, BTreeSet};

use catalog::{Catalog, Command, Outcome, RaftId, Refusal};
use model::{BootId, NodeId, Slot, StorageId, TopicId, TopicName};

use super::check::{M1, M7};
use crate::Violation;
use crate::check::ensure;

/// Commands between two looks at the catalog's encoding.
const LOOK_EVERY: u64 = 16;

/// Everything that was agreed on, and what the checker knows of the world.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    catalog: Catalog,
    /// Restored now and then from the bytes of a catalog, it must go the same way.
    restored: Catalog,
    commands: u64,
    starts: BTreeMap<BootId, Start>,
    /// The name of every topic that ever was.
    topics: BTreeMap<TopicId, TopicName>,
    deleted: BTreeSet<TopicId>,
    removed: BTreeSet<NodeId>,
    /// Disks that were given up.
    forgotten: BTreeSet<StorageId>,
    /// The disk behind every name that the consensus ever knew.
    disks: BTreeMap<RaftId, StorageId>,
    slots: BTreeMap<Slot, NodeId>,
    next_producer_id: u64,
}

/// What the world knows of a start.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// The starts that came before, on this disk or on the one that it is a copy of.
    pub(super) ancestors: Vec<BootId>,
}

/// One command, and the catalog on both sides of it.
pub(super) struct Step<'a> {
    pub(super) before: &'a Catalog,
    pub(super) command: &'a Command,
    pub(super) after: &'a Catalog,
    pub(super) answer: &'a Result<Outcome, Refusal>,
}

impl Ledger {
    /// The catalog so far.
    pub(super) const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// A process has started.
    pub(super) fn note_start(&mut self, boot: BootId, start: Start) {
        self.starts.insert(boot, start);
    }

    /// The next command.
    pub(super) fn apply(
        &mut self,
        command: &Command,
    ) -> Result<Result<Outcome, Refusal>, Violation> {
        let before = self.catalog.clone();
        let answer = self.catalog.apply(command);
        let after = self.catalog.clone();
        let step = Step {
            before: &before,
            command,
            after: &after,
            answer: &answer,
        };
        let checked = m7_all_or_nothing(&step)
            .and_then(|()| self.m2_topics_are_used_once(&step))
            .and_then(|()| self.m3_a_node_is_one_line_of_starts(&step))
            .and_then(|()| topics::m8_places_are_fit(&step))
            .and_then(|()| topics::m9_changes_hit_what_they_saw(&step))
            .and_then(|()| nodes::m9_fences_hit_what_they_saw(&step))
            .and_then(|()| self.e6_producer_ids_are_given_once(&answer))
            .and_then(|()| self.m1_bytes_tell_everything(command));
        checked.map_err(|violation| violation.at(format!("{command:?}, answered {answer:?}")))?;
        Ok(answer)
    }

    fn m1_bytes_tell_everything(&mut self, command: &Command) -> Result<(), Violation> {
        let again = self.restored.apply(command);
        drop(again);
        ensure(self.restored == self.catalog, M1, || {
            "a snapshot and the rest of the log lead elsewhere".to_owned()
        })?;
        self.commands += 1;
        if self.commands.is_multiple_of(LOOK_EVERY) {
            let restored = Catalog::decode(&self.catalog.encode());
            self.restored = restored.map_err(|error| Violation::new(M1, error))?;
        }
        Ok(())
    }

    /// Part of E6: nobody else was given them.
    fn e6_producer_ids_are_given_once(
        &mut self,
        answer: &Result<Outcome, Refusal>,
    ) -> Result<(), Violation> {
        let Ok(Outcome::ProducerIds { first, count }) = answer else {
            return Ok(());
        };
        let next = self.next_producer_id;
        self.next_producer_id = first + u64::from(*count);
        ensure(*first >= next, super::check::E6, || {
            format!("producer id {first} was given before, and so were all below {next}")
        })
    }
}

/// M7.
fn m7_all_or_nothing(step: &Step<'_>) -> Result<(), Violation> {
    let (before, after) = (step.before.revision(), step.after.revision());
    if step.answer.is_err() || before == after {
        return ensure(step.before == step.after, M7, || {
            format!("something has changed at revision {before}")
        });
    }
    ensure(after == before + 1 && step.before != step.after, M7, || {
        format!("one change leads from revision {before} to {after}")
    })
}
