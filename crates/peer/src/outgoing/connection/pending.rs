//! The calls of one connection that wait for their answers.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{CallError, Delivery};
use crate::outbox::{Outbox, Ticket};
use crate::protocol::Frame;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The other side has not looked at the request.
    NotTaken(String),
    /// It could not answer.
    Failed(String),
    /// The connection has ended.
    Lost(String),
}

type Answer = Result<Bytes, Ended>;

/// Who waits for which call.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    calls_so_far: u64,
    /// Why no more calls are taken.
    closed: Option<String>,
}

impl Pending {
    pub(super) fn is_open(&self) -> bool {
        self.0.lock().closed.is_none()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().waiting.is_empty()
    }

    pub(super) fn calls_so_far(&self) -> u64 {
        self.0.lock().calls_so_far
    }

    /// Waits for a call that is about to be sent.
    pub(super) fn register<'a>(
        &'a self,
        call: u64,
        ticket: &Arc<Ticket>,
        outbox: &'a Outbox,
    ) -> Result<Waiting<'a>, CallError> {
        let mut state = self.0.lock();
        if let Some(reason) = &state.closed {
            return Err(CallError::Lost {
                reason: reason.clone(),
                delivery: Delivery::NotSent,
            });
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(call, sender);
        state.calls_so_far += 1;
        Ok(Waiting {
            pending: self,
            outbox,
            ticket: Arc::clone(ticket),
            call,
            receiver,
        })
    }

    /// Gives an answer to who waits for it; one that nobody waits for any more is dropped.
    pub(super) fn settle(&self, call: u64, answer: Answer) {
        let waiting = self.0.lock().waiting.remove(&call);
        if let Some(waiting) = waiting {
            // It may have given up in this very moment.
            let _given_up = waiting.send(answer);
        }
    }

    /// Takes no more calls.
    pub(super) fn close(&self) {
        let mut state = self.0.lock();
        state
            .closed
            .get_or_insert_with(|| "the other node takes no more calls".to_owned());
    }

    /// Takes no more calls, if none is waiting.
    pub(super) fn close_if_empty(&self, reason: &str) -> bool {
        let mut state = self.0.lock();
        if state.waiting.is_empty() {
            state.closed.get_or_insert_with(|| reason.to_owned());
        }
        state.waiting.is_empty()
    }

    /// The connection is gone: nobody gets an answer any more.
    pub(super) fn end(&self, reason: &str) {
        let waiting = {
            let mut state = self.0.lock();
            state.closed.get_or_insert_with(|| reason.to_owned());
            std::mem::take(&mut state.waiting)
        };
        for sender in waiting.into_values() {
            // As in `settle`.
            let _given_up = sender.send(Err(Ended::Lost(reason.to_owned())));
        }
    }
}

/// One who waits. Dropped, it gives the call up, here and on the other side.
pub(super) struct Waiting<'a> {
    pending: &'a Pending,
    outbox: &'a Outbox,
    ticket: Arc<Ticket>,
    call: u64,
    receiver: oneshot::Receiver<Answer>,
}

impl Waiting<'_> {
    pub(super) async fn answer(&mut self) -> Answer {
        let answer = (&mut self.receiver).await;
        answer.unwrap_or_else(|_| Err(Ended::Lost("closed".to_owned())))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let was_waiting = self.pending.0.lock().waiting.remove(&self.call).is_some();
        if was_waiting && self.ticket.give_up() == Delivery::Unknown {
            self.outbox.push(Frame::Cancel { call: self.call });
        }
    }
}
