//! Answers what other nodes ask, service by service.

use std::sync::Arc;

use ::broker::Broker;
use bytes::Bytes;
use catalog::{Command, Registration};
use control::{Control, ProposeError};
use futures_util::future::BoxFuture;
use model::{ClusterId, NodeId};
use peer::membership::Gossip;
use peer::{Caller, Service, Services};

use super::{AddressBook, Late, links};
use crate::assemble::finding::{
    Answer, Candidate, Joined, NotJoined, Question, Seeker, Stage, decode_join, encode_joined,
};

/// Answers what other nodes ask. An empty answer is none.
#[derive(Debug)]
pub(in crate::assemble) struct Reception {
    /// Knows whether this node is a member, and of what.
    pub control: Control,
    /// Where others are.
    pub book: Arc<AddressBook>,
    /// Answers for a node that is not a member yet.
    pub seeker: Late<Arc<Seeker>>,
    /// Comes once the node is registered.
    pub gossip: Late<Arc<Gossip>>,
    /// Comes once the store has recovered.
    pub broker: Late<Broker>,
}

impl Services for Reception {
    fn handle(&self, from: Caller, service: Service, body: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(async move {
            match (service, from.node()) {
                (Service::Discover, node) => self.discover(node, &body),
                (Service::Join, _) => encode_joined(&self.join(&from, &body).await),
                (Service::Control, Some(node)) => {
                    links::answer(&self.control, node, from.claim.boot, body).await
                }
                (Service::Broker, Some(node)) => {
                    self.broker.wait().await.serve_peer(node, body).await
                }
                (Service::MemberSync, Some(_)) => {
                    let answer = self.gossip.wait().await.answer(body).await;
                    answer.unwrap_or_default()
                }
                // A ping is answered by the connection; the rest is for members only, which the
                // connection has checked.
                _ => Bytes::new(),
            }
        })
    }
}

impl Reception {
    fn discover(&self, from: Option<NodeId>, body: &[u8]) -> Bytes {
        let question = match Question::decode(body) {
            Ok(question) => question,
            Err(error) => {
                tracing::debug!(%error, "a question that cannot be read");
                return Bytes::new();
            }
        };
        if let Some(id) = from {
            let address = question.address.clone();
            self.book.hear(id, address, &self.control.view());
        }
        let identity = self.control.identity();
        let answer = match identity.member {
            Some(member) => Some(self.of_member(member.cluster)),
            None => self
                .seeker
                .now()
                .and_then(|seeker| seeker.answer(&question)),
        };
        answer.map_or_else(Bytes::new, |answer| answer.encode())
    }

    fn of_member(&self, cluster: ClusterId) -> Answer {
        let identity = self.control.identity();
        let known = self.book.everywhere(&self.control.view());
        Answer {
            who: Candidate {
                wanted: identity.node(),
                storage: identity.storage,
            },
            stage: Stage::Member(cluster),
            known: known.into_iter().collect(),
        }
    }

    /// Before it is, it may be a founder, and whoever it let in could be given its id.
    fn is_registered(&self) -> bool {
        let identity = self.control.identity();
        let catalog = self.control.view();
        let node = identity.node().and_then(|id| catalog.node(id));
        node.is_some_and(|node| node.storage == identity.storage)
    }

    async fn join(&self, from: &Caller, body: &[u8]) -> Joined {
        let not_now = |why: &str| Err(NotJoined::NotNow(why.to_owned()));
        let registration = match decode_join(body) {
            Ok(registration) => registration,
            Err(error) => return Err(NotJoined::Never(error.to_string())),
        };
        check_caller(from, &registration).map_err(NotJoined::Never)?;
        if !self.is_registered() {
            return not_now("the node that was asked is about to become a member itself");
        }
        match self.control.propose(Command::Register(registration)).await {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(ProposeError::Refused(refusal)) => Ok(Err(refusal)),
            Err(ProposeError::Unavailable(why)) => not_now(&why),
        }
    }
}

/// A process registers itself, and as nobody that its certificate does not name.
fn check_caller(from: &Caller, registration: &Registration) -> Result<(), String> {
    let claim = &from.claim;
    if (claim.storage, claim.boot) != (registration.storage, registration.boot) {
        return Err("a node can register only itself".to_owned());
    }
    let is_named = match registration.id {
        Some(id) => from.may_be(id),
        // Which id it will get is not known yet: only a certificate for any id will do.
        None => from.may_be(NodeId(0)) && from.may_be(NodeId(1)),
    };
    match (is_named, registration.id) {
        (true, _) => Ok(()),
        (false, Some(id)) => Err(format!("the certificate is not that of node {id}")),
        (false, None) => Err(
            "the certificate is for one certain id: start the node with --id, or give it a \
             certificate for any id (hark init --any)"
                .to_owned(),
        ),
    }
}
