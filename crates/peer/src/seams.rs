//! What the connections need from the rest of the node.

use std::net::SocketAddr;

use bytes::Bytes;
use catalog::{Claim, Refusal};
use futures_util::future::BoxFuture;
use model::NodeId;
use rustls_pki_types::CertificateDer;

use crate::{Service, security};

/// Answers calls.
pub trait Services: Send + Sync + 'static {
    /// Answers one call. The future is dropped when the caller does not want the answer any more, or is
    /// gone; what must not stop half way has to run in a task of its own.
    ///
    /// The answer is let go as soon as it is written, or cannot be. What its bytes own
    /// ([`Bytes::from_owner`]) is held for so long, and can bound what is on its way. Of answers larger than
    /// 4 KiB, one that finds [`model::limits::PEER_ANSWER_BYTES_KEPT_MAX`] in line before it is dropped, and the
    /// call fails.
    fn handle(&self, from: Caller, service: Service, body: Bytes) -> BoxFuture<'_, Bytes>;
}

/// Who this node is, and who may be talked to.
pub trait Admission: Send + Sync + 'static {
    /// What this node says of itself. May change: a node that joins gets an id. Connections that said
    /// something else are replaced at the next call.
    fn claim(&self) -> Claim;

    /// Whether one who claims this may be talked to. Asked in the handshake, and again for each call,
    /// so that a node that was removed or replaced meanwhile is cut off.
    fn admit(&self, claim: &Claim) -> Result<(), Refusal>;
}

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who they are. Proven as far as there is a certificate and a cluster key.
    pub claim: Claim,
    /// Where from.
    pub address: SocketAddr,
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

impl Caller {
    /// The node, unless it has no id yet.
    #[must_use]
    pub const fn node(&self) -> Option<NodeId> {
        self.claim.id
    }

    /// Whether its certificate lets it be this node. Without TLS there is none, and it may.
    #[must_use]
    pub fn may_be(&self, id: NodeId) -> bool {
        self.certificate
            .as_ref()
            .is_none_or(|certificate| security::names(certificate, Some(id)))
    }
}
