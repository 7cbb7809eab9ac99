//! Streams of bytes to and from other nodes, with TLS or without.

mod capped;

use std::io;
use std::net::SocketAddr;

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use self::capped::Capped;
use crate::Security;
use crate::error::{Rejection, RejectionCode, Side};
use crate::handshake::{HandshakeError, farewell};
use crate::security::{NODE_NAME, Tls};

const BINDING_LABEL: &[u8] = b"EXPORTER-hark-peer";

/// A stream to a process of which only TLS has spoken yet.
pub(crate) struct Transport {
    pub(crate) stream: Stream,
    /// What it has shown to TLS.
    pub(crate) certificate: Option<CertificateDer<'static>>,
    /// Names the TLS connection; zeros without.
    pub(crate) binding: [u8; 32],
    pub(crate) address: SocketAddr,
}

/// Bytes in both directions.
pub(crate) enum Stream {
    Plain(Capped<TcpStream>),
    Tls(Box<tokio_rustls::TlsStream<Capped<TcpStream>>>),
}

/// Either end of a split [`Stream`].
pub(crate) type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
/// See [`ReadHalf`].
pub(crate) type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Greets who was reached.
pub(crate) async fn connect(
    stream: TcpStream,
    security: &Security,
) -> Result<Transport, HandshakeError> {
    let (stream, address) = prepared(stream, security)?;
    let Some(Tls { client, .. }) = &security.tls else {
        return Ok(Transport::plain(stream, address));
    };
    let name = ServerName::try_from(NODE_NAME).map_err(io::Error::other)?;
    let stream = TlsConnector::from(client.clone())
        .connect(name, stream)
        .await
        .map_err(tls_error)?;
    Transport::tls(stream.into(), address)
}

/// Welcomes who has connected.
pub(crate) async fn accept(
    stream: TcpStream,
    security: &Security,
) -> Result<Transport, HandshakeError> {
    let (stream, address) = prepared(stream, security)?;
    let Some(Tls { server, .. }) = &security.tls else {
        return Ok(Transport::plain(stream, address));
    };
    let accepting = TlsAcceptor::from(server.clone()).accept(stream);
    match accepting.into_fallible().await {
        Ok(stream) => Transport::tls(stream.into(), address),
        Err((error, mut stream)) => {
            farewell(&mut stream).await;
            Err(tls_error(error))
        }
    }
}

impl Transport {
    const fn plain(stream: Capped<TcpStream>, address: SocketAddr) -> Self {
        Self {
            stream: Stream::Plain(stream),
            certificate: None,
            binding: [0; 32],
            address,
        }
    }

    fn tls(
        stream: tokio_rustls::TlsStream<Capped<TcpStream>>,
        address: SocketAddr,
    ) -> Result<Self, HandshakeError> {
        let mut binding = [0; 32];
        let chain = match &stream {
            tokio_rustls::TlsStream::Client(stream) => {
                let connection = stream.get_ref().1;
                connection
                    .export_keying_material(&mut binding, BINDING_LABEL, None)
                    .map_err(io::Error::other)?;
                connection.peer_certificates()
            }
            tokio_rustls::TlsStream::Server(stream) => {
                let connection = stream.get_ref().1;
                connection
                    .export_keying_material(&mut binding, BINDING_LABEL, None)
                    .map_err(io::Error::other)?;
                connection.peer_certificates()
            }
        };
        let certificate = chain
            .and_then(<[_]>::first)
            .map(|certificate| certificate.clone().into_owned())
            .ok_or_else(|| {
                Rejection::ours(RejectionCode::Certificate, "no certificate was shown")
            })?;
        Ok(Self {
            stream: Stream::Tls(Box::new(stream)),
            certificate: Some(certificate),
            binding,
            address,
        })
    }
}

impl Stream {
    /// After the handshake: no more cap on what is read, and two ends for two tasks.
    pub(crate) fn into_halves(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(stream) => {
                let (read, write) = stream.into_inner().into_split();
                (Box::new(read), Box::new(write))
            }
            Self::Tls(mut stream) => {
                stream.get_mut().0.lift();
                let (read, write) = tokio::io::split(*stream);
                (Box::new(read), Box::new(write))
            }
        }
    }
}

fn prepared(
    stream: TcpStream,
    security: &Security,
) -> Result<(Capped<TcpStream>, SocketAddr), HandshakeError> {
    let address = stream.peer_addr()?;
    if !security.allows(address.ip()) {
        return Err(Rejection::ours(
            RejectionCode::Transport,
            format!(
                "{address} is on another machine, and the connection would not be protected; give both nodes a certificate (see `hark init`)"
            ),
        )
        .into());
    }
    stream.set_nodelay(true)?;
    Ok((Capped::new(stream), address))
}

/// A failure of TLS, with what to do about it where that is known.
pub(crate) fn tls_error(error: io::Error) -> HandshakeError {
    use rustls::Error;
    let Some(inner) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    else {
        return error.into();
    };
    let (code, by, reason) = match inner {
        Error::InvalidCertificate(why) => (
            RejectionCode::Certificate,
            Side::Us,
            format!("its certificate is not one of this cluster's authority: {why}"),
        ),
        Error::NoCertificatesPresented => (
            RejectionCode::Certificate,
            Side::Us,
            "it has no certificate".to_owned(),
        ),
        Error::AlertReceived(alert) if is_about_certificates(*alert) => (
            RejectionCode::Certificate,
            Side::Them,
            "the certificate of this node is not one of its cluster's authority".to_owned(),
        ),
        Error::InvalidMessage(_) => (
            RejectionCode::Transport,
            Side::Us,
            "this node speaks TLS and the other one does not; give both a certificate, or neither"
                .to_owned(),
        ),
        _ => return error.into(),
    };
    Rejection { code, reason, by }.into()
}

const fn is_about_certificates(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::NoCertificate
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

impl AsyncRead for Stream {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => std::pin::Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => std::pin::Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => std::pin::Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => std::pin::Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_shutdown(context),
        }
    }
}
