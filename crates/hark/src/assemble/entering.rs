//! How a node comes to its cluster: it founds one, is let into one, or goes on in the one it was in.

mod twin;
mod wanted;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::broker::seams::{Clock as _, SystemClock};
use catalog::{Node, Outcome as Taken, Refusal};
use control::{Control, ControlError, Introduction};
use model::ClusterId;
use peer::{Peers, Target};

use self::twin::Twin;
use self::wanted::check_wanted;
use super::banner::Entry;
use super::finding::{
    Answer, Candidate, Found, PeerAddress, Question, Rules, Search, Seeker, Seeking, Sources, Stage,
};
use super::wiring::{self, AddressBook, Heard, Late, Links, Standing, Unanswered, Way};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// A member that starts again tells others where it is this often, until the cluster has registered it.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for who it was that has just answered.
const WHO_TIMEOUT: Duration = Duration::from_secs(1);

/// What entering needs.
#[derive(Debug)]
pub(super) struct Entering {
    pub control: Control,
    pub peers: Peers,
    pub links: Links,
    pub book: Arc<AddressBook>,
    /// Where questions of others are answered meanwhile.
    pub seeker: Late<Arc<Seeker>>,
    /// Where it is told how far this has come.
    pub standing: Standing,
    pub clock: SystemClock,
    pub sources: Sources,
    pub introduction: Introduction,
    /// Whether a cluster is founded without waiting for silent peers.
    pub bootstrap: bool,
    /// Where others reach this node.
    pub address: PeerAddress,
}

impl Entering {
    /// Enters, for as long as that takes. Afterwards this start is registered, and the catalog of this
    /// node holds it.
    ///
    /// # Errors
    /// When the cluster does not want this node, with what to do about it.
    pub(super) async fn enter(&self) -> Outcome<Entry> {
        let identity = self.control.identity();
        let entry = match identity.member {
            Some(_) => {
                self.check_id()?;
                self.resume().await?
            }
            None => self.search().await?,
        };
        self.see_myself().await;
        self.standing.set_registered();
        Ok(entry)
    }

    /// A data directory keeps its id; whoever asks for another has mixed something up.
    fn check_id(&self) -> Outcome {
        let mine = self.control.identity().node();
        match (mine, self.introduction.id) {
            (Some(registered), Some(wanted)) if registered != wanted => {
                Err(refused(&Refusal::OtherId { registered }))
            }
            _ => Ok(()),
        }
    }

