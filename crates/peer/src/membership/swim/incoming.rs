//! Messages, and who may send them.

use foca::{Header, Member, Message, State};
use model::Instant;

use super::timers::Due;
use super::{Known, Listed, Output, Swim};
use crate::membership::MemberId;
use crate::membership::codec::{self, Received};

impl Swim {
    pub(super) fn on_message(&mut self, now: Instant, bytes: &[u8]) {
        match codec::read(bytes) {
            Err(_) => self.counters.malformed += 1,
            Ok(Received::Superseded { you, by }) => self.on_superseded(&you, by),
            Ok(Received::Protocol(header, claims)) => {
                self.on_protocol(now, bytes.len(), header, claims);
            }
        }
    }

    fn on_protocol(
        &mut self,
        now: Instant,
        length: usize,
        mut header: Header<MemberId>,
        claims: Vec<Member<MemberId>>,
    ) {
        let from = header.src;
        if from.node == self.me.node {
            return self.on_namesake(&from);
        }
        if !self.roster.contains_key(&from.node) {
            self.counters.strangers += 1;
            return;
        }
        if let Some(by) = self.successor(&from) {
            self.counters.superseded += 1;
            self.put_out(&from, codec::write_superseded(&from, &by));
            return;
        }
        self.hear(now, &header);
        if self.doubt.must_begin_anew() {
            self.begin_anew(now, from);
        } else {
            self.speak_up(now);
        }
        if !self.readdress(&mut header) {
            return;
        }
        let is_known = self.is_active(&from);
        self.answer_limit = (!is_known).then_some((from.node, length));
        let claims = self.sift(now, Some(&from), claims);
        if self.ended {
            return;
        }
        let mut touched: Vec<_> = claims.iter().map(|claim| claim.id().node).collect();
        touched.push(from.node);
        let message = codec::write(&header, &claims);
        self.drive(now, |engine, effects| engine.handle_data(&message, effects));
        self.answer_limit = None;
        self.refresh(now, &touched);
        self.remind(&from);
    }

    /// Who is heard and still suspected does not know of it: what told it was lost, and is told only so often.
    fn remind(&mut self, heard: &MemberId) {
        let row = self.rows.get(&heard.node).filter(|row| row.id == *heard);
        if let Some(counter) = row
            .filter(|row| row.state == State::Suspect)
            .map(|row| row.counter)
        {
            self.warn(*heard, counter);
        }
    }

    /// What is meant for this process under an earlier name is taken as meant for it, so that members
    /// that all come back at the same time hear of each other. Only that the earlier name is down is old
    /// news. Says whether the message is to be read.
    fn readdress(&self, header: &mut Header<MemberId>) -> bool {
        let is_earlier_name = header.dst != self.me
            && header.dst.node == self.me.node
            && header.dst.process() == self.me.process();
        if is_earlier_name {
            header.dst = self.me;
        }
        !(is_earlier_name && header.message == Message::TurnUndead)
    }

    /// Notes that somebody is there and, if it is the answer to a probe, how long it took.
    fn hear(&mut self, now: Instant, header: &Header<MemberId>) {
        let from = header.src;
        self.on_link(now, from.node, false);
        let round_trip = match &header.message {
            Message::Ack(number) => self.doubt.answered(now, &from, *number),
            Message::ForwardedAck {
                origin,
                probe_number,
            } => {
                self.doubt.answered(now, origin, *probe_number);
                None
            }
            _ => None,
        };
        self.doubt.heard(now);
        if let (Some(row), Some(_)) = (self.rows.get_mut(&from.node), round_trip) {
            row.round_trip = round_trip;
        }
    }

    /// The later process of the same node, if one is known.
    fn successor(&self, of: &MemberId) -> Option<MemberId> {
        let known = self.rows.get(&of.node)?.id;
        (known.process() > of.process()).then_some(known)
    }

    /// Another process of this node talks. The one registered earlier must end.
    fn on_namesake(&mut self, other: &MemberId) {
        self.counters.superseded += 1;
        if other.process() > self.me.process() {
            self.fence(*other);
        } else if other.process() < self.me.process() && other.address != self.me.address {
            self.put_out(other, codec::write_superseded(other, &self.me));
        }
    }

    fn on_superseded(&mut self, you: &MemberId, by: MemberId) {
        let is_me = you.node == self.me.node && you.process() == self.me.process();
        if is_me && by.node == self.me.node && by.process() > self.me.process() {
            self.fence(by);
        }
    }

    pub(super) fn fence(&mut self, by: MemberId) {
        self.ended = true;
        self.outputs.clear();
        self.outputs.push_back(Output::Fenced { by });
    }

    pub(super) fn on_roster(&mut self, now: Instant, roster: Vec<Listed>) {
        let before = std::mem::take(&mut self.roster);
        for listed in roster.iter().filter(|listed| listed.id != self.me.node) {
            let known = before.get(&listed.id);
            self.changed |= known.is_none();
            self.roster.insert(
                listed.id,
                Known {
                    address: listed.address,
                    listed_at: known.map_or(now, |known| known.listed_at),
                    link_suspected: known.is_some_and(|known| known.link_suspected),
                },
            );
        }
        for gone in before.keys() {
            if !self.roster.contains_key(gone) {
                self.forget(now, *gone);
            }
        }
        let config = self.profile.config(self.roster.len() + 1);
        self.drive(now, |engine, _| engine.set_config(config));
        if self.engine.num_members() == 0 {
            self.timers.remove(&Due::Seek);
            self.timers.add(now, Due::Seek);
        }
    }
}
