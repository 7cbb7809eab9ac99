//! The way to peers that are known by their address only.

use std::time::Duration;

use bytes::Bytes;
use catalog::Registration;
use control::{Joined, NotJoined};
use futures_util::future::BoxFuture;
use peer::{CallError, Peers, Rejection, Service, Target};

use crate::assemble::finding::{
    Answer, Asking, MessageError, PeerAddress, Question, decode_joined, encode_join,
};

/// Longest wait for the answer to a question.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a registration: the cluster may be electing a controller.
const JOIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Asks over connections.
#[derive(Debug)]
pub(in crate::assemble) struct Way {
    /// The connections of this node.
    pub peers: Peers,
    /// What this start is to be registered with.
    pub registration: Registration,
}

/// A question has no answer.
#[derive(Debug)]
pub(in crate::assemble) struct Unanswered {
    /// Why, without the address, which stands before it wherever it is shown.
    pub why: String,
    /// There, if one side did not want the other.
    pub rejection: Option<Rejection>,
}

impl From<MessageError> for Unanswered {
    fn from(error: MessageError) -> Self {
        Self {
            why: error.to_string(),
            rejection: None,
        }
    }
}

impl From<CallError> for Unanswered {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(rejection) => Self {
                why: rejection.to_string(),
                rejection: Some(rejection),
            },
            CallError::Unreachable { reason, .. } => Self {
                why: reason,
                rejection: None,
            },
            error => Self {
                why: error.to_string(),
                rejection: None,
            },
        }
    }
}

/// Asks whoever is at an address who they are.
pub(in crate::assemble) fn ask(
    peers: &Peers,
    peer: &PeerAddress,
    question: &Question,
) -> BoxFuture<'static, Result<Answer, Unanswered>> {
    let answer = call(
        peers,
        peer,
        Service::Discover,
        question.encode(),
        ASK_TIMEOUT,
    );
    Box::pin(async move { Ok(Answer::decode(&answer.await?)?) })
}

impl Asking for Way {
    fn ask(
        &self,
        peer: PeerAddress,
        question: Question,
    ) -> BoxFuture<'static, Result<Answer, String>> {
        let answer = ask(&self.peers, &peer, &question);
        Box::pin(async move { answer.await.map_err(|unanswered| unanswered.why) })
    }

    fn join(&self, peer: PeerAddress) -> BoxFuture<'static, Joined> {
        let request = encode_join(self.registration.clone());
        let answer = call(&self.peers, &peer, Service::Join, request, JOIN_TIMEOUT);
        Box::pin(async move {
            let answer = answer.await.map_err(|no| NotJoined::NotNow(no.why))?;
            let joined = decode_joined(&answer);
            joined.map_err(|error| NotJoined::NotNow(error.to_string()))?
        })
    }
}

fn call(
    peers: &Peers,
    peer: &PeerAddress,
    service: Service,
    body: Bytes,
    timeout: Duration,
) -> BoxFuture<'static, Result<Bytes, Unanswered>> {
    let (peers, target) = (peers.clone(), Target::anybody(peer.to_string()));
    Box::pin(async move {
        let answer = peers.call(&target, service, body, timeout).await;
        answer.map_err(Unanswered::from)
    })
}
