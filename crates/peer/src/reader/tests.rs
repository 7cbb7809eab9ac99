use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::poll_immediate;
use futures_util::{FutureExt, StreamExt};
use model::limits;
use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, ReadBuf};

use super::*;

/// Gives its bytes in pieces of these lengths, again and again.
struct Pieces {
    bytes: Bytes,
    lengths: Vec<usize>,
    given: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.lengths[self.given % self.lengths.len()];
        self.given += 1;
        let length = length.min(self.bytes.len()).min(to.remaining());
        to.put_slice(&self.bytes.split_to(length));
        Poll::Ready(Ok(()))
    }
}

/// All frames in these bytes, and why there are no more.
fn read_all(bytes: &[u8], lengths: &[usize]) -> (Vec<Frame>, String) {
    let pieces = Pieces {
        bytes: Bytes::copy_from_slice(bytes),
        lengths: lengths.to_vec(),
        given: 0,
    };
    let read = async {
        let mut stream = pin!(frames(pieces, None, Activity::new()));
        let mut read = Vec::new();
        loop {
            match stream.next().await {
                Some(Ok(received)) => read.push(received.frame),
                Some(Err(error)) => break (read, error.to_string()),
                None => panic!("an error is last"),
            }
        }
    };
    read.now_or_never().unwrap()
}

fn request(call: u64, body: usize) -> Frame {
    Frame::Request {
        call,
        service: 4,
        body: Bytes::from(vec![call as u8; body]),
    }
}

fn encoded(frames: &[Frame]) -> Vec<u8> {
    let parts = frames.iter().map(|frame| frame.clone().into_parts());
    parts
        .flat_map(|(header, body)| [header.to_vec(), body.to_vec()].concat())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn frames_come_out_whole_however_they_were_cut(
        bodies in prop::collection::vec(prop_oneof![0..100_usize, 4000..4200_usize, 60_000..140_000_usize], 1..6),
        lengths in prop::collection::vec(1..70_000_usize, 1..5),
    ) {
        let sent: Vec<Frame> = (1..).zip(&bodies).map(|(call, body)| request(call, *body)).collect();
        let (read, end) = read_all(&encoded(&sent), &lengths);
        prop_assert_eq!(read, sent);
        prop_assert_eq!(end, ReadError::Ended.to_string());
    }

    /// A changed bit spoils no frame before it, and what comes of the rest does not depend on how it was cut.
    #[test]
    fn changed_bits_are_read_alike_however_they_were_cut(
        bodies in prop::collection::vec(0..60_usize, 1..6),
        place: prop::sample::Index,
        bit in 0..8_u8,
        lengths in prop::collection::vec(1..40_usize, 1..5),
    ) {
        let sent: Vec<Frame> = (1..).zip(&bodies).map(|(call, body)| request(call, *body)).collect();
        let mut bytes = encoded(&sent);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let (whole, end) = read_all(&bytes, &[usize::MAX]);
        prop_assert_eq!(read_all(&bytes, &lengths), (whole.clone(), end));
        let mut before = 0;
        for (read, sent) in whole.iter().zip(&sent) {
            before += sent.wire_bytes();
            if before <= place {
                prop_assert_eq!(read, sent);
            }
        }
    }

    #[test]
    fn anything_may_arrive(bytes in prop::collection::vec(any::<u8>(), 0..200), lengths in prop::collection::vec(1..40_usize, 1..5)) {
        let (whole, end) = read_all(&bytes, &[usize::MAX]);
        prop_assert_eq!(read_all(&bytes, &lengths), (whole, end));
    }
}

/// The header of the longest frame, and so much of its body.
async fn longest_with(sent: usize) -> usize {
    let (mut far, near) = tokio::io::duplex(8 << 20);
    let mut header = u32::try_from(limits::PEER_FRAME_BYTES_MAX - 4)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    header.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 2, 0]);
    far.write_all(&header).await.unwrap();
    far.write_all(&vec![0; sent]).await.unwrap();
    let mut reader = FrameReader {
        io: near,
        buffer: BytesMut::new(),
        intake: None,
        activity: Activity::new(),
    };
    let reading = poll_immediate(pin!(reader.next())).await;
    assert!(reading.is_none(), "the rest is awaited");
    assert_eq!(reader.buffer.len(), header.len() + sent);
    reader.buffer.capacity()
}

