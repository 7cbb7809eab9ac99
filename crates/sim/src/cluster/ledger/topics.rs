//! Topics and the places of their partitions.

use std::collections::BTreeMap;

use catalog::{Catalog, Command, NodeState, PartitionState};
use model::{NodeId, PartitionId};

use super::super::check::{M2, M8, M9};
use super::{Ledger, Step};
use crate::Violation;
use crate::check::ensure;

impl Ledger {
    /// M2.
    pub(super) fn m2_topics_are_used_once(&mut self, step: &Step<'_>) -> Result<(), Violation> {
        for topic in step.after.topics() {
            let is_new = step.before.topic_by_id(topic.id).is_none();
            ensure(!is_new || !self.topics.contains_key(&topic.id), M2, || {
                format!("topic {} was there before", topic.id)
            })?;
            let name = self
                .topics
                .entry(topic.id)
                .or_insert_with(|| topic.name.clone());
            ensure(*name == topic.name, M2, || {
                format!(
                    "topic {} was called {name}, and is {} now",
                    topic.id, topic.name
                )
            })?;
        }
        for topic in step.before.topics() {
            if step.after.topic_by_id(topic.id).is_none() {
                self.deleted.insert(topic.id);
            }
        }
        let forgotten = self.deleted.iter().find(|id| !step.after.is_deleted(**id));
        ensure(forgotten.is_none(), M2, || {
            format!("it is forgotten that {forgotten:?} was deleted")
        })
    }
}

/// M8: whoever is given a partition may be given one, and a new topic is spread evenly.
pub(super) fn m8_places_are_fit(step: &Step<'_>) -> Result<(), Violation> {
    let told = matches!(step.command, Command::CreateTopic { home: Some(_), .. });
    let mut fit = fit_for_partitions(step.before);
    fit.retain(|id| step.after.node(*id).is_some());
    let mut given: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (topic, index, state) in step.after.partitions() {
        let id = PartitionId {
            topic: topic.id,
            index,
        };
        let before = step.before.partition(id);
        let was_there = |node| before.is_some_and(|before| before.is_held_by(node));
        for node in state.replicas.iter().filter(|node| !was_there(**node)) {
            *given.entry(*node).or_default() += 1;
        }
    }
    let unfit = given.keys().find(|node| !fit.contains(node));
    ensure(told || unfit.is_none(), M8, || {
        format!("{unfit:?} was given a partition, and only {fit:?} may be")
    })?;
    let total: usize = given.values().sum();
    let most = given.values().max().copied().unwrap_or_default();
    let share = total.div_ceil(fit.len().max(1));
    ensure(told || most <= share, M8, || {
        format!("of {total} partitions one node was given {most}: {given:?}")
    })
}

fn fit_for_partitions(catalog: &Catalog) -> Vec<NodeId> {
    let nodes = catalog.nodes();
    let fit =
        nodes.filter(|node| node.state == NodeState::Active && !node.fenced && !node.awaits_disk);
    fit.map(|node| node.id).collect()
}

/// M9, and that states of a partition only go forward.
pub(super) fn m9_changes_hit_what_they_saw(step: &Step<'_>) -> Result<(), Violation> {
    for (topic, index, after) in step.after.partitions() {
        let id = PartitionId {
            topic: topic.id,
            index,
        };
        let Some(before) = step.before.partition(id).filter(|before| *before != after) else {
            continue;
        };
        check_change(before, after).map_err(|violation| violation.at(id))?;
        if let Command::AlterPartition { expected_epoch, .. } = step.command {
            ensure(before.epoch == *expected_epoch, M9, || {
                format!(
                    "{id} was at {}, and {expected_epoch} was seen",
                    before.epoch
                )
            })?;
        }
    }
    Ok(())
}

fn check_change(before: &PartitionState, after: &PartitionState) -> Result<(), Violation> {
    ensure(after.epoch == before.epoch + 1, M9, || {
        format!("epoch {} is followed by {}", before.epoch, after.epoch)
    })?;
    let reign_ends = before.leader != after.leader;
    ensure(
        !reign_ends || after.leader_epoch > before.leader_epoch,
        M9,
        || format!("two leaders of one epoch: {before:?}, {after:?}"),
    )?;
    let in_isr = after
        .leader
        .is_none_or(|leader| after.isr.contains(&leader));
    let kept = after.isr.iter().all(|node| after.is_held_by(*node));
    ensure(in_isr && kept && !after.isr.is_empty(), M9, || {
        format!("a state that cannot be: {after:?}")
    })
}
