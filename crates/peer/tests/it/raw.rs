//! The bytes of a connection by hand, to send what no node would.

use std::time::Duration;

use catalog::Claim;
use peer::protocol::{
    FRAME_HEADER_BYTES, Frame, FrameHeader, Hello, MESSAGE_HEADER_BYTES, Message, VERSION,
    body_bytes,
};
use peer::{Lane, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::node::PATIENCE;

pub(crate) fn hello(claim: Claim) -> Hello {
    Hello {
        newest: VERSION,
        oldest: VERSION,
        lane: Lane::Data,
        has_key: false,
        nonce: [9; 32],
        claim,
    }
}

/// Plain, without a cluster key, with the handshake behind it.
pub(crate) async fn connect(address: &str, claim: Claim) -> TcpStream {
    connect_with(address, hello(claim)).await
}

/// The same, with these words.
pub(crate) async fn connect_with(address: &str, hello: Hello) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    write(&mut stream, &Message::Hello(hello).encode()).await;
    assert!(matches!(read_message(&mut stream).await, Message::Hello(_)));
    assert_eq!(read_message(&mut stream).await, Message::Proof(None));
    write(&mut stream, &Message::Proof(None).encode()).await;
    let welcome = Message::Welcome { version: VERSION };
    assert_eq!(read_message(&mut stream).await, welcome);
    stream
}

/// Where somebody can be dialled who does what the test says.
pub(crate) async fn listen() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::anybody(listener.local_addr().unwrap().to_string());
    (listener, target)
}

/// The other side of [`connect`].
pub(crate) async fn accept(stream: &mut TcpStream, claim: Claim) {
    assert!(matches!(read_message(stream).await, Message::Hello(_)));
    write(stream, &Message::Hello(hello(claim)).encode()).await;
    write(stream, &Message::Proof(None).encode()).await;
    assert_eq!(read_message(stream).await, Message::Proof(None));
    write(stream, &Message::Welcome { version: VERSION }.encode()).await;
}

pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
}

pub(crate) async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), frame: Frame) {
    let (header, body) = frame.into_parts();
    write(stream, &[&header, body.as_ref()].concat()).await;
}

pub(crate) async fn read_message(stream: &mut TcpStream) -> Message {
    let mut header = [0; MESSAGE_HEADER_BYTES];
    within(stream.read_exact(&mut header)).await.unwrap();
    let mut body = vec![0; body_bytes(&header).unwrap()];
    within(stream.read_exact(&mut body)).await.unwrap();
    Message::decode(&header, &body).unwrap()
}

pub(crate) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Frame {
    let mut header = [0; FRAME_HEADER_BYTES];
    within(stream.read_exact(&mut header)).await.unwrap();
    let header = FrameHeader::decode(&header).unwrap().unwrap();
    let mut body = vec![0; header.body_bytes];
    within(stream.read_exact(&mut body)).await.unwrap();
    Frame::from_parts(header, body.into()).unwrap()
}

/// Waits until the other side closes; what it has sent before.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is a close too.
    let _reset = within(stream.read_to_end(&mut rest)).await;
    rest
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("no answer in time")
}

/// Sleeps, where a test is about a pause and not about luck.
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
