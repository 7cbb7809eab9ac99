//! Whether a node without a cluster founds one or joins one: a pure machine.
//!
//! A node asks every peer that it knows of: those on its list, those that asked it, and those that its
//! peers know of. Whoever is a member names a cluster to join. Where nobody is, and everybody has
//! answered, the lowest founds: first by the id that it wants, then by the identity of its directory.
//!
//! **Why there are never two founders.** A question tells who asks, so of two nodes that found, one
//! has heard the other before the other decided: if neither lists the other, they share a peer, and
//! the later of the two to ask it was told of the earlier. Both then know both keys, and only one is
//! the lowest. Hearsay brings addresses only; every peer is asked itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use model::limits::PEERS_SOUGHT_MAX;
use model::{ClusterId, Instant, NodeId, StorageId};

use super::PeerAddress;
use super::messages::{Answer, Question, Stage};

/// Pause before a peer is asked again, at first; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A node that may found. The lowest does; those that want no certain id come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The id that it was told to take.
    pub wanted: Option<NodeId>,
    /// Its data directory.
    pub storage: StorageId,
}

impl Candidate {
    fn comes_before(&self, other: &Self) -> bool {
        let key = |candidate: &Self| {
            let wanted = candidate.wanted;
            (wanted.is_none(), wanted, *candidate.storage.as_bytes())
        };
        key(self) < key(other)
    }
}

/// One line of the list of peers, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As written.
    pub written: String,
    /// Where that is, or why that is not known.
    pub addresses: Result<Vec<PeerAddress>, String>,
}

impl Entry {
    fn addresses(&self) -> impl Iterator<Item = PeerAddress> {
        self.addresses.iter().flatten().cloned()
    }
}

/// What happens to a node that seeks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Time has passed.
    Tick,
    /// The list of peers is this now.
    Listed(Vec<Entry>),
    /// A peer has answered.
    Answered(PeerAddress, Answer),
    /// A peer has not, or did not take the node in.
    Silent(PeerAddress, String),
    /// Another node asks.
    Asked(Question),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Ask this peer.
    Ask(PeerAddress),
    /// Found a cluster. Comes once, and nothing comes after it.
    Found,
    /// Join this cluster, through any of these.
    Join(ClusterId, Vec<PeerAddress>),
    /// The peers belong to different clusters: a person must say which is meant.
    Torn(PeerAddress, PeerAddress),
}

/// How a node that may have to wait is told to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Found as soon as every peer was asked, whether it answered or not.
    pub bootstrap: bool,
    /// An empty list, or one that names only this node, means: alone.
    pub may_stand_alone: bool,
}

/// A node on its way to a cluster.
#[derive(Debug)]
pub(crate) struct Seeking {
    me: Candidate,
    address: PeerAddress,
    rules: Rules,
    list: Option<Vec<Entry>>,
    peers: BTreeMap<PeerAddress, Peer>,
    asks: Vec<PeerAddress>,
    now: Instant,
    founding: bool,
    decided: bool,
    has_met_a_member: bool,
}

#[derive(Debug)]
struct Peer {
    heard: Heard,
    /// Who it is, if it ever asked: it may not be forgotten then, wherever its address came from.
    asked_us: Option<Candidate>,
    /// Whom it knows.
    knows: Vec<PeerAddress>,
    /// When to ask; none while a question is under way, or when there is nothing to learn.
    ask_at: Option<Instant>,
    pause: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Silence(String),
    Ourselves,
    Fresh(Candidate),
    Founding,
    Member(ClusterId),
}

impl Seeking {
    /// A node that has not been told of any peer yet.
    pub(crate) fn new(me: Candidate, address: PeerAddress, rules: Rules, now: Instant) -> Self {
        Self {
            me,
            address,
            rules,
            list: None,
            peers: BTreeMap::new(),
            asks: Vec::new(),
            now,
            founding: false,
            decided: false,
            has_met_a_member: false,
        }
    }

