//! A stream from which only so much is read until the other side is known.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use model::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Fails a read after [`limits::PEER_HANDSHAKE_BYTES_MAX`], unless the cap was lifted before.
pub(crate) struct Capped<S> {
    stream: S,
    bytes_left: Option<usize>,
}

impl<S> Capped<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            bytes_left: Some(limits::PEER_HANDSHAKE_BYTES_MAX),
        }
    }

    pub(super) const fn lift(&mut self) {
        self.bytes_left = None;
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Capped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(bytes_left) = self.bytes_left else {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        };
        if bytes_left == 0 {
            return Poll::Ready(Err(io::Error::other("too many bytes before the handshake")));
        }
        let wanted = bytes_left.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(wanted));
        std::task::ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        self.bytes_left = Some(bytes_left - read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Capped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn reads_so_much_and_no_more_until_the_cap_is_lifted() {
        let sent = vec![7; limits::PEER_HANDSHAKE_BYTES_MAX + 1];
        let mut capped = Capped::new(sent.as_slice());
        let mut read = Vec::new();
        assert!(capped.read_to_end(&mut read).await.is_err());
        assert_eq!(read.len(), limits::PEER_HANDSHAKE_BYTES_MAX);
        capped.lift();
        assert_eq!(capped.read_to_end(&mut read).await.unwrap(), 1);
    }
}
