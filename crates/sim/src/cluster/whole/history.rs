//! What clients asked and were told, and what must follow from it.

use std::time::Duration;

use catalog::{Command, Outcome};
use control::{Control, ProposeError};

use super::super::check::{E6, M4};
use super::super::gossips::Process;
use super::world::{State, World};
use crate::Violation;
use crate::check::ensure;

/// The longest that anything may take before a client gives up and knows nothing.
const PATIENCE: Duration = Duration::from_secs(25);

/// What was acknowledged.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Commands, with the position at which the process had them when it said so.
    pending: Vec<(Vec<u8>, u64)>,
    acknowledged: u64,
    unknown: u64,
}

impl History {
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
}

impl World {
    /// A client, for ever: some process, some command or a look, and again.
    pub(super) async fn run_client(self, number: u64) {
        loop {
            let pause = 20 + self.lock().rng.below(400);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let Some((process, control)) = self.lock().some_process() else {
                continue;
            };
            let looks = self.lock().rng.chance(30);
            let world = self.clone();
            let done = self.spawn(process, async move {
                if looks {
                    world.look_afresh(process, &control).await;
                } else {
                    let command = world.lock().whims.command(&control.view());
                    let _ = world.ask(process, &control, command).await;
                }
            });
            if tokio::time::timeout(PATIENCE, done).await.is_err() {
                self.lock().note(format_args!(
                    "client {number} gives up on process {process}"
                ));
            }
        }
    }

    /// Asks a process for something; whether it was agreed on.
    pub(super) async fn ask(&self, process: Process, control: &Control, command: Command) -> bool {
        let bytes = command.encode();
        let answer = control.propose(command.clone()).await;
        let mut state = self.lock();
        state.note(format_args!("process {process}: {command:?}: {answer:?}"));
        match answer {
            Ok(outcome) => state.acknowledge(control, bytes, &outcome),
            Err(ProposeError::Refused(_)) => state.note_refused(&command),
            Err(ProposeError::Unavailable(_)) => {
                state.history.unknown += 1;
                return false;
            }
        }
        true
    }

    async fn look_afresh(&self, process: Process, control: &Control) {
        let seen_before = self.lock().watch.newest_revision;
        let answer = control.fresh().await;
        let mut state = self.lock();
        if let Ok(catalog) = answer {
            let revision = catalog.revision();
            state.note(format_args!("process {process}: fresh at {revision}"));
            let fresh = ensure(revision >= seen_before, M4, || {
                format!(
                    "process {process} shows revision {revision} afresh, and {seen_before} was seen before"
                )
            });
            state.hold(fresh);
            state.watch.newest_revision = state.watch.newest_revision.max(revision);
        }
    }
}

impl State {
    fn some_process(&mut self) -> Option<(Process, Control)> {
        let serving: Vec<(Process, Control)> = self
            .serving()
            .map(|(id, _, control)| (id, control.clone()))
            .collect();
        self.rng.pick(&serving).cloned()
    }

    fn acknowledge(&mut self, control: &Control, command: Vec<u8>, outcome: &Outcome) {
        self.history.acknowledged += 1;
        let applied = control.status().applied.unwrap_or_default();
        self.history.pending.push((command, applied));
        let catalog = control.view();
        self.watch.newest_revision = self.watch.newest_revision.max(catalog.revision());
        if let Outcome::Topic(topic) = outcome {
            let shown = catalog.topic_by_id(topic.id).is_some() || catalog.is_deleted(topic.id);
            let held = ensure(shown, E6, || {
                format!("topic {} was acknowledged, and is not shown", topic.name)
            });
            self.hold(held);
        }
    }

    /// E6: everything that was acknowledged was agreed on.
    pub(super) fn check_history(&mut self) -> Result<(), Violation> {
        let known = self.watch.agreed.len() as u64;
        let (due, pending) = std::mem::take(&mut self.history.pending)
            .into_iter()
            .partition(|(_, applied)| *applied < known);
        self.history.pending = pending;
        let due: Vec<(Vec<u8>, u64)> = due;
        let lost = due
            .iter()
            .find(|(command, _)| !self.watch.commands.contains(command));
        ensure(lost.is_none(), E6, || {
            let command = lost.map(|(command, _)| Command::decode(command));
            format!("acknowledged, and not in the log: {command:?}")
        })
    }
}
