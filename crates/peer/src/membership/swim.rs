//! The membership of one node, as a machine.
//!
//! The protocol is SWIM with suspicion; the engine is the library `foca`. Around it:
//! - **who counts**: only nodes of the roster are heard and spoken to (`incoming`);
//! - **claims that others are down** are believed only of those that were suspected for a while and did not
//!   object (`claims`), so that one deaf node, or the other half of a healed partition, takes nobody down;
//! - **doubt in oneself**: a process that did not run, or hears nobody, waits longer and keeps what it
//!   concludes to itself (`doubt`);
//! - **exchange of everything** with a random node from time to time, for what gossip missed (`exchange`);
//! - **one process for each node**: the one registered earlier ends itself (`incoming`).
//!
//! No socket, clock, task or randomness of its own: time comes with every input, randomness as a seed.

mod claims;
mod counters;
mod doubt;
mod effects;
mod exchange;
mod incoming;
mod table;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use foca::{Foca, NoCustomBroadcast};
use model::{Instant, NodeId};

pub use counters::SwimCounters;

use super::codec::WireCodec;
use super::random::SplitMix;
use super::view::MemberRow;
use super::{MemberId, Profile};
use doubt::Doubt;
use effects::Effects;
use table::Row;
use timers::{Due, Timers};

type Engine = Foca<MemberId, WireCodec, SplitMix, NoCustomBroadcast>;

/// What happens to a membership.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time passed; the deadline has come.
    Tick,
    /// A message arrived, in a datagram that opened.
    Message(Bytes),
    /// The nodes of the cluster, this one among them or not. Nobody else is heard.
    Roster(Vec<Listed>),
    /// Another node asks to exchange all that is known; `ticket` comes back with the answer.
    Asked {
        /// Names the request.
        ticket: u64,
        /// What it sent.
        body: Bytes,
    },
    /// The answer to an exchange, or that there was none.
    Exchanged {
        /// The other node.
        with: NodeId,
        /// What it sent.
        answer: Option<Bytes>,
    },
    /// A connection to this node does not work. Known here only, and only for a while.
    LinkFailed(NodeId),
    /// A connection to this node works.
    LinkWorks(NodeId),
    /// This process is about to end: tell the others. Nothing is done or said afterwards.
    Leave,
}

/// What a membership wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a message to an address. May be lost.
    Send {
        /// The node meant.
        to: NodeId,
        /// Where it is.
        address: SocketAddr,
        /// At most [`crate::datagram::MESSAGE_BYTES_MAX`] bytes.
        message: Bytes,
    },
    /// Call a node's service `MemberSync` and bring the answer as [`Input::Exchanged`].
    Exchange {
        /// The node.
        with: NodeId,
        /// What to send.
        body: Bytes,
    },
    /// What to answer to [`Input::Asked`]. `None`: the request was no request.
    Answer {
        /// Names the request.
        ticket: u64,
        /// What to send back.
        body: Option<Bytes>,
    },
    /// [`Swim::rows`] says something new.
    Changed,
    /// Another process of this node was registered later: this one must end. Nothing is done or said
    /// afterwards.
    Fenced {
        /// The other process.
        by: MemberId,
    },
}

/// A node of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub id: NodeId,
    /// Where its datagrams go, as far as it is known.
    pub address: Option<SocketAddr>,
}

/// The machine.
pub struct Swim {
    me: MemberId,
    /// How often `me` objected to a suspicion, as last sent.
    my_counter: u16,
    started: Instant,
    profile: Profile,
    engine: Engine,
    effects: Effects,
    random: SplitMix,
    roster: BTreeMap<NodeId, Known>,
    rows: BTreeMap<NodeId, Row>,
    timers: Timers,
    doubt: Doubt,
    /// Exchanges begun since this process was last new to the others.
    exchanges: u32,
    outputs: VecDeque<Output>,
    changed: bool,
    /// While a message of somebody unknown is handled: who, and the longest answer it may get.
    answer_limit: Option<(NodeId, usize)>,
    ended: bool,
    counters: SwimCounters,
}

/// What the roster says of a node.
#[derive(Debug, Clone, Copy)]
struct Known {
    address: Option<SocketAddr>,
    listed_at: Instant,
    link_suspected: bool,
}

