//! What is to be said, and what may be said only once something is on disk.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::{Answer, Error, GroupName, Output, StateRecord, Ticket, Token};

/// An answer and whom it is for.
pub(crate) type Reply = (Token, Answer);

/// A write on its way, with the answers that wait for it.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) group: GroupName,
    pub(crate) records: Vec<StateRecord>,
    pub(crate) replies: Vec<Reply>,
}

#[derive(Debug)]
struct InFlight {
    write: Write,
    /// Whether it was stored, once that is known.
    outcome: Option<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Output>,
    writes: BTreeMap<Ticket, InFlight>,
    last_ticket: Ticket,
}

impl Outbox {
    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    pub(crate) fn reply(&mut self, token: Token, result: Result<Answer, Error>) {
        self.queue.push_back(Output::Reply { token, result });
    }

    pub(crate) fn refuse(&mut self, token: Token, error: Error) {
        self.reply(token, Err(error));
    }

    /// Answers once `after` is on disk; at once when it is `None`.
    pub(crate) fn reply_after(&mut self, after: Option<Ticket>, reply: Reply) {
        match after.and_then(|ticket| self.writes.get_mut(&ticket)) {
            Some(in_flight) => in_flight.write.replies.push(reply),
            None => self.reply(reply.0, Ok(reply.1)),
        }
    }

    /// Asks for `write` to be stored; its replies wait.
    pub(crate) fn persist(&mut self, write: Write) -> Ticket {
        self.last_ticket = Ticket(self.last_ticket.0 + 1);
        let records = write.records.clone();
        self.writes.insert(
            self.last_ticket,
            InFlight {
                write,
                outcome: None,
            },
        );
        self.queue.push_back(Output::Persist {
            ticket: self.last_ticket,
            records,
        });
        self.last_ticket
    }

    /// Takes in how a write has ended. A ticket that is not on its way is none of ours.
    pub(crate) fn report(&mut self, ticket: Ticket, stored: bool) {
        if let Some(in_flight) = self.writes.get_mut(&ticket) {
            in_flight.outcome.get_or_insert(stored);
        }
    }

    /// The next write that has ended, in the order of the tickets: one that overtook an earlier one
    /// waits for it, so that effects and answers come in the order of the log.
    pub(crate) fn pop_ended(&mut self) -> Option<(Ticket, Write, bool)> {
        let first = self.writes.first_entry()?;
        let stored = first.get().outcome?;
        let (ticket, in_flight) = first.remove_entry();
        Some((ticket, in_flight.write, stored))
    }
}