    /// Takes in what happened.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        match input {
            Input::Tick => {}
            Input::Listed(list) => self.on_list(list),
            Input::Answered(from, answer) => self.on_answer(from, answer),
            Input::Silent(from, why) => self.on_silence(&from, why),
            Input::Asked(question) => self.on_question(question),
        }
        self.ask_those_due();
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        if self.founding || self.decided {
            return None;
        }
        if let Some(address) = self.asks.pop() {
            return Some(Output::Ask(address));
        }
        let decision = self.decide()?;
        match decision {
            Output::Found => self.founding = true,
            _ => self.decided = true,
        }
        Some(decision)
    }

    /// When time itself will have something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.peers.values().filter_map(|peer| peer.ask_at).min()
    }

    /// The answer to a question, after it was handled. None to one that could not be remembered:
    /// because so many have asked, or because it gives the address of this node as its own.
    pub(crate) fn answer(&self, question: &Question) -> Option<Answer> {
        let is_me = question.who.storage == self.me.storage;
        let peer = self.peers.get(&question.address);
        let is_remembered =
            is_me || self.founding || peer.is_some_and(|peer| peer.asked_us.is_some());
        let stage = if self.founding {
            Stage::Founding
        } else {
            Stage::Fresh
        };
        is_remembered.then(|| Answer {
            who: self.me,
            stage,
            known: self.peers.keys().cloned().collect(),
        })
    }

    /// For whom it waits, and why, as a sentence's end.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        Waiting(self)
    }

    /// Whether there is a cluster, even if it does not take this node in yet.
    pub(crate) const fn has_met_a_member(&self) -> bool {
        self.has_met_a_member
    }

    fn on_list(&mut self, list: Vec<Entry>) {
        let addresses: BTreeSet<PeerAddress> = list.iter().flat_map(Entry::addresses).collect();
        self.list = Some(list);
        addresses.into_iter().for_each(|a| self.learn(a));
        self.forget_unnamed();
    }

    fn on_answer(&mut self, from: PeerAddress, answer: Answer) {
        let is_me = answer.who.storage == self.me.storage;
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        peer.heard = match answer.stage {
            _ if is_me => Heard::Ourselves,
            Stage::Fresh => Heard::Fresh(answer.who),
            Stage::Founding => Heard::Founding,
            Stage::Member(cluster) => Heard::Member(cluster),
        };
        peer.ask_at = (!is_me).then(|| self.now.after(peer.pause));
        peer.pause = (peer.pause * 2).min(PAUSE_MAX);
        if is_me {
            return;
        }
        self.has_met_a_member |= matches!(answer.stage, Stage::Member(_));
        peer.knows = answer.known;
        let named = peer.knows.clone();
        named.into_iter().for_each(|a| self.learn(a));
        self.forget_moved(&from, answer.who);
        self.forget_unnamed();
    }

    /// It may be asked again, and whoever would have been joined is not for now.
    fn on_silence(&mut self, from: &PeerAddress, why: String) {
        self.decided = false;
        if let Some(peer) = self.peers.get_mut(from) {
            peer.heard = Heard::Silence(why);
            peer.ask_at = Some(self.now.after(peer.pause));
            peer.pause = (peer.pause * 2).min(PAUSE_MAX);
        }
    }

    /// Who asks is there, and is asked at once.
    fn on_question(&mut self, question: Question) {
        let Question { who, address } = question;
        if who.storage == self.me.storage {
            return;
        }
        if address == self.address {
            return;
        }
        self.learn(address.clone());
        let Some(peer) = self.peers.get_mut(&address) else {
            return;
        };
        peer.asked_us = Some(who);
        peer.pause = PAUSE_MIN;
        if peer.ask_at.is_some() {
            peer.ask_at = Some(self.now);
        }
        self.forget_moved(&address, who);
    }

    fn learn(&mut self, address: PeerAddress) {
        if self.peers.len() >= PEERS_SOUGHT_MAX || self.peers.contains_key(&address) {
            return;
        }
        let is_me = address == self.address;
        let peer = Peer {
            heard: if is_me {
                Heard::Ourselves
            } else {
                Heard::Nothing
            },
            asked_us: None,
            knows: Vec::new(),
            ask_at: (!is_me).then_some(self.now),
            pause: PAUSE_MIN,
        };
        self.peers.insert(address, peer);
    }

    /// A node that is heard from elsewhere is no longer where it was.
    fn forget_moved(&mut self, to: &PeerAddress, who: Candidate) {
        let is_there = |peer: &Peer| matches!(&peer.heard, Heard::Fresh(it) if *it == who);
        for (address, peer) in &mut self.peers {
            let was_there = peer.asked_us.is_some_and(|it| it.storage == who.storage);
            if address != to && was_there && !is_there(peer) {
                peer.asked_us = None;
            }
        }
    }

    /// Keeps those on the list, those that asked, and those whom these know.
    fn forget_unnamed(&mut self) {
        let listed = self.list.iter().flatten();
        let mut named: BTreeSet<PeerAddress> = listed.flat_map(Entry::addresses).collect();
        let asked = self.peers.iter().filter(|(_, p)| p.asked_us.is_some());
        named.extend(asked.map(|(address, _)| address.clone()));
        let mut fresh: Vec<PeerAddress> = named.iter().cloned().collect();
        while let Some(address) = fresh.pop() {
            let peer = self.peers.get(&address);
            for known in peer.into_iter().flat_map(|peer| &peer.knows) {
                if named.insert(known.clone()) {
                    fresh.push(known.clone());
                }
            }
        }
        self.peers.retain(|address, _| named.contains(address));
    }

    fn ask_those_due(&mut self) {
        let now = self.now;
        for (address, peer) in &mut self.peers {
            if peer.ask_at.is_some_and(|at| at <= now) {
                peer.ask_at = None;
                self.asks.push(address.clone());
            }
        }
    }

    fn decide(&self) -> Option<Output> {
        let list = self.list.as_ref()?;
        if let Some(joined) = self.cluster_to_join() {
            return Some(joined);
        }
        let others = || self.peers.values().filter(|p| p.heard != Heard::Ourselves);
        if self.rules.bootstrap {
            let all_asked = others().all(|peer| peer.heard != Heard::Nothing);
            return all_asked.then_some(Output::Found);
        }
        if others().next().is_none() && !self.rules.may_stand_alone {
            return None;
        }
        let all_resolved = list.iter().all(|entry| entry.addresses.is_ok());
        let all_after_me = others()
            .all(|peer| matches!(&peer.heard, Heard::Fresh(other) if self.me.comes_before(other)));
        (all_resolved && all_after_me).then_some(Output::Found)
    }

    fn cluster_to_join(&self) -> Option<Output> {
        let mut members = self
            .peers
            .iter()
            .filter_map(|(address, peer)| match peer.heard {
                Heard::Member(cluster) => Some((address, cluster)),
                _ => None,
            });
        let (first, cluster) = members.next()?;
        let mut through = vec![first.clone()];
        for (address, theirs) in members {
            if theirs != cluster {
                return Some(Output::Torn(first.clone(), address.clone()));
            }
            through.push(address.clone());
        }
        Some(Output::Join(cluster, through))
    }
}

