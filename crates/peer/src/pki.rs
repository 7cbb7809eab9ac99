//! What the security of a cluster rests on: an authority, a certificate for each node, a shared key.
//!
//! ```text
//! ca.crt  ca.key  cluster.key     the authority and the cluster's secret; ca.key is needed only here
//! node-3/                         all that node 3 needs, to be copied to it
//!     ca.crt  node.crt  node.key  cluster.key
//! node-any/                       the same, good for any id
//! ```
//!
//! Files that hold a secret are readable by their owner alone. Nothing is ever written over.

pub(crate) mod files;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use model::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::security::{self, SecurityError};
use crate::{ClusterKey, ClusterKeys};

pub(crate) const AUTHORITY_CERTIFICATE: &str = "ca.crt";
pub(crate) const AUTHORITY_KEY: &str = "ca.key";
pub(crate) const NODE_CERTIFICATE: &str = "node.crt";
pub(crate) const NODE_KEY: &str = "node.key";
pub(crate) const CLUSTER_KEY: &str = "cluster.key";

/// Every certificate is good for this long; there is nothing yet that renews them.
const VALID_YEARS: i32 = 20;

/// Whom a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// The node with this id.
    Node(NodeId),
    /// Whichever node has it. Easier to hand out, and a node that is broken into can be any other.
    Any,
}

impl Holder {
    fn dir_name(self) -> String {
        match self {
            Self::Node(id) => format!("node-{id}"),
            Self::Any => "node-any".to_owned(),
        }
    }

    fn dns_name(self) -> String {
        match self {
            Self::Node(id) => security::id_name(id),
            Self::Any => security::ANY_ID_NAME.to_owned(),
        }
    }
}

/// What [`make`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Whether the authority is new. If not, the one that was there has signed.
    pub authority_is_new: bool,
    /// The directory of each holder, in the order asked for.
    pub nodes: Vec<(Holder, PathBuf)>,
}

/// Makes the authority and the cluster key in `dir`, unless they are there, and a directory for each of
/// the holders. One that is there already is refused before anything is written.
pub fn make(dir: &Path, holders: &[Holder]) -> Result<Made, SecurityError> {
    let nodes: Vec<_> = holders
        .iter()
        .map(|holder| (*holder, dir.join(holder.dir_name())))
        .collect();
    if let Some((_, taken)) = nodes.iter().find(|(_, path)| path.exists()) {
        return Err(SecurityError::Exists(taken.clone()));
    }
    let authority_is_new = !dir.join(AUTHORITY_KEY).exists();
    if authority_is_new {
        check_no_other_authority(dir)?;
    }
    files::make_dir(dir)?;
    let authority = if authority_is_new {
        make_authority(dir)?
    } else {
        Authority::load(dir)?
    };
    let keys = files::read_secret(&dir.join(CLUSTER_KEY))?;
    for (holder, path) in &nodes {
        let node = authority.issue(*holder)?;
        files::make_dir(path)?;
        files::write_public(&path.join(AUTHORITY_CERTIFICATE), &authority.certificate)?;
        files::write_public(&path.join(NODE_CERTIFICATE), &node.certificate)?;
        files::write_secret(&path.join(NODE_KEY), &node.key)?;
        files::write_secret(&path.join(CLUSTER_KEY), &keys)?;
    }
    Ok(Made {
        authority_is_new,
        nodes,
    })
}

/// Signs certificates.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    key: KeyPair,
}

/// The certificate of a node and its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// Public.
    pub certificate: String,
    /// Secret.
    pub key: zeroize::Zeroizing<String>,
}