    async fn resume(&self) -> Outcome<Entry> {
        let mut told = String::new();
        if self.control.view().nodes().count() <= 1 {
            self.find_itself_alone(&mut told).await?;
        }
        let mut telling = std::pin::pin!(self.announce());
        loop {
            let registered = tokio::select! {
                registered = self.control.register(&self.introduction) => registered,
                failure = &mut telling => return Err(failure),
            };
            match registered {
                Ok(_) => return Ok(Entry::Resumed),
                Err(ControlError::Unavailable(why)) => self.tell(&why, &mut told),
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    /// One that votes alone agrees with itself at once, whoever its peers are: so they are asked before.
    async fn find_itself_alone(&self, told: &mut String) -> Outcome {
        let mut known = self.ask_around(BTreeSet::new()).await?;
        while self.standing.has_twin() {
            self.tell("both would agree with themselves", told);
            tokio::time::sleep(ANNOUNCE_EVERY).await;
            known = self.ask_around(known).await?;
        }
        Ok(())
    }

    async fn search(&self) -> Outcome<Entry> {
        let registration = self.control.registration(&self.introduction).await;
        let way = Way {
            peers: self.peers.clone(),
            registration: registration.map_err(|error| failed(&error))?,
        };
        let seeker = Arc::new(self.seeker());
        self.seeker.set(Arc::clone(&seeker));
        let search = Search::new(seeker, Arc::new(way), self.sources.clone());
        match search.run().await? {
            Found::Founder => self.found().await,
            Found::Joined(taken) => self.join(&taken).await,
        }
    }

    fn seeker(&self) -> Seeker {
        let question = self.question();
        let rules = Rules {
            bootstrap: self.bootstrap,
            may_stand_alone: self.sources.may_stand_alone(),
        };
        let now = self.clock.now();
        let seeking = Seeking::new(question.who, question.address.clone(), rules, now);
        Seeker::new(seeking, question, Arc::new(self.clock))
    }

    fn question(&self) -> Question {
        let identity = self.control.identity();
        Question {
            who: Candidate {
                wanted: identity.node().or(self.introduction.id),
                storage: identity.storage,
            },
            address: self.address.clone(),
        }
    }

    async fn found(&self) -> Outcome<Entry> {
        let mut told = String::new();
        let mut founded = self.control.found(&self.introduction).await;
        while let Err(ControlError::Unavailable(why)) = founded {
            self.tell(&why, &mut told);
            founded = self.control.register(&self.introduction).await;
        }
        founded.map_err(|error| failed(&error))?;
        if let Some(member) = self.control.identity().member {
            self.links.set_me(member.raft_id);
            tracing::info!(cluster = %member.cluster, "founded a cluster");
        }
        Ok(Entry::Founded)
    }

    async fn join(&self, taken: &Taken) -> Outcome<Entry> {
        if let Taken::Registered { raft_id, .. } = taken {
            self.links.set_me(*raft_id);
        }
        let joined = self.control.joined(taken).await;
        joined.map_err(|error| failed(&error))?;
        Ok(Entry::Joined)
    }

    /// Says for what this start waits, if that is news.
    fn tell(&self, why: &str, told: &mut String) {
        let me = self.control.identity().node();
        let voters = self.control.status().voters;
        let waits_for = me.and_then(|me| self.standing.waits_for(me, &voters));
        let waits_for = waits_for.unwrap_or_else(|| "the cluster".to_owned());
        tracing::warn!(waits_for, why, "not registered yet");
        if *told != waits_for {
            output::note(&format!("waiting for {waits_for}"));
            *told = waits_for;
        }
    }

    /// Waits until the catalog that is here knows this start.
    async fn see_myself(&self) {
        let (mine, boot) = (self.control.identity().node(), self.control.boot());
        let mut views = self.control.watch();
        let seen = views.wait_for(|catalog| {
            let node = mine.and_then(|id| catalog.node(id));
            node.is_some_and(|node| node.boot == boot)
        });
        // It fails only when control ends, which whoever asks it next will hear.
        drop(seen.await);
    }

    /// Tells the others where this node is, and learns where they are. Ends only when this node is not
    /// wanted.
    async fn announce(&self) -> Failure {
        let mut told = BTreeSet::new();
        loop {
            told = match self.ask_around(told).await {
                Ok(told) => told,
                Err(failure) => return failure,
            };
            tokio::time::sleep(ANNOUNCE_EVERY).await;
        }
    }

    /// Asks everybody once; where else there may be nodes, as they say.
    async fn ask_around(&self, told: BTreeSet<PeerAddress>) -> Outcome<BTreeSet<PeerAddress>> {
        let question = self.question();
        let told_of = self.told_of().await;
        let mut addresses = self.book.everywhere(&self.control.view());
        addresses.extend(told_of.iter().cloned().chain(told));
        addresses.remove(&self.address);
        let asks = addresses.into_iter().map(|address| {
            let answer = wiring::ask(&self.peers, &address, &question);
            async move { (answer.await, address) }
        });
        let answers = futures_util::future::join_all(asks).await;
        if let Some(member) = self.control.identity().member {
            let each = answers.iter();
            let each = each.map(|(answer, address)| (answer, told_of.contains(address)));
            check_wanted(member.cluster, each)?;
            self.stand(member.cluster, &answers).await?;
        }
        let heard = answers.into_iter();
        Ok(heard
            .flat_map(|(answer, address)| self.hear(answer, address))
            .collect())
    }

    /// Notes who is there; nobody has refused this node. So clients may read what it holds, if it was a
    /// member by its own catalog, and no process answers that has the same data directory.
    ///
    /// # Errors
    /// When such a process is the registered one.
    async fn stand(
        &self,
        mine: ClusterId,
        answers: &[(Result<Answer, Unanswered>, PeerAddress)],
    ) -> Outcome {
        let (identity, catalog) = (self.control.identity(), self.control.view());
        let known = identity.node().and_then(|id| catalog.node(id));
        let known = known.filter(|known| known.storage == identity.storage);
        let mut heard = Heard::default();
        for (answer, address) in answers {
            let Some(Answer { who, .. }) = member_of(mine, answer) else {
                continue;
            };
            heard.members.extend(who.wanted);
            if who.storage != identity.storage {
                continue;
            }
            match self.twin_at(address, known.map(Arc::as_ref)).await {
                Twin::Myself => {}
                Twin::Waiting => heard.twin = Some(address.clone()),
                Twin::Registered(id) => {
                    let there = address.to_string();
                    return Err(refused(&Refusal::AlreadyRunning(id, there)));
                }
            }
        }
        let may_be_read = identity.confirmed.is_some() && known.is_some() && heard.twin.is_none();
        self.standing.set_heard(heard);
        if may_be_read {
            self.standing.set_member();
        }
        Ok(())
    }

    /// Who has the same data directory there.
    async fn twin_at(&self, address: &PeerAddress, known: Option<&Node>) -> Twin {
        let there = Target::anybody(address.to_string());
        match self.peers.who(&there, WHO_TIMEOUT).await {
            Ok(claim) => Twin::of(&claim, self.control.boot(), known),
            // It has just answered; until it says more it may be anybody.
            Err(_) => Twin::Waiting,
        }
    }

    /// The peers that a person or the discovery service names.
    async fn told_of(&self) -> BTreeSet<PeerAddress> {
        let entries = self.sources.look().await;
        let listed = entries.into_iter().filter_map(|entry| entry.addresses.ok());
        listed.flatten().collect()
    }

    /// Where else there may be nodes, as one of the same cluster says.
    fn hear(&self, answer: Result<Answer, Unanswered>, address: PeerAddress) -> Vec<PeerAddress> {
        let mine = self.control.identity().member;
        let Ok(Answer { who, stage, known }) = answer else {
            return Vec::new();
        };
        if mine.is_none_or(|mine| stage != Stage::Member(mine.cluster)) {
            return Vec::new();
        }
        if let Some(id) = who.wanted {
            self.book.hear(id, address, &self.control.view());
        }
        known
    }
}

/// The answer of a member of this cluster.
fn member_of(mine: ClusterId, answer: &Result<Answer, Unanswered>) -> Option<&Answer> {
    let answer = answer.as_ref().ok();
    answer.filter(|answer| answer.stage == Stage::Member(mine))
}

/// Whose turn it is when a step fails.
fn failed(error: &ControlError) -> Failure {
    match error {
        ControlError::Refused(refusal) => refused(refusal),
        ControlError::Abandoned(_) => Failure::new(Exit::Refused, error.to_string()),
        error => Failure::failed(error.to_string()),
    }
}

fn refused(refusal: &Refusal) -> Failure {
    Failure::new(Exit::Refused, refusal.to_string())
}
