use std::pin::pin;

use futures_util::future::poll_immediate;
use tokio::io::AsyncReadExt;

use super::*;

const MIB: usize = 1 << 20;

fn answer(bytes: usize) -> Frame {
    Frame::Answer {
        call: 1,
        body: Bytes::from(vec![0; bytes]),
    }
}

#[test]
fn whoever_does_not_read_is_kept_so_much_for_and_no_more() {
    let (outbox, lines) = Outbox::new();
    let mut taken = 0;
    while outbox.offer(answer(10 * MIB)) {
        taken += 1;
    }
    assert_eq!(taken, 13, "until more than 128 MiB stand in line");
    assert!(outbox.is_congested());
    assert!(
        outbox.offer(answer(SMALL_BYTES_MAX - 100)),
        "a small one always"
    );
    drop(lines);
}

#[test]
fn a_frame_counts_for_what_it_takes_in_memory() {
    let (outbox, _lines) = Outbox::new();
    let mut count = 0;
    while !outbox.is_congested() {
        outbox.push(answer(0));
        count += 1;
    }
    assert!(count * size_of::<Item>() <= limits::PEER_ANSWER_BYTES_QUEUED_MAX);
}

/// Bytes that tell when they are let go.
struct Owned {
    bytes: Vec<u8>,
    _token: Arc<()>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test]
async fn an_answer_is_let_go_when_it_is_written_or_cannot_be() {
    for is_read in [true, false] {
        let (outbox, lines) = Outbox::new();
        let token = Arc::new(());
        for bytes in [10, MIB, 3 * MIB] {
            let body = Bytes::from_owner(Owned {
                bytes: vec![0; bytes],
                _token: Arc::clone(&token),
            });
            assert!(outbox.offer(Frame::Answer { call: 1, body }));
        }
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let mut writer = lines.spawn(near, Activity::new(), Duration::from_secs(10));
        assert!(poll_immediate(pin!(writer.ended())).await.is_none());
        if is_read {
            let mut bytes = vec![0; 4 * MIB + 10 + 3 * 14];
            far.read_exact(&mut bytes).await.unwrap();
            drop(outbox);
            assert_eq!(writer.ended().await, "closed");
        } else {
            drop(writer);
        }
        timeout(Duration::from_secs(10), async {
            while Arc::strong_count(&token) > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}
