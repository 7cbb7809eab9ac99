//! Answers what other nodes ask, service by service.

use std::sync::Arc;

use ::broker::Broker;
use bytes::Bytes;
use control::{Control, Joined, Newcomer, NotJoined};
use futures_util::future::BoxFuture;
use model::{ClusterId, NodeId};
use peer::membership::Gossip;
use peer::{Caller, Service, Services};

use super::{AddressBook, Late, links};
use crate::assemble::finding::{
    Answer, Candidate, Question, Seeker, Stage, decode_join, encode_joined,
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

    async fn join(&self, from: &Caller, body: &[u8]) -> Joined {
        let registration = match decode_join(body) {
            Ok(registration) => registration,
            Err(error) => return Err(NotJoined::Never(error.to_string())),
        };
        let is_named = match registration.id {
            Some(id) => from.may_be(id),
            // Which id it will get is not known yet: only a certificate for any id will do.
            None => from.may_be(NodeId(0)) && from.may_be(NodeId(1)),
        };
        let newcomer = Newcomer {
            claim: &from.claim,
            is_named,
        };
        self.control.handle_join(&newcomer, registration).await
    }
}
