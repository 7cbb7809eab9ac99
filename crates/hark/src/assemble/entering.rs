//! How a node comes to its cluster: it founds one, is let into one, or goes on in the one it was in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::broker::seams::{Clock as _, SystemClock};
use catalog::{Outcome as Taken, Refusal};
use control::{Control, ControlError, Introduction};
use model::ClusterId;
use peer::{Peers, Rejection, RejectionCode, Side};

use super::ClusterPlan;
use super::banner::Entry;
use super::finding::{
    Answer, Candidate, Found, PeerAddress, Question, Rules, Search, Seeker, Seeking, Sources, Stage,
};
use super::wiring::{self, AddressBook, Late, Links, Unanswered, Way};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// A member that starts again tells others where it is this often, until the cluster has registered it.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);

/// What entering needs.
#[derive(Debug)]
pub(super) struct Entering<'a> {
    pub plan: &'a ClusterPlan,
    pub control: &'a Control,
    pub peers: &'a Peers,
    pub links: &'a Links,
    pub book: &'a AddressBook,
    /// Where questions of others are answered meanwhile.
    pub seeker: &'a Late<Arc<Seeker>>,
    pub clock: SystemClock,
    pub sources: Sources,
    pub introduction: Introduction,
    /// Where others reach this node.
    pub address: PeerAddress,
}

impl Entering<'_> {
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
        Ok(entry)
    }

    /// A data directory keeps its id; whoever asks for another has mixed something up.
    fn check_id(&self) -> Outcome {
        let mine = self.control.identity().node();
        match (mine, self.plan.wanted) {
            (Some(registered), Some(wanted)) if registered != wanted => {
                Err(refused(&Refusal::OtherId { registered }))
            }
            _ => Ok(()),
        }
    }

    async fn resume(&self) -> Outcome<Entry> {
        if self.control.view().nodes().count() <= 1 {
            // It would agree with itself at once, whoever its peers are.
            self.ask_around(BTreeSet::new()).await?;
        }
        let mut telling = std::pin::pin!(self.announce());
        loop {
            let registered = tokio::select! {
                registered = self.control.register(&self.introduction) => registered,
                failure = &mut telling => return Err(failure),
            };
            match registered {
                Ok(_) => return Ok(Entry::Resumed),
                Err(ControlError::Unavailable(why)) => tell(&why),
                Err(error) => return Err(failed(&error)),
            }
        }
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
            bootstrap: self.plan.bootstrap,
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
                wanted: identity.node().or(self.plan.wanted),
                storage: identity.storage,
            },
            address: self.address.clone(),
        }
    }

    async fn found(&self) -> Outcome<Entry> {
        let mut founded = self.control.found(&self.introduction).await;
        while let Err(ControlError::Unavailable(why)) = founded {
            tell(&why);
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
        let mut addresses = self.everywhere().await;
        addresses.extend(told);
        addresses.remove(&self.address);
        let asks = addresses.into_iter().map(|address| {
            let answer = wiring::ask(self.peers, &address, &question);
            async move { (answer.await, address) }
        });
        let answers = futures_util::future::join_all(asks).await;
        let told = answers.iter().map(|(answer, _)| answer);
        if let Some(member) = self.control.identity().member {
            check_wanted(member.cluster, told)?;
        }
        let heard = answers.into_iter();
        Ok(heard
            .flat_map(|(answer, address)| self.hear(answer, address))
            .collect())
    }

    /// Every address at which there may be a node.
    async fn everywhere(&self) -> BTreeSet<PeerAddress> {
        let entries = self.sources.look().await;
        let listed = entries.into_iter().filter_map(|entry| entry.addresses.ok());
        let mut addresses = self.book.everywhere(&self.control.view());
        addresses.extend(listed.flatten());
        addresses
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

/// A member that talks to nobody learns from a refusal alone that it must not go on: its cluster knows a
/// newer copy of its directory, or has given it up, or those who answer are all of another cluster.
fn check_wanted<'a>(
    mine: ClusterId,
    answers: impl Iterator<Item = &'a Result<Answer, Unanswered>>,
) -> Outcome {
    let (mut strangers, mut own) = (false, false);
    for answer in answers {
        let rejection = match answer {
            Ok(answer) => {
                own |= answer.stage == Stage::Member(mine);
                continue;
            }
            Err(unanswered) => unanswered.rejection.as_ref(),
        };
        match rejection {
            Some(Rejection {
                code: RejectionCode::OldCopy | RejectionCode::Removed | RejectionCode::OtherDisk,
                reason,
                by: Side::Them,
            }) => return Err(Failure::new(Exit::Refused, reason.as_str())),
            Some(rejection) => strangers |= rejection.code == RejectionCode::OtherCluster,
            None => {}
        }
    }
    if strangers && !own {
        let why = format!(
            "this data directory belongs to cluster {mine}, and the peers belong to another one; \
             name the peers of its own cluster, or start with an empty directory"
        );
        return Err(Failure::new(Exit::Refused, why));
    }
    Ok(())
}

fn tell(why: &str) {
    tracing::warn!(why, "not registered yet");
    output::note(&format!("waiting for the cluster: {why}"));
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

#[cfg(test)]
mod tests {
    use model::StorageId;

    use super::*;

    fn member_of(cluster: u8) -> Result<Answer, Unanswered> {
        Ok(Answer {
            who: Candidate {
                wanted: None,
                storage: StorageId::from_bytes([1; 16]),
            },
            stage: Stage::Member(ClusterId::from_bytes([cluster; 16])),
            known: Vec::new(),
        })
    }

    fn rejected(code: RejectionCode, by: Side) -> Result<Answer, Unanswered> {
        let rejection = Rejection {
            code,
            reason: format!("{code:?}"),
            by,
        };
        Err(Unanswered::from(peer::CallError::Refused(rejection)))
    }

    #[test]
    fn a_member_goes_on_unless_its_own_cluster_or_everybody_refuses_it() {
        use RejectionCode::{OldCopy, OtherCluster, OtherNode, Removed};
        let silent = || Err(Unanswered::from(peer::CallError::Closed));
        let cases = [
            (vec![], None),
            (vec![silent(), member_of(7)], None),
            (vec![rejected(OtherNode, Side::Them), silent()], None),
            (vec![rejected(OldCopy, Side::Us)], None),
            (
                vec![member_of(7), rejected(OldCopy, Side::Them)],
                Some("OldCopy"),
            ),
            (
                vec![silent(), rejected(Removed, Side::Them)],
                Some("Removed"),
            ),
            (vec![rejected(OtherCluster, Side::Them), member_of(7)], None),
            (
                vec![rejected(OtherCluster, Side::Us), silent()],
                Some("another one"),
            ),
        ];
        for (answers, expected) in cases {
            let checked = check_wanted(ClusterId::from_bytes([7; 16]), answers.iter());
            match expected {
                None => assert_eq!(checked, Ok(()), "{answers:?}"),
                Some(words) => {
                    let failure = checked.unwrap_err();
                    assert!(failure.message.contains(words), "{failure}");
                    assert_eq!(failure.exit, Exit::Refused);
                }
            }
        }
    }
}