#[tokio::test]
async fn a_length_alone_takes_little_memory() {
    for sent in [0, 1, 100_000, 1 << 20, 5 << 20] {
        let taken = longest_with(sent).await;
        let allowed = (4 * sent).max(2 * BELIEVED_BYTES);
        assert!(taken <= allowed, "{taken} bytes for {sent}");
    }
}

/// A connection as its answering side sees it: where its bytes go in, what it may take, and its line.
fn connection(shared: &Arc<Semaphore>) -> (tokio::io::DuplexStream, Intake, Outbox) {
    let (outbox, _) = Outbox::new();
    let intake = Intake {
        own: Arc::new(Semaphore::new(1 << 20)),
        shared: Arc::clone(shared),
        outbox: outbox.clone(),
        frame_bytes_max: 1 << 20,
    };
    let (far, near) = tokio::io::duplex(4 << 20);
    drop(near);
    (far, intake, outbox)
}

#[tokio::test]
async fn who_waits_for_itself_takes_nothing_from_others() {
    let shared = Arc::new(Semaphore::new(2 << 20));
    let (_, intake, _outbox) = connection(&shared);
    let (mut far, near) = tokio::io::duplex(4 << 20);
    let sent = [request(1, 700_000), request(2, 700_000), request(3, 100)];
    far.write_all(&encoded(&sent)).await.unwrap();
    let mut frames = pin!(frames(near, Some(intake), Activity::new()));
    let first = frames.next().await.unwrap().unwrap();
    assert!(
        poll_immediate(frames.next()).await.is_none(),
        "its own is used up"
    );
    assert_eq!(shared.available_permits(), (2 << 20) - 700_014);
    drop(first);
    let second = frames.next().await.unwrap().unwrap();
    assert!(second.held.is_some());
    let third = frames.next().await.unwrap().unwrap();
    assert!(third.held.is_none(), "small ones are not counted");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_while_too_much_stands_in_line_and_nothing_is_held_for_it() {
    let shared = Arc::new(Semaphore::new(1 << 20));
    let activity = Activity::new();
    let (outbox, lines) = Outbox::new();
    let intake = Intake {
        outbox: outbox.clone(),
        ..connection(&shared).1
    };
    let (mut far, near) = tokio::io::duplex(4 << 20);
    far.write_all(&encoded(&[request(1, 500_000)]))
        .await
        .unwrap();
    outbox.push(Frame::Answer {
        call: 9,
        body: vec![0; limits::PEER_ANSWER_BYTES_QUEUED_MAX].into(),
    });
    let mut frames = pin!(frames(near, Some(intake), Arc::clone(&activity)));
    assert!(poll_immediate(frames.next()).await.is_none());
    assert_eq!(shared.available_permits(), 1 << 20, "others may go on");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        activity.silence(),
        Duration::ZERO,
        "it is not the other side that is silent"
    );
    // The line is written away.
    let _writer = lines.spawn(tokio::io::sink(), activity, Duration::from_secs(1));
    let received = frames.next().await.unwrap().unwrap();
    assert_eq!(received.frame, request(1, 500_000));
}

#[tokio::test]
async fn a_guest_sends_short_frames_only() {
    let shared = Arc::new(Semaphore::new(2 << 20));
    let (_, intake, _outbox) = connection(&shared);
    let (mut far, near) = tokio::io::duplex(4 << 20);
    far.write_all(&encoded(&[
        request(1, (1 << 20) - 14),
        request(2, (1 << 20) - 13),
    ]))
    .await
    .unwrap();
    let mut frames = pin!(frames(near, Some(intake), Activity::new()));
    drop(frames.next().await.unwrap().unwrap());
    let error = frames.next().await.unwrap().unwrap_err();
    assert!(
        matches!(error, ReadError::Frame(FrameError::Length(_))),
        "{error}"
    );
}
