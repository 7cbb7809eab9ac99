//! Who is there: the first messages on a connection, before any frame.
//!
//! ```text
//! dialler                          answerer
//! hello                        ->
//!                              <-  hello, proof
//! proof                        ->
//!                              <-  welcome
//! ```
//!
//! Either may send a refusal in place of any of these but the first, and closes. Each checks, in this
//! order: a version that both speak; the cluster key; that the certificate allows the claimed id; the
//! dialler, that it is the id that was dialled; that not each belongs to another cluster; its [`Admission`].

mod proof;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Claim, Refusal};
use model::{NodeId, limits};
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use self::proof::{Part, Transcript};
use crate::error::{Rejection, RejectionCode};
use crate::protocol::{
    Hello, MESSAGE_HEADER_BYTES, Message, MessageError, NONCE_BYTES, PROOF_BYTES, VERSION,
    body_bytes,
};
use crate::{Admission, ClusterKeys, Lane, security};

/// How long somebody who was refused has to read why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}

/// What one side brings to a handshake.
#[derive(Clone, Copy)]
pub(crate) struct Local<'a> {
    pub(crate) admission: &'a dyn Admission,
    pub(crate) keys: Option<&'a ClusterKeys>,
    /// What the other side showed to TLS.
    pub(crate) their_certificate: Option<&'a CertificateDer<'static>>,
    /// Names the TLS connection, the same on both sides; zeros without.
    pub(crate) binding: [u8; 32],
}

/// Both sides want each other.
#[derive(Debug)]
pub(crate) struct Met {
    /// What this side said.
    pub(crate) we: Claim,
    /// What the other side said.
    pub(crate) they: Claim,
    pub(crate) lane: Lane,
}

/// There will be no connection.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The part of the one who dials. With an expectation, only that node will do.
pub(crate) async fn dial<S: Duplex>(
    stream: &mut S,
    local: Local<'_>,
    lane: Lane,
    expected: Option<NodeId>,
) -> Result<Met, HandshakeError> {
    let met = greet(stream, local, lane, expected).await;
    tell(stream, met).await
}

/// The part of the one who was dialled.
pub(crate) async fn answer<S: Duplex>(
    stream: &mut S,
    local: Local<'_>,
) -> Result<Met, HandshakeError> {
    let met = meet(stream, local).await;
    tell(stream, met).await
}

async fn greet<S: Duplex>(
    stream: &mut S,
    local: Local<'_>,
    lane: Lane,
    expected: Option<NodeId>,
) -> Result<Met, HandshakeError> {
    let (we, our_hello) = local.hello(lane)?;
    stream.write_all(&our_hello).await?;
    stream.flush().await?;
    let (their_hello, they) = read_hello(stream).await?;
    let transcript = Transcript {
        binding: local.binding,
        dialler: &our_hello,
        answerer: &their_hello,
    };
    let proof = read_proof(stream).await?;
    transcript.check(Part::Answerer, local.keys, they.has_key, proof)?;
    local.check_certificate(&they.claim)?;
    check_expected(expected, they.claim.id)?;
    local.admit(&we, &they.claim)?;
    let proof = transcript.prove(Part::Dialler, local.keys)?;
    send(stream, &Message::Proof(proof)).await?;
    match read(stream).await?.1 {
        Message::Welcome { version: VERSION } => Ok(Met {
            we,
            they: they.claim,
            lane,
        }),
        _ => Err(unexpected().into()),
    }
}

async fn meet<S: Duplex>(stream: &mut S, local: Local<'_>) -> Result<Met, HandshakeError> {
    let (their_hello, they) = read_hello(stream).await?;
    let (we, our_hello) = local.hello(they.lane)?;
    let transcript = Transcript {
        binding: local.binding,
        dialler: &their_hello,
        answerer: &our_hello,
    };
    let proof = transcript.prove(Part::Answerer, local.keys)?;
    let reply = [our_hello.clone(), Message::Proof(proof).encode()].concat();
    stream.write_all(&reply).await?;
    stream.flush().await?;
    let proof = read_proof(stream).await?;
    transcript.check(Part::Dialler, local.keys, they.has_key, proof)?;
    local.check_certificate(&they.claim)?;
    local.admit(&we, &they.claim)?;
    send(stream, &Message::Welcome { version: VERSION }).await?;
    Ok(Met {
        we,
        they: they.claim,
        lane: they.lane,
    })
}

impl Local<'_> {
    fn hello(&self, lane: Lane) -> Result<(Claim, Bytes), HandshakeError> {
        let claim = self.admission.claim();
        let hello = Hello {
            newest: VERSION,
            oldest: VERSION,
            lane,
            has_key: self.keys.is_some(),
            nonce: random::<NONCE_BYTES>()?,
            claim: claim.clone(),
        };
        Ok((claim, Message::Hello(hello).encode()))
    }

    fn check_certificate(&self, claim: &Claim) -> Result<(), Rejection> {
        let Some(certificate) = self.their_certificate else {
            return Ok(());
        };
        if security::names(certificate, claim.id) {
            return Ok(());
        }
        let reason = match claim.id {
            Some(id) => format!(
                "the certificate is not that of node {id}; give each node the one that was made for its id"
            ),
            None => "the certificate is not that of a node".to_owned(),
        };
        Err(Rejection::ours(RejectionCode::Certificate, reason))
    }

    /// The clusters are compared here as well: an [`Admission`] that knows nothing yet admits everybody.
    fn admit(&self, we: &Claim, they: &Claim) -> Result<(), Rejection> {
        check_clusters(we, they)?;
        self.admission.admit(they)?;
        Ok(())
    }
}

