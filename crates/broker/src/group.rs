//! Consumer groups: drives the pure coordinator.
//!
//! Requests go in under one lock and their answers come back through a channel each. What the
//! coordinator wants stored is appended to the internal topic under the same lock, so that the order
//! of its tickets is the order of the log; one task waits for the disk, reports in that order, and
//! keeps the coordinator's time.

mod admin;
mod commit;
mod error;
mod growth;
mod log;
mod member;
mod poll;
mod slot;
mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ::groups::{Answer, Coordinator, Input, Output, Request, StateRecord, Ticket, Token};
use model::limits::COMMIT_POSITIONS_IN_FLIGHT_MAX;
use parking_lot::Mutex;
use seglog::Store;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use self::slot::Slots;
use crate::seams::Clock;
use crate::topic::Topic;

pub(crate) use self::log::{GROUPS_TOPIC, Log, groups_partition, restore};
pub(crate) use self::task::run;

/// All groups of the node.
#[derive(Debug)]
pub(crate) struct Groups {
    machine: Mutex<Machine>,
    /// The consumers that doors spoke for.
    slots: Slots,
    /// Rung when the coordinator wants to be looked at earlier than before.
    sooner: Notify,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    log: Log,
    /// Positions that may still be committed before earlier ones are on disk.
    room: Arc<Semaphore>,
    /// Where [`run`] hears of writes; taken by it.
    written: Mutex<Option<mpsc::UnboundedReceiver<Written>>>,
}

#[derive(Debug)]
struct Machine {
    coordinator: Coordinator,
    answers: BTreeMap<Token, Asked>,
    last_token: u64,
    /// Writes that were handed to the log and not yet reported.
    in_flight: usize,
    /// While the log is to be written anew: writes that wait for that.
    held: Option<VecDeque<(Ticket, Vec<StateRecord>)>>,
    writes: mpsc::UnboundedSender<Written>,
    /// Nobody waits for the disk any more, so nothing may be asked.
    is_stopped: bool,
}

/// A request without an answer yet.
#[derive(Debug)]
struct Asked {
    answer: oneshot::Sender<Answered>,
    /// Given back with the answer, even if nobody waits for that any more.
    _room: Option<OwnedSemaphorePermit>,
}

/// A write that was handed to the log, and the batches whose fate decides its own.
#[derive(Debug)]
pub(crate) struct Written {
    ticket: Ticket,
    batches: Vec<log::Pending>,
}

/// What the coordinator answers.
type Answered = Result<Answer, ::groups::Error>;

impl Groups {
    pub(crate) fn new(
        coordinator: Coordinator,
        log: Log,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
    ) -> Self {
        let (writes, written) = mpsc::unbounded_channel();
        Self {
            machine: Mutex::new(Machine {
                coordinator,
                answers: BTreeMap::new(),
                last_token: 0,
                in_flight: 0,
                held: None,
                writes,
                is_stopped: false,
            }),
            slots: Slots::default(),
            sooner: Notify::new(),
            clock,
            store,
            log,
            room: Arc::new(Semaphore::new(COMMIT_POSITIONS_IN_FLIGHT_MAX)),
            written: Mutex::new(Some(written)),
        }
    }

    /// Tells the coordinator how many partitions a topic has now; 0 once it is gone.
    pub(crate) fn partitions_changed(&self, topic: &Topic, count: u32) {
        self.tell(Input::PartitionsChanged {
            topic: topic.id,
            name: topic.name.clone(),
            count,
        });
        self.slots.ring_all();
    }

    /// How many groups there are.
    pub(crate) fn count(&self) -> usize {
        match self.ask_now(Request::List) {
            Some(Ok(Answer::List(list))) => list.len(),
            _ => 0,
        }
    }

    /// Sends home everybody who waits for an answer, and whoever asks from now on.
    pub(crate) fn stop(&self) {
        let mut machine = self.machine.lock();
        machine.is_stopped = true;
        machine.answers.clear();
        drop(machine);
        self.slots.ring_all();
    }

    /// Forgets consumers that have not been heard of for long.
    pub(crate) fn forget_silent(&self) {
        self.slots.forget_silent(self.clock.now());
    }

    /// Asks and waits. `None` when the broker is closed meanwhile.
    async fn ask(&self, request: Request) -> Option<Answered> {
        self.request(request).await.ok()
    }

    /// Asks something that is answered at once.
    fn ask_now(&self, request: Request) -> Option<Answered> {
        self.request(request).try_recv().ok()
    }

    /// The same for a commit of so many positions, once there is room for them.
    async fn ask_with_room(&self, request: Request, positions: usize) -> Option<Answered> {
        // More than there is would wait for ever.
        let positions = positions.min(COMMIT_POSITIONS_IN_FLIGHT_MAX);
        let permits = u32::try_from(positions).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await;
        self.request_holding(request, room.ok()).await.ok()
    }

    fn request(&self, request: Request) -> oneshot::Receiver<Answered> {
        self.request_holding(request, None)
    }

    fn request_holding(
        &self,
        request: Request,
        room: Option<OwnedSemaphorePermit>,
    ) -> oneshot::Receiver<Answered> {
        let (answer, receiver) = oneshot::channel();
        let mut machine = self.machine.lock();
        if machine.is_stopped {
            return receiver;
        }
        machine.last_token += 1;
        let token = Token(machine.last_token);
        let asked = Asked {
            answer,
            _room: room,
        };
        machine.answers.insert(token, asked);
        self.step(&mut machine, Input::Request { token, request });
        receiver
    }

    fn tell(&self, input: Input) {
        self.step(&mut self.machine.lock(), input);
    }

    /// Lets the coordinator do one thing, and carries out what it wants done.
    fn step(&self, machine: &mut Machine, input: Input) {
        let before = machine.coordinator.deadline();
        machine.coordinator.handle(self.clock.now(), input);
        while let Some(output) = machine.coordinator.poll() {
            match output {
                Output::Reply { token, result } => {
                    if let Some(asked) = machine.answers.remove(&token) {
                        // Whoever asked may have gone away.
                        let _ = asked.answer.send(result);
                    }
                }
                Output::Persist { ticket, records } => self.persist(machine, ticket, records),
            }
        }
        let after = machine.coordinator.deadline();
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.sooner.notify_one();
        }
    }

    fn persist(&self, machine: &mut Machine, ticket: Ticket, records: Vec<StateRecord>) {
        match &mut machine.held {
            Some(held) => held.push_back((ticket, records)),
            None => self.write(machine, ticket, records),
        }
    }

    /// Hands a write to the log. One that is refused at once is reported like one that fails later.
    fn write(&self, machine: &mut Machine, ticket: Ticket, records: Vec<StateRecord>) {
        let batches = self
            .log
            .append(&*self.store, self.clock.wall(), records.into_iter());
        machine.in_flight += 1;
        // Nobody listens any more once the broker is closed.
        let _ = machine.writes.send(Written { ticket, batches });
    }
}
