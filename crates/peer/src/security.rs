//! What protects connections: certificates, and the key of the cluster.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::NodeId;
use rustls::client::{Resumption, verify_server_name};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use thiserror::Error;

use crate::pki::{self, files};
use crate::{ClusterKeys, KeyError};

/// The name in the certificate of every node: what TLS itself asks for.
pub(crate) const NODE_NAME: &str = "peer.hark.internal";
/// The name in a certificate that is good for any id.
pub(crate) const ANY_ID_NAME: &str = "node.hark.internal";
const PROTOCOL: &[u8] = b"hark-peer";

/// What protects connections between nodes.
#[derive(Clone)]
pub struct Security {
    pub(crate) tls: Option<Tls>,
    keys: Option<ClusterKeys>,
    plain_anywhere: bool,
}

/// TLS 1.3, both ways.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Security {
    /// None: for nodes that listen on, and dial, loopback addresses only. Anything else is refused.
    #[must_use]
    pub const fn loopback() -> Self {
        Self {
            tls: None,
            keys: None,
            plain_anywhere: false,
        }
    }

    /// Plain connections to anywhere. Who can reach the port can read, and become, a node; with a
    /// cluster key, only read and change what passes.
    #[must_use]
    pub const fn plain_anywhere() -> Self {
        Self {
            tls: None,
            keys: None,
            plain_anywhere: true,
        }
    }

    /// What [`pki::make`] wrote: either the directory of one node (`ca.crt`, `node.crt`, `node.key`,
    /// `cluster.key`), or the one that holds those of all nodes, of which `id` tells which.
    pub fn load(dir: &Path, id: Option<NodeId>) -> Result<Self, SecurityError> {
        let dir = pki::node_dir(dir, id)?;
        let authority = files::read_certificates(&dir.join(pki::AUTHORITY_CERTIFICATE))?;
        let chain = files::read_certificates(&dir.join(pki::NODE_CERTIFICATE))?;
        let key = files::read_private_key(&dir.join(pki::NODE_KEY))?;
        let keys = files::read_cluster_keys(&dir.join(pki::CLUSTER_KEY))?;
        Ok(Self::tls(authority, chain, key)?.with_keys(keys))
    }

    /// TLS: who is trusted, and the certificate of this node with its key.
    pub fn tls(
        authority: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, SecurityError> {
        let tls = Tls::new(authority, chain, key)
            .map_err(|error| SecurityError::Tls(error.to_string()))?;
        Ok(Self {
            tls: Some(tls),
            keys: None,
            plain_anywhere: false,
        })
    }

    /// The same, with the key of the cluster.
    #[must_use]
    pub fn with_keys(self, keys: ClusterKeys) -> Self {
        Self {
            keys: Some(keys),
            ..self
        }
    }

    /// The key of the cluster: it seals datagrams too.
    #[must_use]
    pub const fn keys(&self) -> Option<&ClusterKeys> {
        self.keys.as_ref()
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether connections with this address are allowed.
    pub(crate) fn allows(&self, address: std::net::IpAddr) -> bool {
        self.tls.is_some() || self.plain_anywhere || address.to_canonical().is_loopback()
    }
}

/// Never a key.
impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("tls", &self.tls.is_some())
            .field("keys", &self.keys)
            .field("plain_anywhere", &self.plain_anywhere)
            .finish()
    }
}

impl Tls {
    fn new(
        authority: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in authority {
            roots.add(certificate)?;
        }
        let roots = Arc::new(roots);
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), key.clone_key())?;
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        let nodes = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(nodes.build()?)
            .with_single_cert(chain, key)?;
        // Every connection shows its certificate anew.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }
}

/// Whether a certificate, of which TLS has seen that the authority signed it, is that of this node; or,
/// without an id, of any node.
pub(crate) fn names(certificate: &CertificateDer<'_>, id: Option<NodeId>) -> bool {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
        return false;
    };
    let has = |name: &str| {
        ServerName::try_from(name).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
    };
    match id {
        None => has(NODE_NAME),
        Some(id) => has(NODE_NAME) && (has(ANY_ID_NAME) || has(&id_name(id))),
    }
}

/// The name in the certificate of the node with this id.
pub(crate) fn id_name(id: NodeId) -> String {
    format!("node-{id}.hark.internal")
}

/// Certificates or keys cannot be used.
#[derive(Debug, Error)]
pub enum SecurityError {
    /// A file.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A secret that others can read.
    #[error("{path} can be read by others; make it its owner's alone: chmod 600 {path}", path = .0.display())]
    OpenToOthers(PathBuf),
    /// The cluster key.
    #[error("{}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// Would be written over.
    #[error("{} is there already, and is not written over", .0.display())]
    Exists(PathBuf),
    /// There is no certificate where it was looked for.
    #[error("{0}")]
    NoCertificate(String),
    /// The certificates do not fit together.
    #[error("the certificates cannot be used: {0}")]
    Tls(String),
    /// The system gives no random bytes, or a certificate could not be made.
    #[error("cannot make a certificate or a key: {0}")]
    Making(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_connections_stay_on_this_machine_unless_told() {
        let cases = [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
        ];
        for (address, expected) in cases {
            let address = address.parse().unwrap();
            assert_eq!(Security::loopback().allows(address), expected, "{address}");
            assert!(Security::plain_anywhere().allows(address), "{address}");
        }
    }
}
