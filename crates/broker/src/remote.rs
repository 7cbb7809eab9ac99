//! What other nodes hold: asks the brokers that lead it.
//!
//! ```text
//! append ─► lane of the partition ─► one call at a time, with all that waits ─► fates
//! read   ─► who leads what, by the catalog ─► one call for each leader, all at once ─► parts
//! group  ─► partition of `__groups` ─► its leader, the coordinator ─► answer
//! ```
//!
//! A question that met a node which does not lead, or does not know yet that it does, is asked once
//! more as of a fresh catalog: such a node has done nothing. A node that does not answer is not asked
//! again by itself, except for batches that a second try cannot append twice. One that is known to be
//! down is not asked at all.

mod afar;
mod answer;
mod append;
mod codec;
mod gather;
mod groups;
mod message;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{NodeId, PartitionIndex, TopicId};
use tokio::time::timeout;

pub(crate) use self::afar::{Afar, FetchSize};
pub(crate) use self::append::too_late;
pub(crate) use self::message::GroupAsk;

use self::append::Lanes;
use self::message::{Ask, Led, Request, Response};
use crate::counts::Counts;
use crate::seams::Cluster;

/// How long a fresh catalog is waited for.
const REFRESH_PATIENCE: Duration = Duration::from_secs(2);
/// How long a question that is answered at once may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// The same, for a node that the controller believes to be down.
const FENCED_PATIENCE: Duration = Duration::from_secs(1);

/// What is read of these bytes, as a request and as an answer, written again. To fuzz what is read from
/// other nodes: whatever is understood at all must come out as it went in.
#[doc(hidden)]
#[must_use]
pub fn reread(bytes: &Bytes) -> [Option<Bytes>; 2] {
    let request = Request::decode(bytes.clone());
    let response = Response::decode(bytes.clone());
    let request = request.ok().map(|request| request.encode());
    [request, response.ok().map(|response| response.encode())]
}

/// The brokers of the other nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    cluster: Arc<dyn Cluster>,
    lanes: Arc<Lanes>,
    counts: Arc<Counts>,
}

/// Who is to be asked about some partitions.
#[derive(Debug, Default)]
struct Leaders {
    /// As of this revision of the catalog.
    revision: u64,
    others: BTreeMap<NodeId, Vec<Led>>,
    /// Led by nobody, or by this node, which is then about to make them.
    nobody: Vec<PartitionIndex>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// It has done nothing: it does not lead, or does not know yet that it does.
    Moved(String),
    /// It has done nothing: it was not reached, or did not understand.
    Unavailable(String),
    /// What it has done is not known.
    Unknown(String),
}

impl Trouble {
    fn into_text(self) -> String {
        match self {
            Self::Moved(why) | Self::Unavailable(why) | Self::Unknown(why) => why,
        }
    }
}

impl Remote {
    pub(crate) fn new(cluster: Arc<dyn Cluster>, counts: Arc<Counts>) -> Self {
        Self {
            cluster,
            lanes: Arc::default(),
            counts,
        }
    }

    /// Who leads these partitions, by the newest catalog.
    fn leaders(&self, topic: TopicId, partitions: &[PartitionIndex]) -> Leaders {
        let (catalog, me) = (self.cluster.catalog(), self.cluster.me());
        let mut leaders = Leaders {
            revision: catalog.revision(),
            ..Leaders::default()
        };
        let topic = catalog.topic_by_id(topic);
        for index in partitions {
            let state = topic.and_then(|topic| topic.partition(*index));
            match state.and_then(|state| Some((state.leader?, state.leader_epoch))) {
                Some((leader, epoch)) if leader != me => {
                    let led = Led {
                        index: *index,
                        epoch,
                    };
                    leaders.others.entry(leader).or_default().push(led);
                }
                _ => leaders.nobody.push(*index),
            }
        }
        leaders
    }

    /// Who leads one partition, and as of which revision.
    fn leader(&self, topic: TopicId, index: PartitionIndex) -> Result<(NodeId, Led, u64), Trouble> {
        let leaders = self.leaders(topic, &[index]);
        let found = leaders.others.into_iter().next();
        let found = found.and_then(|(node, led)| Some((node, led.first().copied()?)));
        let (node, led) = found.ok_or_else(nobody)?;
        Ok((node, led, leaders.revision))
    }

    /// How long this node is given to answer.
    fn patience(&self, node: NodeId) -> Duration {
        match self.cluster.catalog().node(node) {
            Some(node) if !node.fenced => ANSWER_PATIENCE,
            _ => FENCED_PATIENCE,
        }
    }

    /// One question, and an answer that is one. A node that is known to be down is not asked.
    async fn ask(
        &self,
        to: NodeId,
        revision: u64,
        ask: Ask,
        patience: Duration,
    ) -> Result<Response, Trouble> {
        if self.cluster.is_down(to) {
            return Err(Trouble::Unavailable(format!("node {to} is down")));
        }
        let request = Request { revision, ask }.encode();
        self.counts.calls_sent.add(1);
        let called = self.cluster.call(to, request, patience).await;
        let answer = called.map_err(|error| {
            self.counts.calls_failed.add(1);
            let why = format!("node {to}: {error}");
            match error.may_have_arrived() {
                true => Trouble::Unknown(why),
                false => Trouble::Unavailable(why),
            }
        })?;
        match Response::decode(answer) {
            Ok(Response::NotLeader { leader, .. }) => Err(Trouble::Moved(match leader {
                Some(leader) => format!("node {to} says that node {leader} leads"),
                None => format!("node {to} says that nobody leads"),
            })),
            Ok(Response::Behind { revision }) => Err(Trouble::Moved(format!(
                "node {to} has not learned enough yet, only revision {revision}"
            ))),
            Ok(Response::Refused(why)) => Err(Trouble::Unavailable(format!("node {to}: {why}"))),
            Ok(answer) => Ok(answer),
            Err(error) => Err(Trouble::Unknown(format!(
                "node {to} answered what is no answer: {error}"
            ))),
        }
    }

    /// Learns what the cluster has agreed on meanwhile, as far as that can be had.
    async fn refresh(&self) {
        // Whoever asks again tells what is wrong, if it still is.
        let _ = timeout(REFRESH_PATIENCE, self.cluster.fresh()).await;
    }
}

/// Nobody can be asked.
fn nobody() -> Trouble {
    Trouble::Unavailable("no node leads it at the moment".to_owned())
}

/// An answer to something else than what was asked.
fn unfitting(to: NodeId) -> Trouble {
    Trouble::Unknown(format!("node {to} answered another question"))
}
