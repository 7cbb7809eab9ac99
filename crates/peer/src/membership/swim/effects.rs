//! What the protocol engine asks for, and how it is done.

use bytes::Bytes;
use foca::{Header, Message, Notification, Runtime, Timer};
use model::Instant;
use std::time::Duration;

use super::claims::Case;
use super::timers::Due;
use super::{Output, Swim};
use crate::datagram::MESSAGE_BYTES_MAX;
use crate::membership::MemberId;
use crate::membership::codec::{self, Received};

/// Collects what the engine asks for during one call.
#[derive(Debug, Default)]
pub(super) struct Effects {
    messages: Vec<(MemberId, Vec<u8>)>,
    timers: Vec<(Duration, Timer<MemberId>)>,
}

impl Runtime<MemberId> for Effects {
    /// What changes is read from the engine's table, which also has the suspicions.
    fn notify(&mut self, _: Notification<'_, MemberId>) {}

    fn send_to(&mut self, to: MemberId, message: &[u8]) {
        self.messages.push((to, message.to_vec()));
    }

    fn submit_after(&mut self, timer: Timer<MemberId>, after: Duration) {
        self.timers.push((after, timer));
    }
}

impl Swim {
    /// Does what the engine asked for. A suspicion is ended by [`Swim::judge`] instead of the engine.
    pub(super) fn absorb(&mut self, now: Instant) {
        if *self.engine.identity() != self.me {
            self.me = *self.engine.identity();
            self.my_counter = 0;
            self.counters.renewed += 1;
            self.hurry_exchanges(now);
            self.changed = true;
        }
        for (after, timer) in std::mem::take(&mut self.effects.timers) {
            let due = match timer {
                Timer::ChangeSuspectToDown {
                    member_id,
                    incarnation,
                    ..
                } => Due::Judge(Case {
                    id: member_id,
                    counter: incarnation,
                    since: now,
                }),
                other => Due::Engine(other),
            };
            self.timers.add(now.after(after), due);
        }
        for (to, message) in std::mem::take(&mut self.effects.messages) {
            self.send(now, to, message);
        }
    }

    /// Sends what the engine wrote.
    fn send(&mut self, now: Instant, to: MemberId, mut message: Vec<u8>) {
        let Ok(Received::Protocol(header, _)) = codec::read(&message) else {
            return;
        };
        if !self.roster.contains_key(&to.node) {
            return;
        }
        self.my_counter = header.src_incarnation;
        match header.message {
            Message::Ping(number) => self.doubt.asked(now, to, number),
            Message::Announce => message.resize(MESSAGE_BYTES_MAX, 0),
            _ => {}
        }
        if let Some(message) = self.within_limit(&header, message) {
            self.put_out(&to, message);
        }
    }

    /// Sends a message of the protocol that the engine did not think of.
    pub(super) fn tell(
        &mut self,
        to: MemberId,
        message: Message<MemberId>,
        claims: &[foca::Member<MemberId>],
    ) {
        let header = Header {
            src: self.me,
            src_incarnation: self.my_counter,
            dst: to,
            message,
        };
        self.put_out(&to, codec::write(&header, claims));
    }

    pub(super) fn put_out(&mut self, to: &MemberId, message: Vec<u8>) {
        self.outputs.push_back(Output::Send {
            to: to.node,
            address: to.address,
            message: Bytes::from(message),
        });
    }

    /// Whoever is not known yet gets no longer answer than the question was, so that nobody can have a
    /// third party flooded: first the claims are left out, then the answer.
    fn within_limit(&mut self, header: &Header<MemberId>, message: Vec<u8>) -> Option<Vec<u8>> {
        let (node, longest) = self.answer_limit.unwrap_or((header.dst.node, usize::MAX));
        if header.dst.node != node || message.len() <= longest {
            return Some(message);
        }
        self.counters.cut += 1;
        let short = codec::write(header, &[]);
        (short.len() <= longest).then_some(short)
    }
}
