//! The task beside the coordinator: waits for the disk, keeps the time, writes the log anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::groups::{Input, Ticket};
use model::Offset;
use tokio::sync::{mpsc, watch};

use super::log::Pending;
use super::{Groups, Written};
use crate::inner::Inner;

/// Sleep of a coordinator that has nothing to wait for.
const LONG: Duration = Duration::from_secs(3600);

/// Runs until it is stopped.
pub(crate) async fn run(broker: Arc<Inner>, mut stopped: watch::Receiver<()>) {
    let groups = &broker.groups;
    let Some(mut written) = groups.written.lock().take() else {
        return;
    };
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            () = groups.turn(&mut written) => {}
        }
    }
}

impl Groups {
    /// Waits for one thing to happen and sees to it.
    async fn turn(&self, written: &mut mpsc::UnboundedReceiver<Written>) {
        tokio::select! {
            Some(write) = written.recv() => self.report(write).await,
            () = self.sooner.notified() => {}
            () = tokio::time::sleep(self.until_deadline().min(LONG)) => self.tell(Input::Tick),
        }
        if self.log.growth.wants_rewrite(self.clock.now()) {
            self.rewrite(written).await;
        }
    }

    fn until_deadline(&self) -> Duration {
        let deadline = self.machine.lock().coordinator.deadline();
        deadline.map_or(LONG, |deadline| deadline.since(self.clock.now()))
    }

    /// Tells the coordinator what became of a write.
    async fn report(&self, write: Written) {
        let ticket = write.ticket;
        let input = match settled(write.batches).await {
            Ok(()) => Input::Persisted { ticket },
            Err(why) => {
                tracing::warn!(why, "what a group wanted stored is not on disk");
                Input::PersistFailed { ticket }
            }
        };
        let mut machine = self.machine.lock();
        machine.in_flight -= 1;
        self.step(&mut machine, input);
    }

    /// Writes everything known to the end of the log and deletes what was before. Writes that come
    /// meanwhile wait, so that none of them stands in the part that goes. When it fails the log says
    /// some things twice, and a later turn tries again.
    async fn rewrite(&self, written: &mut mpsc::UnboundedReceiver<Written>) {
        self.machine.lock().held = Some(VecDeque::new());
        while self.machine.lock().in_flight > 0 {
            let Some(write) = written.recv().await else {
                return;
            };
            self.report(write).await;
        }
        let (first, pending) = self.write_all();
        let rewritten = match settled(pending).await {
            Ok(()) => self.delete_before(first).await,
            Err(why) => Err(why),
        };
        match rewritten {
            Ok(()) => self.log.growth.end_rewrite(),
            Err(why) => {
                self.log.growth.fail_rewrite(self.clock.now());
                tracing::warn!(
                    why,
                    "the groups' log was not written anew; tried again later"
                );
            }
        }
    }

    /// Appends everything known, and behind it what was held back. Gives the offset at which that
    /// begins: all writes before were reported, so it is the end.
    fn write_all(&self) -> (Offset, Vec<Pending>) {
        let mut machine = self.machine.lock();
        let first = self.log.end();
        self.log.growth.begin_rewrite();
        let live = machine.coordinator.live_records();
        let pending = self.log.append(&*self.store, self.clock.wall(), live);
        let held: Vec<(Ticket, _)> = machine.held.take().into_iter().flatten().collect();
        for (ticket, records) in held {
            self.write(&mut machine, ticket, records);
        }
        (first, pending)
    }

    async fn delete_before(&self, first: Offset) -> Result<(), String> {
        let (store, partition) = (Arc::clone(&self.store), self.log.partition());
        let deleted =
            tokio::task::spawn_blocking(move || store.delete_before(partition, first)).await;
        match deleted {
            Ok(Ok(bounds)) => {
                self.log.moved_start(bounds.start);
                Ok(())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the node is stopping".to_owned()),
        }
    }
}

/// Waits for the fate of all batches: all on disk, or why the first that is not is not.
async fn settled(batches: Vec<Pending>) -> Result<(), String> {
    let mut result = Ok(());
    for batch in batches {
        let settled = batch.settled().await;
        result = result.and(settled);
    }
    result
}