/// For whom a node waits.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Seeking);

impl fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = self.reasons();
        if reasons.is_empty() {
            return f.write_str("the list names nobody but this node");
        }
        f.write_str(&reasons.join(", "))
    }
}

impl Waiting<'_> {
    fn reasons(&self) -> Vec<String> {
        let Some(list) = &self.0.list else {
            return vec!["the list of peers".to_owned()];
        };
        let unknown = list.iter().filter_map(|entry| {
            let why = entry.addresses.as_ref().err()?;
            Some(format!("{} ({why})", entry.written))
        });
        let reason = |(address, peer): (&PeerAddress, &Peer)| self.reason(address, peer);
        unknown
            .chain(self.0.peers.iter().filter_map(reason))
            .collect()
    }

    fn reason(&self, address: &PeerAddress, peer: &Peer) -> Option<String> {
        match &peer.heard {
            Heard::Ourselves | Heard::Member(_) => None,
            Heard::Nothing => Some(format!("{address} (no answer yet)")),
            Heard::Silence(why) => Some(format!("{address} ({why})")),
            Heard::Founding => Some(format!("{address} (about to found)")),
            Heard::Fresh(other) => {
                let is_first = other.comes_before(&self.0.me);
                is_first.then(|| format!("{address} (ready, and the first to found)"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
