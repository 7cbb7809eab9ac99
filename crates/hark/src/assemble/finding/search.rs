//! Drives the machine of [`super::seeking`]: asks, looks up, waits, and joins.

use std::sync::Arc;
use std::time::Duration;

use broker::seams::Clock;
use catalog::Outcome as Taken;
use control::{Joined, NotJoined};
use futures_util::future::BoxFuture;
use model::ClusterId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::seeking::{Entry, Output};
use super::sources::Sources;
use super::{Answer, Input, PeerAddress, Question, Seeking};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Between two looks at the sources.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A person is told for whom the node waits after this time, and then whenever that changes, but not
/// more often.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// The way to peers.
pub(crate) trait Asking: Send + Sync + 'static {
    /// Asks a peer who it is.
    fn ask(
        &self,
        peer: PeerAddress,
        question: Question,
    ) -> BoxFuture<'static, Result<Answer, String>>;

    /// Asks a peer to let this node into its cluster.
    fn join(&self, peer: PeerAddress) -> BoxFuture<'static, Joined>;
}

/// How a node came to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is to found one.
    Founder,
    /// It was let into one: what the registration brought.
    Joined(Taken),
}

/// The machine, shared by the search and by whoever answers the questions of others.
#[derive(Debug)]
pub(crate) struct Seeker {
    seeking: Mutex<Seeking>,
    question: Question,
    bell: Notify,
    clock: Arc<dyn Clock>,
}

impl Seeker {
    /// Around a machine that will ask this.
    pub(crate) fn new(seeking: Seeking, question: Question, clock: Arc<dyn Clock>) -> Self {
        Self {
            seeking: Mutex::new(seeking),
            question,
            bell: Notify::new(),
            clock,
        }
    }

    /// Answers the question of another node.
    pub(crate) fn answer(&self, question: &Question) -> Option<Answer> {
        let answer = {
            let mut seeking = self.seeking.lock();
            seeking.handle(self.clock.now(), Input::Asked(question.clone()));
            seeking.answer(question)
        };
        self.bell.notify_one();
        answer
    }

    fn tell(&self, input: Input) {
        self.seeking.lock().handle(self.clock.now(), input);
    }

    fn next(&self) -> Option<Output> {
        self.seeking.lock().poll()
    }

    /// Until the machine has something to do by time.
    async fn due(&self) {
        let deadline = self.seeking.lock().deadline();
        match deadline {
            Some(deadline) => tokio::time::sleep(deadline.since(self.clock.now())).await,
            None => std::future::pending().await,
        }
    }
}

/// A search under way.
pub(crate) struct Search {
    seeker: Arc<Seeker>,
    asking: Arc<dyn Asking>,
    sources: Sources,
    asks: JoinSet<(PeerAddress, Result<Answer, String>)>,
    told: String,
}

/// What happens during a search.
enum Event {
    Looked(Vec<Entry>),
    Heard(PeerAddress, Result<Answer, String>),
    Asked,
    Due,
    Tell,
}

impl Search {
    /// A search that has not begun.
    pub(crate) fn new(seeker: Arc<Seeker>, asking: Arc<dyn Asking>, sources: Sources) -> Self {
        Self {
            seeker,
            asking,
            sources,
            asks: JoinSet::new(),
            told: String::new(),
        }
    }

    /// Searches until there is a cluster, for as long as that takes.
    ///
    /// # Errors
    /// When a cluster refuses this node, or the peers belong to several.
    pub(crate) async fn run(mut self) -> Outcome<Found> {
        let mut look = std::pin::pin!(looks(self.sources.clone()));
        let mut tell = tokio::time::interval(TELL_EVERY);
        tell.reset();
        loop {
            while let Some(output) = self.seeker.next() {
                if let Some(found) = self.act(output).await? {
                    return Ok(found);
                }
            }
            let event = tokio::select! {
                entries = futures_util::StreamExt::next(&mut look) => Event::Looked(entries.unwrap_or_default()),
                Some(heard) = self.asks.join_next() => match heard {
                    Ok((peer, answer)) => Event::Heard(peer, answer),
                    // A question is neither aborted nor does it panic; the next one will tell.
                    Err(_) => Event::Due,
                },
                () = self.seeker.bell.notified() => Event::Asked,
                () = self.seeker.due() => Event::Due,
                _ = tell.tick() => Event::Tell,
            };
            self.take_in(event);
        }
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::Looked(entries) => self.seeker.tell(Input::Listed(entries)),
            Event::Heard(peer, Ok(answer)) => self.seeker.tell(Input::Answered(peer, answer)),
            Event::Heard(peer, Err(why)) => self.seeker.tell(Input::Silent(peer, why)),
            Event::Asked | Event::Due => self.seeker.tell(Input::Tick),
            Event::Tell => self.tell_a_person(),
        }
    }

    async fn act(&mut self, output: Output) -> Outcome<Option<Found>> {
        match output {
            Output::Ask(peer) => {
                let answer = self.asking.ask(peer.clone(), self.seeker.question.clone());
                self.asks.spawn(async move { (peer, answer.await) });
                Ok(None)
            }
            Output::Found => Ok(Some(Found::Founder)),
            Output::Join(cluster, through) => self.join(cluster, through).await,
            Output::Torn(one, other) => Err(Failure::new(
                Exit::Refused,
                format!(
                    "{one} and {other} belong to different clusters; name the peers of one of them only"
                ),
            )),
        }
    }

    /// Asks one after the other to be let in. Whoever cannot is told to the machine, which finds
    /// another way, or the same once more.
    async fn join(&self, cluster: ClusterId, through: Vec<PeerAddress>) -> Outcome<Option<Found>> {
        for peer in through {
            match self.asking.join(peer.clone()).await {
                Ok(Ok(taken)) => {
                    tracing::info!(%cluster, through = %peer, "joined a cluster");
                    return Ok(Some(Found::Joined(taken)));
                }
                Ok(Err(refusal)) => {
                    return Err(Failure::new(Exit::Refused, refusal.to_string()));
                }
                Err(NotJoined::Never(why)) => return Err(Failure::new(Exit::Refused, why)),
                Err(NotJoined::NotNow(why)) => self.seeker.tell(Input::Silent(peer, why)),
            }
        }
        Ok(None)
    }

    fn tell_a_person(&mut self) {
        let (waiting, has_met) = {
            let seeking = self.seeker.seeking.lock();
            (seeking.waiting().to_string(), seeking.has_met_a_member())
        };
        if waiting == self.told {
            return;
        }
        tracing::info!(%waiting, "no cluster yet");
        let advice = if has_met {
            ""
        } else {
            "; with --bootstrap this node would found a cluster at once"
        };
        output::note(&format!("waiting for {waiting}{advice}"));
        self.told = waiting;
    }
}

