//! What others claim, and when somebody is believed to be down.
//!
//! That a member is down cannot be taken back, so it is the one claim that is not believed at once: only
//! of a member that has been suspected here for half the time it has to object, or that says so itself.
//! Otherwise the claim counts as a suspicion, and the member is told.

use foca::{Member, Message, State};
use model::{Instant, NodeId};

use super::Swim;
use super::timers::Due;
use crate::membership::MemberId;

/// The counter in a claim of *down* that the member made itself.
const SAID_BY_ITSELF: u16 = u16::MAX;

/// A suspicion that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    /// Who.
    pub(super) id: MemberId,
    /// Its counter; a larger one since is an objection.
    pub(super) counter: u16,
    /// Since when it runs.
    pub(super) since: Instant,
}

impl Swim {
    /// Which of these claims go to the engine, and in which form. `from` is who claims, unless it was an
    /// exchange.
    pub(super) fn sift(
        &mut self,
        now: Instant,
        from: Option<&MemberId>,
        claims: Vec<Member<MemberId>>,
    ) -> Vec<Member<MemberId>> {
        claims
            .into_iter()
            .filter_map(|claim| self.sift_one(now, from, claim))
            .collect()
    }

    fn sift_one(
        &mut self,
        now: Instant,
        from: Option<&MemberId>,
        claim: Member<MemberId>,
    ) -> Option<Member<MemberId>> {
        let id = *claim.id();
        if id.node == self.me.node {
            return self.sift_own(from.is_some(), claim);
        }
        if !self.roster.contains_key(&id.node) {
            self.counters.strangers += 1;
            return None;
        }
        if self.rows.get(&id.node).is_some_and(|row| row.id > id) {
            return None;
        }
        if claim.state() != State::Down {
            return Some(claim);
        }
        if from == Some(&id) || claim.incarnation() == SAID_BY_ITSELF {
            return Some(Member::new(id, SAID_BY_ITSELF, State::Down));
        }
        self.sift_down(now, claim)
    }

    /// A claim about this node: about this process, or another one. Given up by the others, this process
    /// comes back only when a datagram says so: that calls work does not make it alive.
    fn sift_own(&mut self, in_datagram: bool, claim: Member<MemberId>) -> Option<Member<MemberId>> {
        let id = *claim.id();
        if id.process() > self.me.process() {
            self.fence(id);
            return None;
        }
        if id != self.me || claim.state() == State::Down && !in_datagram {
            return None;
        }
        if claim.state() == State::Suspect && claim.incarnation() >= self.my_counter {
            self.doubt.was_suspected();
        }
        Some(claim)
    }

    fn sift_down(&mut self, now: Instant, claim: Member<MemberId>) -> Option<Member<MemberId>> {
        let (id, counter) = (*claim.id(), claim.incarnation());
        let row = self.rows.get(&id.node).filter(|row| row.id == id);
        match row.map(|row| (row.state, row.counter)) {
            Some((State::Down, _)) => return Some(claim),
            Some((_, known)) if known > counter => {
                self.counters.doubted += 1;
                return None;
            }
            Some((State::Suspect, _)) => {
                let suspected_for = row.map(|row| now.since(row.since)).unwrap_or_default();
                if suspected_for >= self.profile.suspicion / 2 {
                    return Some(claim);
                }
            }
            _ => {}
        }
        self.counters.doubted += 1;
        self.open_case(now, id, counter);
        Some(Member::new(id, counter, State::Suspect))
    }

    /// Gives a suspected member the time to object, and tells it.
    fn open_case(&mut self, now: Instant, id: MemberId, counter: u16) {
        let case = Case {
            id,
            counter,
            since: now,
        };
        let until = now.after(self.profile.suspicion);
        self.timers.add(until, Due::Judge(case));
        self.warn(id, counter);
    }

    /// Tells a member that it is suspected.
    pub(super) fn warn(&mut self, id: MemberId, counter: u16) {
        let claim = Member::new(id, counter, State::Suspect);
        self.tell(id, Message::Gossip, &[claim]);
    }

    /// A suspected member had its time. It is down if it did not object, but not before it was told, and
    /// later when this process has reason to doubt itself.
    pub(super) fn judge(&mut self, now: Instant, case: Case) {
        let Some(row) = self.rows.get(&case.id.node) else {
            return;
        };
        let is_open =
            row.id == case.id && row.state == State::Suspect && row.counter == case.counter;
        if !is_open {
            return;
        }
        let since = row.told.unwrap_or(case.since).max(case.since);
        let until = since.after(self.doubt.stretch(self.profile.suspicion));
        if now < until {
            self.timers.add(until, Due::Judge(case));
        } else {
            self.declare_down(now, case, self.doubt.has_heard_since(case.since));
        }
    }

    /// Whoever hears nobody keeps this to itself.
    fn declare_down(&mut self, now: Instant, case: Case, hears: bool) {
        let verdict = Member::new(case.id, case.counter, State::Down);
        self.drive(now, |engine, effects| {
            engine.apply_many(std::iter::once(verdict), hears, effects)
        });
        if hears {
            self.tell(case.id, Message::TurnUndead, &[]);
        } else {
            self.doubt.concluded_alone();
        }
        self.refresh(now, &[case.id.node]);
    }

    /// A node that is not in the roster any more.
    pub(super) fn forget(&mut self, now: Instant, node: NodeId) {
        self.changed = true;
        if let Some(row) = self.rows.remove(&node) {
            let gone = Member::new(row.id, row.counter, State::Down);
            self.drive(now, |engine, effects| {
                engine.apply_many(std::iter::once(gone), false, effects)
            });
        }
    }
}
