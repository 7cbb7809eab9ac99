//! Records that once were there: deleted, damaged, or never to be decoded.

use broker::{Gap, GapReason, Poll, Start};
use model::{PartitionId, PartitionIndex};
use wire::{Batch, BatchBuilder, Compression};

use super::strings;
use crate::memory::MemoryStore;
use crate::node::{Engine, Node, after, at, offset, on_both, poll, record, texts, time};

on_both!(deleted_records_are_told_once);

async fn deleted_records_are_told_once(engine: Engine) {
    let node = Node::new(engine).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a", "b", "c"]).await;
    let first = node
        .broker
        .poll(Poll {
            max_records: 1,
            ..poll(&name, Start::Earliest)
        })
        .await;
    let first = first.unwrap();
    node.say(&name, &["d"]).await;
    let index = PartitionIndex(0);
    let now = node
        .broker
        .delete_records(&name, index, offset(2))
        .await
        .unwrap();
    assert_eq!(
        (now.held.unwrap().start, now.held.unwrap().end),
        (offset(2), offset(4))
    );

    let second = node.poll(&name, after(&first)).await.unwrap();
    let gap = Gap {
        partition: index,
        from: offset(1),
        to: offset(2),
        reason: GapReason::Deleted,
    };
    assert_eq!(second.gaps, [gap]);
    assert_eq!(texts(&second.records), ["c", "d"]);
    node.say(&name, &["e"]).await;
    let third = node.poll(&name, after(&second)).await.unwrap();
    assert_eq!(
        (third.gaps.len(), texts(&third.records)),
        (0, vec!["e".to_owned()])
    );

    let earliest = node.peek(&name, Start::Earliest).await.unwrap();
    assert_eq!((earliest.gaps.len(), earliest.records.len()), (0, 3));
    let below = node
        .peek(&name, Start::Offset(offset(1)))
        .await
        .unwrap_err();
    assert_eq!(below.code(), "offset_out_of_range");
    let past = node
        .broker
        .delete_records(&name, index, offset(6))
        .await
        .unwrap_err();
    assert_eq!(past.code(), "offset_out_of_range");

    // Everything deleted: the gap alone ends a wait.
    node.broker
        .delete_records(&name, index, offset(5))
        .await
        .unwrap();
    let all = node.poll(&name, after(&second)).await.unwrap();
    assert_eq!((all.records.len(), all.gaps.len()), (0, 1));
    assert_eq!(at(&all.cursor, 0), Some(5));
}

#[tokio::test]
async fn damaged_records_are_told_once_and_passed_over() {
    let store = MemoryStore::new();
    let node = Node::on_memory(&store).await;
    let name = node.topic("t", 1).await;
    for texts in [["a", "b"], ["c", "d"], ["e", "f"]] {
        node.say(&name, &texts).await;
    }
    let index = PartitionIndex(0);
    let topic = node.broker.topic(&name).unwrap().id;
    store.damage(PartitionId { topic, index }, 2);
    let gap = Gap {
        partition: index,
        from: offset(2),
        to: offset(4),
        reason: GapReason::Damaged,
    };
    let polled = node.poll(&name, Start::Earliest).await.unwrap();
    assert_eq!(
        (texts(&polled.records), polled.gaps.clone()),
        (strings(&["a", "b", "e", "f"]), vec![gap])
    );
    let inside = node.poll(&name, Start::Offset(offset(3))).await.unwrap();
    assert_eq!(
        inside.gaps,
        [Gap {
            from: offset(3),
            ..gap
        }]
    );
    assert_eq!(texts(&inside.records), ["e", "f"]);
}

/// A publisher's rubbish must not stop every reader of the partition for ever.
#[tokio::test]
async fn records_that_cannot_be_decoded_are_passed_over() {
    let node = Node::new(Engine::Log).await;
    let name = node.topic("t", 1).await;
    node.say(&name, &["a"]).await;
    let index = PartitionIndex(0);
    node.broker.append(&name, index, rubbish()).await.unwrap();
    assert_eq!(
        node.broker.last(&name).await.unwrap_err().code(),
        "undecodable"
    );
    node.say(&name, &["b"]).await;
    let polled = node.poll(&name, Start::Earliest).await.unwrap();
    assert_eq!(texts(&polled.records), ["a", "b"]);
    let gap = Gap {
        partition: index,
        from: offset(1),
        to: offset(3),
        reason: GapReason::Damaged,
    };
    assert_eq!(polled.gaps, [gap]);
}

/// A batch of two records whose payload is no zstd at all.
fn rubbish() -> Batch {
    let mut builder = BatchBuilder::new(time(1));
    let long = "z".repeat(100);
    for text in [&long, &long] {
        builder.push(&record(text)).unwrap();
    }
    builder
        .build_with(Compression::Zstd, |_| b"rubbish".to_vec())
        .unwrap()
}