/// What the sources say, again and again.
fn looks(sources: Sources) -> impl futures_util::Stream<Item = Vec<Entry>> {
    futures_util::stream::unfold((sources, false), async |(sources, is_again)| {
        if is_again {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let entries = sources.look().await;
        Some((entries, (sources, true)))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use broker::seams::SystemClock;
    use catalog::Refusal;
    use model::{NodeId, StorageId};

    use super::super::{Candidate, Rules, Stage};
    use super::*;

    /// Peers in this process.
    #[derive(Default)]
    struct Town {
        seekers: Mutex<BTreeMap<String, Arc<Seeker>>>,
        members: Mutex<BTreeMap<String, ClusterId>>,
        refuses: Option<Refusal>,
    }

    struct Way(Arc<Town>);

    impl Asking for Way {
        fn ask(
            &self,
            peer: PeerAddress,
            question: Question,
        ) -> BoxFuture<'static, Result<Answer, String>> {
            let town = Arc::clone(&self.0);
            Box::pin(async move {
                let seeker = town.seekers.lock().get(&peer.to_string()).cloned();
                let seeker = seeker.ok_or("nobody is there")?;
                let mut answer = seeker.answer(&question).ok_or("no room")?;
                if let Some(cluster) = town.members.lock().get(&peer.to_string()) {
                    answer.stage = Stage::Member(*cluster);
                }
                Ok(answer)
            })
        }

        fn join(&self, _: PeerAddress) -> BoxFuture<'static, Joined> {
            let refusal = self.0.refuses.clone();
            Box::pin(async move { Ok(refusal.map_or(Ok(Taken::Done), Err)) })
        }
    }

    const LIST: [&str; 3] = ["192.0.2.0:1", "192.0.2.1:1", "192.0.2.2:1"];

    fn search(town: &Arc<Town>, n: u8) -> Search {
        let list: Vec<PeerAddress> = LIST.iter().map(|text| text.parse().unwrap()).collect();
        let me = Candidate {
            wanted: Some(NodeId(u16::from(n))),
            storage: StorageId::from_bytes([n; 16]),
        };
        let address = list[usize::from(n)].clone();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let rules = Rules {
            bootstrap: false,
            may_stand_alone: true,
        };
        let seeking = Seeking::new(me, address.clone(), rules, clock.now());
        let question = Question {
            who: me,
            address: address.clone(),
        };
        let seeker = Arc::new(Seeker::new(seeking, question, clock));
        let known = Arc::clone(&seeker);
        town.seekers.lock().insert(address.to_string(), known);
        let sources = Sources {
            list,
            discovery: None,
        };
        Search::new(seeker, Arc::new(Way(Arc::clone(town))), sources)
    }

    #[tokio::test]
    async fn three_that_know_each_other_have_one_founder() {
        let town = Arc::new(Town::default());
        let searches = [0, 1, 2].map(|n| {
            let (search, town) = (search(&town, n), Arc::clone(&town));
            tokio::spawn(async move {
                let found = search.run().await.unwrap();
                if found == Found::Founder {
                    let address = LIST[usize::from(n)].to_owned();
                    town.members
                        .lock()
                        .insert(address, ClusterId::from_bytes([n; 16]));
                }
                found
            })
        });
        let found = futures_util::future::join_all(searches).await;
        let found: Vec<Found> = found.into_iter().map(Result::unwrap).collect();
        let joined = Found::Joined(Taken::Done);
        assert_eq!(found, [Found::Founder, joined.clone(), joined]);
    }

    #[tokio::test]
    async fn a_refusal_ends_the_search() {
        let town = Arc::new(Town {
            refuses: Some(Refusal::Removed(NodeId(1))),
            ..Town::default()
        });
        let cluster = ClusterId::from_bytes([9; 16]);
        town.members.lock().insert(LIST[0].to_owned(), cluster);
        let _member = search(&town, 0);
        let failure = search(&town, 1).run().await.unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.message.contains("removed"), "{failure}");
    }
}