fn check_clusters(we: &Claim, they: &Claim) -> Result<(), Refusal> {
    match (we.cluster, they.cluster) {
        (Some(ours), Some(theirs)) if ours != theirs => Err(Refusal::OtherCluster { theirs, ours }),
        _ => Ok(()),
    }
}

fn check_expected(expected: Option<NodeId>, found: Option<NodeId>) -> Result<(), Rejection> {
    let Some(expected) = expected else {
        return Ok(());
    };
    if found == Some(expected) {
        return Ok(());
    }
    let found = found.map_or_else(|| "one without an id".to_owned(), |id| format!("node {id}"));
    Err(Rejection::ours(
        RejectionCode::OtherNode,
        format!("node {expected} was dialled, and {found} answered"),
    ))
}

async fn read_hello<S: Duplex>(stream: &mut S) -> Result<(Bytes, Hello), HandshakeError> {
    match read(stream).await? {
        (bytes, Message::Hello(hello)) => Ok((bytes, hello)),
        _ => Err(unexpected().into()),
    }
}

async fn read_proof<S: Duplex>(
    stream: &mut S,
) -> Result<Option<[u8; PROOF_BYTES]>, HandshakeError> {
    match read(stream).await?.1 {
        Message::Proof(proof) => Ok(proof),
        _ => Err(unexpected().into()),
    }
}

/// The next message and its bytes; a refusal is an error.
async fn read<S: Duplex>(stream: &mut S) -> Result<(Bytes, Message), HandshakeError> {
    let header = read_header(stream).await?;
    let mut bytes = vec![0; MESSAGE_HEADER_BYTES + body_bytes(&header).map_err(malformed)?];
    let (start, body) = bytes.split_at_mut(MESSAGE_HEADER_BYTES);
    start.copy_from_slice(&header);
    stream.read_exact(body).await?;
    match Message::decode(&header, body).map_err(malformed)? {
        Message::Refusal { code, reason } => Err(Rejection::theirs(code, reason).into()),
        message => Ok((bytes.into(), message)),
    }
}

async fn read_header<S: Duplex>(
    stream: &mut S,
) -> Result<[u8; MESSAGE_HEADER_BYTES], HandshakeError> {
    let mut header = [0; MESSAGE_HEADER_BYTES];
    let mut unfilled = header.as_mut_slice();
    while !unfilled.is_empty() {
        if stream.read_buf(&mut unfilled).await? == 0 {
            // An alert of TLS is shorter than a header.
            return Err(match body_bytes(&header) {
                Err(MessageError::Tls) => malformed(MessageError::Tls).into(),
                _ => io::Error::from(io::ErrorKind::UnexpectedEof).into(),
            });
        }
    }
    Ok(header)
}

async fn send<S: Duplex>(stream: &mut S, message: &Message) -> io::Result<()> {
    stream.write_all(&message.encode()).await?;
    stream.flush().await
}

/// Tells the other side why this one does not want it.
async fn tell<S: Duplex>(
    stream: &mut S,
    met: Result<Met, HandshakeError>,
) -> Result<Met, HandshakeError> {
    if let Err(HandshakeError::Rejected(rejection)) = &met
        && rejection.by == crate::Side::Us
    {
        let refusal = Message::Refusal {
            code: rejection.code,
            reason: rejection.reason.clone(),
        };
        // It is refused either way.
        let _unread = send(stream, &refusal).await;
        farewell(stream).await;
    }
    met
}

/// Closes so that what was written last is still read: a socket that is closed with bytes unread in it
/// takes back what the other side has not read.
pub(crate) async fn farewell<S: Duplex>(stream: &mut S) {
    let close = async {
        stream.shutdown().await?;
        let mut rest = stream.take(limits::PEER_HANDSHAKE_BYTES_MAX as u64);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whoever does not read in time goes without.
    let _late = timeout(FAREWELL_TIMEOUT, close).await;
}

fn malformed(error: MessageError) -> Rejection {
    let code = match error {
        MessageError::Tls => RejectionCode::Transport,
        MessageError::Version { .. } => RejectionCode::Version,
        MessageError::Magic | MessageError::Malformed => RejectionCode::Protocol,
    };
    Rejection::ours(code, error.to_string())
}

fn unexpected() -> Rejection {
    Rejection::ours(
        RejectionCode::Protocol,
        "a message of the handshake is out of place",
    )
}

fn random<const N: usize>() -> Result<[u8; N], io::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
