//! One HTTP/1.1 connection with nothing around it, so that the client costs little.

use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::exit::{Failure, Outcome, While as _};

/// The largest answer taken.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A kept-alive connection, used for one request after the other.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    received: BytesMut,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await.while_doing("connect")?;
        stream
            .set_nodelay(true)
            .while_doing("set up the connection")?;
        Ok(Self {
            stream,
            received: BytesMut::new(),
        })
    }

    /// Sends a request; the body of its answer, which must be a success.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Outcome<Bytes> {
        self.stream
            .write_all(request)
            .await
            .while_doing("send a request")?;
        let (status, length) = self.head().await?;
        while self.received.len() < length {
            self.receive().await?;
        }
        let body = self.received.split_to(length).freeze();
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Err(Failure::failed(format!(
            "the node answered {status}: {body}"
        )))
    }

    /// Status and length of the body, once the whole head is there.
    async fn head(&mut self) -> Outcome<(u16, usize)> {
        loop {
            let end = self
                .received
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.received.split_to(end);
                self.received.advance(4);
                let parsed = parse_head(&String::from_utf8_lossy(&head));
                return parsed.ok_or_else(|| Failure::failed("an answer without status or length"));
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> Outcome {
        let count = self
            .stream
            .read_buf(&mut self.received)
            .await
            .while_doing("read an answer")?;
        if count == 0 || self.received.len() > ANSWER_BYTES_MAX {
            return Err(Failure::failed(
                "the node closed the connection, or answers without end",
            ));
        }
        Ok(())
    }
}

/// A request as bytes.
pub(super) fn request(method: &str, target: &str, content_type: &str, body: &[u8]) -> Bytes {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n\
         content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat().into()
}

fn parse_head(head: &str) -> Option<(u16, usize)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    })?;
    Some((status, length))
}
