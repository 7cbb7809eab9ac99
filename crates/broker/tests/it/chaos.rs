//! Whatever the store does, what is acknowledged is what is read, once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Delivered, Receipt};
use model::{Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TopicName};
use proptest::prelude::*;
use seglog::AppendError;
use wire::BatchBuilder;
use wire::batch::Producer;

use crate::memory::MemoryStore;
use crate::node::{Node, record, texts, time};

const PARTITIONS: u32 = 2;

#[derive(Debug, Clone)]
enum Step {
    /// A record to a partition, without a producer.
    Plain(u32),
    /// An idempotent producer's next batch, or its last one again.
    Idempotent {
        again: bool,
    },
    Hold,
    Release,
    Fail,
    Mend,
    Yield,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..PARTITIONS).prop_map(Step::Plain),
        4 => any::<bool>().prop_map(|again| Step::Idempotent { again }),
        2 => Just(Step::Hold),
        2 => Just(Step::Release),
        1 => Just(Step::Fail),
        2 => Just(Step::Mend),
        4 => Just(Step::Yield),
    ];
    prop::collection::vec(step, 1..60)
}

/// Something that was asked to be written: where it went and what it says, once acknowledged.
type Asked = tokio::task::JoinHandle<Option<(Receipt, String)>>;
type Records = BTreeMap<(PartitionIndex, Offset), String>;

async fn run(steps: Vec<Step>) {
    let store = MemoryStore::new();
    let node = Arc::new(Node::on_memory(&store).await);
    let name = node.topic("t", PARTITIONS).await;
    let grant = node.broker.new_producer().await.unwrap();
    let mut sequence = 0;
    let mut asked = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Plain(partition) => asked.push(plain(&node, &name, partition, number)),
            Step::Idempotent { again } => {
                sequence += i32::from(!again);
                asked.push(idempotent(&node, &name, grant.id, sequence));
            }
            Step::Hold => store.hold(),
            Step::Release => store.release(),
            Step::Fail => store.fail_with(Some(AppendError::Full)),
            Step::Mend => store.fail_with(None),
            Step::Yield => tokio::task::yield_now().await,
        }
    }
    store.fail_with(None);
    store.release();
    let acknowledged = outcomes(asked).await;
    check(&acknowledged, &node.read_all(&name).await);
}

fn plain(node: &Arc<Node>, name: &TopicName, partition: u32, number: usize) -> Asked {
    let (node, name) = (Arc::clone(node), name.clone());
    tokio::spawn(async move {
        let text = format!("plain {number}");
        let receipts = node.say_in(&name, partition, &[&text]).await.ok()?;
        Some((receipts[0], text))
    })
}

fn idempotent(node: &Arc<Node>, name: &TopicName, id: ProducerId, sequence: i32) -> Asked {
    let text = format!("sequence {sequence}");
    let mut builder = BatchBuilder::new(time(1)).producer(Producer {
        id,
        epoch: ProducerEpoch(0),
        base_sequence: Sequence::from_wire(sequence).unwrap(),
    });
    builder.push(&record(&text)).unwrap();
    let batch = builder.build().unwrap();
    let (node, name) = (Arc::clone(node), name.clone());
    tokio::spawn(async move {
        let appended = node.broker.append(&name, PartitionIndex(0), batch).await;
        Some((appended.ok()?, text))
    })
}

async fn outcomes(asked: Vec<Asked>) -> Records {
    let mut acknowledged = Records::new();
    for asked in asked {
        if let Some((receipt, text)) = asked.await.unwrap() {
            let place = (receipt.partition, receipt.offset);
            let before = acknowledged.insert(place, text.clone());
            // Only a retry is given a place that was given before.
            assert!(before.is_none_or(|before| before == text), "{place:?}");
        }
    }
    acknowledged
}

fn check(acknowledged: &Records, read: &[Delivered]) {
    let places = read.iter().map(|found| (found.partition, found.offset));
    let found: Records = places.clone().zip(texts(read)).collect();
    assert_eq!(found, *acknowledged);
    for partition in (0..PARTITIONS).map(PartitionIndex) {
        let offsets = places.clone().filter(|(index, _)| *index == partition);
        let offsets: Vec<u64> = offsets.map(|(_, offset)| offset.get()).collect();
        assert!(
            offsets.iter().copied().eq(0..offsets.len() as u64),
            "{offsets:?}"
        );
    }
    let sequences = found.values().filter(|text| text.starts_with("sequence"));
    let mut sequences: Vec<&String> = sequences.collect();
    let count = sequences.len();
    sequences.sort();
    sequences.dedup();
    assert_eq!(sequences.len(), count, "an idempotent batch is there twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn acknowledged_is_read(steps in steps()) {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
