//! Doubt in oneself.
//!
//! A process that was stopped, starved or cut off sees everybody else silent. It is more likely that
//! one has a fault than that all have, so such a process waits longer, and what it concludes while it hears
//! nobody it does not spread. When it hears again, it begins anew under a new name: the others have
//! given it up, and it them.

use std::time::Duration;

use foca::{Foca, Member, Message, State, Timer};
use model::Instant;

use super::Swim;
use crate::membership::MemberId;
use crate::membership::codec::WireCodec;

/// Each step makes suspicions half as long again; the longest lasts three times the usual.
const STEPS_MAX: u32 = 4;

/// What this process knows about its own ability to judge.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    steps: u32,
    heard_at: Option<Instant>,
    probe: Option<Probe>,
    /// Whether there are suspicions that nobody was told of.
    is_quiet: bool,
    concluded_alone: bool,
}

/// A question that was asked directly.
#[derive(Debug)]
struct Probe {
    to: MemberId,
    number: u8,
    asked_at: Instant,
    is_answered: bool,
}

impl Doubt {
    pub(super) fn asked(&mut self, now: Instant, to: MemberId, number: u8) {
        self.probe = Some(Probe {
            to,
            number,
            asked_at: now,
            is_answered: false,
        });
    }

    /// The answer to the question asked last, directly or passed on: how long it took.
    pub(super) fn answered(&mut self, now: Instant, by: &MemberId, number: u8) -> Option<Duration> {
        let probe = self.probe.as_mut()?;
        if probe.is_answered || probe.to != *by || probe.number != number {
            return None;
        }
        probe.is_answered = true;
        let took = now.since(probe.asked_at);
        self.relax();
        Some(took)
    }

    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard_at = Some(now);
    }

    pub(super) fn has_heard_since(&self, when: Instant) -> bool {
        self.heard_at.is_some_and(|heard_at| heard_at > when)
    }

    pub(super) const fn was_suspected(&mut self) {
        self.worry();
    }

    pub(super) const fn concluded_alone(&mut self) {
        self.concluded_alone = true;
    }

    /// Somebody is heard after conclusions that were drawn while nobody was.
    pub(super) const fn must_begin_anew(&self) -> bool {
        self.concluded_alone
    }

    /// How long a suspicion lasts.
    pub(super) fn stretch(&self, suspicion: Duration) -> Duration {
        suspicion + suspicion * self.steps / 2
    }

    const fn worry(&mut self) {
        if self.steps < STEPS_MAX {
            self.steps += 1;
        }
    }

    const fn relax(&mut self) {
        self.steps = self.steps.saturating_sub(1);
    }

    /// The member that was asked last and did not answer, and whether nobody else was heard either.
    fn unanswered(&self) -> Option<(MemberId, bool)> {
        let probe = self.probe.as_ref().filter(|probe| !probe.is_answered)?;
        Some((probe.to, !self.has_heard_since(probe.asked_at)))
    }
}

impl Swim {
    /// When own timers are late, this process did not run, and what others sent meanwhile is still to be
    /// read. Everything is done later by as much, and a little more.
    pub(super) fn forgive_lateness(&mut self, now: Instant) {
        let late = self.timers.next().map(|due| now.since(due));
        if let Some(late) = late.filter(|late| *late > self.profile.lateness) {
            self.counters.late += 1;
            self.doubt.worry();
            self.timers.postpone(late + self.profile.probe_rtt);
        }
    }

    pub(super) fn on_engine_timer(&mut self, now: Instant, timer: Timer<MemberId>) {
        let mut touched = Vec::new();
        match &timer {
            Timer::SendIndirectProbe { probed_id, .. } => self.ask_around(now, probed_id),
            Timer::ProbeRandomMember(_) => touched.extend(self.close_probe(now)),
            _ => {}
        }
        self.drive(now, |engine, effects| engine.handle_timer(timer, effects));
        self.refresh(now, &touched);
    }

    /// A member is silent. If so is everybody, a word from anyone will tell which side the fault is on.
    fn ask_around(&mut self, now: Instant, silent: &MemberId) {
        if !self.doubt.unanswered().is_some_and(|(_, is_deaf)| is_deaf) {
            return;
        }
        for chosen in self.choose(2, silent) {
            self.announce(now, chosen);
        }
    }

    /// Some members that are there, at random.
    fn choose(&mut self, wanted: usize, except: &MemberId) -> Vec<MemberId> {
        let mut others: Vec<MemberId> = self
            .engine
            .iter_members()
            .map(|member| *member.id())
            .filter(|id| id.node != except.node)
            .collect();
        let mut chosen = Vec::new();
        while chosen.len() < wanted && !others.is_empty() {
            chosen.push(others.swap_remove(self.random.below(others.len())));
        }
        chosen
    }

    /// Somebody is heard: suspicions kept to oneself are told, to those they are about and to some others,
    /// and run from now on.
    pub(super) fn speak_up(&mut self, now: Instant) {
        if !std::mem::take(&mut self.doubt.is_quiet) {
            return;
        }
        let mut untold = Vec::new();
        for row in self.rows.values_mut() {
            if row.state == State::Suspect && row.told.is_none() {
                row.told = Some(now);
                untold.push((row.id, row.counter));
            }
        }
        for (id, counter) in untold {
            self.warn(id, counter);
            let claim = Member::new(id, counter, State::Suspect);
            for other in self.choose(3, &id) {
                self.tell(other, Message::Gossip, std::slice::from_ref(&claim));
            }
        }
    }

    /// The engine is about to suspect whom it asked last, and to say so. When nobody was heard, the suspicion
    /// is put in its table first: then it is no news.
    fn close_probe(&mut self, now: Instant) -> Option<model::NodeId> {
        let (silent, is_deaf) = self.doubt.unanswered()?;
        let others = self.engine.num_members().saturating_sub(1);
        let row = self.rows.get(&silent.node)?;
        if !is_deaf || row.id != silent || row.state != State::Alive {
            return Some(silent.node);
        }
        self.counters.deaf += 1;
        if others > 0 {
            self.doubt.worry();
        }
        let suspected = Member::new(silent, row.counter, State::Suspect);
        self.drive(now, |engine, effects| {
            engine.apply_many(std::iter::once(suspected), false, effects)
        });
        self.refresh(now, &[silent.node]);
        if let Some(row) = self.rows.get_mut(&silent.node) {
            row.told = None;
            self.doubt.is_quiet = true;
        }
        Some(silent.node)
    }

    /// Forgets everything that was concluded, and comes back under a new name. Who is not concluded to be
    /// down stays in sight: it may have died meanwhile, and nobody else need know of it.
    pub(super) fn begin_anew(&mut self, now: Instant, heard: MemberId) {
        let renewed = foca::Identity::renew(&self.me).unwrap_or(self.me);
        let config = self.profile.config(self.roster.len() + 1);
        self.engine = Foca::new(renewed, config, self.random.fork(), WireCodec);
        self.timers.forget_engine();
        self.doubt = Doubt {
            steps: self.doubt.steps,
            heard_at: Some(now),
            ..Doubt::default()
        };
        self.absorb(now);
        let rows = self.rows.values();
        let in_sight = rows.filter(|row| row.state != State::Down);
        let claims = in_sight.map(|row| Member::new(row.id, row.counter, row.state));
        let claims: Vec<_> = claims.collect();
        self.drive(now, |engine, effects| {
            engine.apply_many(claims.into_iter(), false, effects)
        });
        self.announce(now, heard);
    }
}