impl Swim {
    /// The membership of this process, which nobody knows yet, and which knows nobody. Equal seeds and
    /// inputs give equal outputs.
    #[must_use]
    pub fn new(now: Instant, me: MemberId, profile: Profile, seed: u64) -> Self {
        // Only what travels in a message is compared.
        let address = SocketAddr::new(me.address.ip(), me.address.port());
        let me = MemberId { address, ..me };
        let mut random = SplitMix::new(seed);
        let engine = Foca::new(me, profile.config(1), random.fork(), WireCodec);
        let mut timers = Timers::default();
        timers.add(now, Due::Seek);
        timers.add(now.after(profile.seek_period), Due::Exchange);
        Self {
            me,
            my_counter: 0,
            started: now,
            profile,
            engine,
            effects: Effects::default(),
            random,
            roster: BTreeMap::new(),
            rows: BTreeMap::new(),
            timers,
            doubt: Doubt::default(),
            exchanges: 0,
            outputs: VecDeque::new(),
            changed: true,
            answer_limit: None,
            ended: false,
            counters: SwimCounters::default(),
        }
    }

    /// Takes in what happened at `now`, and does what is due.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.ended {
            return;
        }
        self.forgive_lateness(now);
        match input {
            Input::Tick => {}
            Input::Message(bytes) => self.on_message(now, &bytes),
            Input::Roster(roster) => self.on_roster(now, roster),
            Input::Asked { ticket, body } => self.on_asked(now, ticket, &body),
            Input::Exchanged { with, answer } => self.on_exchanged(now, with, answer),
            Input::LinkFailed(node) => self.on_link(now, node, true),
            Input::LinkWorks(node) => self.on_link(now, node, false),
            Input::Leave => self.on_leave(now),
        }
        self.run_due(now);
        if std::mem::take(&mut self.changed) && !self.ended {
            self.outputs.push_back(Output::Changed);
        }
    }

    /// The next thing to do, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Tick`] if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        self.timers.next()
    }

    /// This process, under its present name.
    #[must_use]
    pub const fn me(&self) -> MemberId {
        self.me
    }

    /// What is known of every node of the roster, and of this one.
    #[must_use]
    pub fn rows(&self) -> Vec<MemberRow> {
        self.table()
    }

    /// What became of all messages and claims so far.
    #[must_use]
    pub const fn counters(&self) -> SwimCounters {
        self.counters
    }

    /// Every input does what is due at its time; timers that come due on the way wait for the next.
    fn run_due(&mut self, now: Instant) {
        while !self.ended
            && let Some(due) = self.timers.pop(now)
        {
            match due {
                Due::Engine(timer) => self.on_engine_timer(now, timer),
                Due::Judge(case) => self.judge(now, case),
                Due::Seek => self.seek(now),
                Due::Exchange => self.begin_exchange(now),
                Due::LinkCleared(node) => self.on_link(now, node, false),
            }
        }
    }

    fn on_leave(&mut self, now: Instant) {
        self.drive(now, |engine, effects| engine.leave_cluster(effects));
        self.ended = true;
    }

    fn on_link(&mut self, now: Instant, node: NodeId, is_suspected: bool) {
        let Some(known) = self.roster.get_mut(&node) else {
            return;
        };
        if !known.link_suspected && !is_suspected {
            return;
        }
        self.changed |= known.link_suspected != is_suspected;
        known.link_suspected = is_suspected;
        self.timers.remove(&Due::LinkCleared(node));
        if is_suspected {
            let until = now.after(self.profile.link_suspicion);
            self.timers.add(until, Due::LinkCleared(node));
        }
    }

    /// Looks for nodes of the roster that are not heard: often while nobody is, seldom otherwise. What the
    /// engine knows to be down, it addresses by itself.
    fn seek(&mut self, now: Instant) {
        let is_alone = self.engine.num_members() == 0;
        let held: BTreeSet<NodeId> = self
            .engine
            .iter_membership_state()
            .map(|member| member.id().node)
            .collect();
        let mut sought: Vec<(NodeId, SocketAddr)> = self
            .roster
            .iter()
            .filter(|(node, _)| is_alone || !held.contains(node))
            .filter_map(|(node, known)| Some((*node, known.address?)))
            .collect();
        for _ in 0..if is_alone { 3 } else { 1 } {
            if !sought.is_empty() {
                let (node, address) = sought.swap_remove(self.random.below(sought.len()));
                self.announce(now, MemberId::unknown(node, address));
            }
        }
        let period = if is_alone {
            self.profile.seek_period
        } else {
            self.profile.knock_period
        };
        self.timers.add(now.after(period), Due::Seek);
    }

    fn announce(&mut self, now: Instant, to: MemberId) {
        self.drive(now, |engine, effects| engine.announce(to, effects));
    }

    /// Lets the engine do one thing, and does what it asks for.
    fn drive(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Engine, &mut Effects) -> Result<(), foca::Error>,
    ) {
        if act(&mut self.engine, &mut self.effects).is_err() {
            self.counters.refused += 1;
        }
        self.absorb(now);
    }
}

impl fmt::Debug for Swim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swim")
            .field("me", &self.me)
            .field("rows", &self.rows)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
