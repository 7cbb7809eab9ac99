//! The mistakes planted in what nodes agree on and how they know of each other.

use super::Mutant;

const REGISTER: &str = "catalog/src/apply/register.rs";
const NODES: &str = "catalog/src/apply/nodes.rs";
const TOPICS: &str = "catalog/src/apply/topics.rs";
const LOG: &str = "control/src/log.rs";
const PROPOSE: &str = "control/src/propose.rs";
const STEWARD: &str = "control/src/steward.rs";
const LOOK: &str = "control/src/decide/look.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "vote-answered-before-sync",
        file: LOG,
        find: "self.write(Change::Put(Key::Vote, seal(bytes))).await",
        replace: "self.writer.submit(vec![Change::Put(Key::Vote, seal(bytes))], \
                  Box::new(|_| {})); Ok(())",
        caught_by: &["M5"],
        why: "after a power cut the same voter elects a second leader",
    },
    Mutant {
        name: "entries-answered-before-sync",
        file: LOG,
        find: "self.writer.submit(changes, Box::new(done));",
        replace: "self.writer.submit(changes, Box::new(|_| {})); done(Ok(()));",
        caught_by: &["M5", "E3", "E5", "E6"],
        why: "what a majority took lies in page caches, and the power fails everywhere at once",
    },
    Mutant {
        name: "start-not-written-down-before-it-registers",
        file: "control/src/life.rs",
        find: "self.save(identity.clone()).await?;",
        replace: "",
        caught_by: &["M5"],
        why: "a crash between asking and hearing makes a node a stranger to its own cluster",
    },
    Mutant {
        name: "fresh-read-from-here",
        file: PROPOSE,
        find: "match self.inner.ask_leader(Request::Read).await? {",
        replace: "if self.inner.engine.get().is_some() { return Ok(self.view()); } \
                  match self.inner.ask_leader(Request::Read).await? {",
        caught_by: &["M4"],
        why: "what this node has is new enough until somebody asks right after a change elsewhere",
    },
    Mutant {
        name: "read-index-without-a-quorum",
        file: "control/src/handle.rs",
        find: "let read = running.raft.get_read_linearizer(ReadPolicy::ReadIndex);",
        replace: "let here = *self.views.applied.borrow(); \
                  if let Some(applied) = here { return Response::ReadFrom(applied); } \
                  let read = running.raft.get_read_linearizer(ReadPolicy::ReadIndex);",
        caught_by: &["M4"],
        why: "a leader that was cut off answers for a cluster that has another one by now",
    },
    Mutant {
        name: "proposal-takes-effect-twice",
        file: "control/src/machine.rs",
        find: "if let Some(answer) = self.recent.answer(&proposal.id, &self.catalog) {",
        replace: "if let Some(answer) = self.recent.answer(&proposal.id, &self.catalog)\
                  .filter(|_| false) {",
        caught_by: &["M1"],
        why: "the first answer was lost, so it was asked again",
    },
    Mutant {
        name: "election-forced-instead-of-handing-over",
        file: STEWARD,
        find: "let asked = running.raft.trigger().transfer_leader(to.0).await;",
        replace: "let _ = to; let asked = running.raft.trigger().elect(false).await;",
        caught_by: &["V2", "B2"],
        why: "an election does not make the preferred node win; it only makes everybody wait",
    },
    Mutant {
        name: "followers-vote-at-once",
        file: STEWARD,
        find: "ChangeMembers::AddNodes(nodes.collect())",
        replace: "ChangeMembers::AddVoters(nodes.collect())",
        caught_by: &["B3", "V1"],
        why: "a voter that has nothing yet, and one too many: of two that vote, nobody can do without it",
    },
    Mutant {
        name: "handed-over-to-whoever-is-highest",
        file: LOOK,
        find: "let is_preferred = heir.node() > me.node() && self.is_steady(heir);",
        replace: "let is_preferred = heir.node() > me.node();",
        caught_by: &["B1"],
        why: "a node that comes and goes takes leadership along each time",
    },
    Mutant {
        name: "deaf-leader-keeps-talking",
        file: LOOK,
        find: "let deaf = unheard.checked_sub(self.timings.deaf);",
        replace: "let deaf = unheard.checked_sub(Duration::MAX);",
        caught_by: &["B2", "V1"],
        why: "its signs of life reach all who could replace it: Cloudflare, 2020",
    },
    Mutant {
        name: "old-copy-let-in",
        file: REGISTER,
        find: "if !start.known_boots.contains(&node.boot) {",
        replace: "if false {",
        caught_by: &["M3"],
        why: "a data directory from a backup votes again, with a log that others have gone beyond",
    },
    Mutant {
        name: "removed-id-let-in",
        file: REGISTER,
        find: "if self.is_removed(id) { return Err(Refusal::Removed(id)); }",
        replace: "",
        caught_by: &["M3"],
        why: "what was addressed to the one that is gone reaches another",
    },
    Mutant {
        name: "empty-disk-keeps-its-name",
        file: NODES,
        find: "node.disk = node.disk.saturating_add(1);",
        replace: "",
        caught_by: &["M3", "E1", "E3", "B3", "V1"],
        why: "a voter that forgot its votes gives them again: two majorities",
    },
    Mutant {
        name: "fence-hits-the-next-start",
        file: NODES,
        find: "if node.incarnation != seen || node.awaits_disk && !fenced {",
        replace: "if node.awaits_disk && !fenced { let _ = seen;",
        caught_by: &["M9"],
        why: "a verdict on the process that died is carried out on the one that replaced it",
    },
    Mutant {
        name: "topic-identity-used-again",
        file: TOPICS,
        find: "if self.is_deleted(new.id) {",
        replace: "if false {",
        caught_by: &["M2", "M1"],
        why: "a late copy of the request brings a deleted topic back, with its old records",
    },
    Mutant {
        name: "partition-changed-by-who-saw-an-older-state",
        file: TOPICS,
        find: "if state.epoch != expected_epoch {",
        replace: "if state.epoch < expected_epoch {",
        caught_by: &["M9"],
        why: "two controllers, each right about what it saw",
    },
    Mutant {
        name: "placed-on-a-node-that-is-down",
        file: TOPICS,
        find: "let up = willing.filter(|node| !node.fenced && !node.awaits_disk);",
        replace: "let up = willing.filter(|node| !node.awaits_disk);",
        caught_by: &["M8"],
        why: "a new topic that nobody can write to",
    },
    Mutant {
        name: "two-processes-of-one-node-live-on",
        file: "peer/src/membership/swim/incoming.rs",
        find: "self.ended = true; self.outputs.clear(); \
               self.outputs.push_back(Output::Fenced { by });",
        replace: "let _ = by;",
        caught_by: &["M3", "G1"],
        why: "the one that was replaced while it got no time never hears of it",
    },
    Mutant {
        name: "later-start-does-not-win",
        file: "peer/src/membership/identity.rs",
        find: "self > adversary",
        replace: "self < adversary",
        caught_by: &["M3", "G1"],
        why: "a node that has started again stays down to all who knew it before",
    },
];