/// Never the key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one.
    pub fn generate() -> Result<Self, SecurityError> {
        let key = KeyPair::generate().map_err(making)?;
        let certificate = authority_params().self_signed(&key).map_err(making)?;
        Ok(Self {
            certificate: certificate.pem(),
            key,
        })
    }

    /// The one that is kept in this directory.
    pub fn load(dir: &Path) -> Result<Self, SecurityError> {
        let path = dir.join(AUTHORITY_KEY);
        let certificate = files::read_text(&dir.join(AUTHORITY_CERTIFICATE))?;
        let key = files::read_secret(&path)?;
        let key = KeyPair::from_pem(&key).map_err(|error| SecurityError::Content {
            path,
            reason: format!("not a private key: {error}"),
        })?;
        Ok(Self {
            certificate: certificate.to_string(),
            key,
        })
    }

    /// Its certificate as PEM: whom all nodes trust.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a node, good for dialling and for answering.
    pub fn issue(&self, holder: Holder) -> Result<Identity, SecurityError> {
        let key = KeyPair::generate().map_err(making)?;
        let names = vec![security::NODE_NAME.to_owned(), holder.dns_name()];
        let mut params = CertificateParams::new(names).map_err(making)?;
        set_validity(&mut params);
        params
            .distinguished_name
            .push(DnType::CommonName, holder.dns_name());
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let authority = authority_params();
        let issuer = Issuer::from_params(&authority, &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(making)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem().into(),
        })
    }
}

/// The directory with the certificate of the node: `dir` itself, or one in it.
pub(crate) fn node_dir(dir: &Path, id: Option<NodeId>) -> Result<PathBuf, SecurityError> {
    if dir.join(NODE_CERTIFICATE).exists() {
        return Ok(dir.to_owned());
    }
    let holders = id.map(Holder::Node).into_iter().chain([Holder::Any]);
    let mut found = holders
        .map(|holder| dir.join(holder.dir_name()))
        .filter(|path| path.join(NODE_CERTIFICATE).exists());
    found.next().ok_or_else(|| {
        let whose = id.map_or_else(
            || "; say which node this is with --id".to_owned(),
            |id| format!(", nor node-{id}/{NODE_CERTIFICATE} in it"),
        );
        SecurityError::NoCertificate(format!(
            "there is no {NODE_CERTIFICATE} in {}{whose}; `hark init` makes certificates",
            dir.display()
        ))
    })
}

/// A certificate without its key is that of an authority whose key was taken away, or of one that was not
/// finished. Only people know which.
fn check_no_other_authority(dir: &Path) -> Result<(), SecurityError> {
    let path = dir.join(AUTHORITY_CERTIFICATE);
    if !path.exists() {
        return Ok(());
    }
    let reason = format!(
        "the key of this authority, {AUTHORITY_KEY}, is not beside it; bring it back, or begin with an empty directory"
    );
    Err(SecurityError::Content { path, reason })
}

fn make_authority(dir: &Path) -> Result<Authority, SecurityError> {
    let authority = Authority::generate()?;
    let key = ClusterKey::generate().map_err(|error| SecurityError::Making(error.to_string()))?;
    let text = zeroize::Zeroizing::new(key.to_text() + "\n");
    if !dir.join(CLUSTER_KEY).exists() {
        files::write_secret(&dir.join(CLUSTER_KEY), &text)?;
    }
    files::write_public(&dir.join(AUTHORITY_CERTIFICATE), &authority.certificate)?;
    // Last: with it, the authority is whole.
    let secret = zeroize::Zeroizing::new(authority.key.serialize_pem());
    files::write_secret(&dir.join(AUTHORITY_KEY), &secret)?;
    Ok(authority)
}

/// The same for every authority but for the key, so that one is known again by its key alone.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Hark cluster authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// From a year ago, because clocks differ.
fn set_validity(params: &mut CertificateParams) {
    let year = year(SystemTime::now());
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + VALID_YEARS, 1, 1);
}

/// The year, to a day or so.
fn year(now: SystemTime) -> i32 {
    const YEAR: Duration = Duration::from_secs(31_556_952);
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH);
    let years = since_1970.map_or(0, |passed| passed.as_secs() / YEAR.as_secs());
    1970 + i32::try_from(years.min(2000)).unwrap_or(0)
}

fn making(error: rcgen::Error) -> SecurityError {
    SecurityError::Making(error.to_string())
}

/// Reads the cluster key of a directory that [`make`] wrote.
pub fn cluster_keys(dir: &Path) -> Result<ClusterKeys, SecurityError> {
    files::read_cluster_keys(&dir.join(CLUSTER_KEY))
}
