use std::collections::BTreeMap;

use model::{LeaderEpoch, Record};
use proptest::prelude::*;
use wire::{Batch, BatchBuilder};

use super::*;

fn producer(id: u64, epoch: u16, base: i32) -> Producer {
    Producer {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence::from_wire(base).unwrap(),
    }
}

fn batch(producer: Producer, count: u32, base: u64) -> Batch {
    let mut builder = BatchBuilder::new(Timestamp::default()).producer(producer);
    for _ in 0..count {
        builder.push(&Record::default()).unwrap();
    }
    let batch = builder.build().unwrap();
    batch.placed_at(Offset::new(base).unwrap(), LeaderEpoch(0))
}

/// A log of one partition: what was appended, in order, and how much of it is durable.
#[derive(Default)]
struct Log {
    table: ProducerTable,
    next: u64,
    durable: u64,
}

impl Log {
    fn offer(&mut self, id: u64, epoch: u16, base: i32, count: u32) -> Verdict {
        let producer = producer(id, epoch, base);
        let verdict = self.table.check(producer, count);
        if verdict == Verdict::Append {
            let header = batch(producer, count, self.next).header();
            self.table
                .record(&header, Offset::new(self.durable).unwrap());
            self.next += u64::from(count);
        }
        verdict
    }

    fn sync(&mut self) {
        self.durable = self.next;
    }

    fn lose(&mut self) {
        self.next = self.durable;
        self.table.roll_back(Offset::new(self.durable).unwrap());
    }
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Append => "append".to_owned(),
        Verdict::Duplicate(original) => format!("duplicate of {}", original.base_offset),
        Verdict::Fenced => "fenced".to_owned(),
        Verdict::OutOfOrder { expected, given } => {
            format!("{} is not {}", given.to_wire(), expected.to_wire())
        }
    }
}

/// Rows of (epoch, base sequence, records, verdict) of one producer.
#[test]
fn what_becomes_of_a_batch() {
    let mut log = Log::default();
    let rows: &[(u16, i32, u32, &str)] = &[
        // An unknown producer begins where it likes.
        (3, 7, 2, "append"),
        (3, 9, 1, "append"),
        (3, 7, 2, "duplicate of 0"),
        (3, 7, 3, "7 is not 10"),
        (3, 11, 1, "11 is not 10"),
        (2, 10, 1, "fenced"),
        (4, 5, 1, "5 is not 0"),
        (4, 0, 1, "append"),
        (3, 10, 1, "fenced"),
        (4, 0, 1, "duplicate of 3"),
        (4, 1, 1, "append"),
        (4, 2, 1, "append"),
        (4, 3, 1, "append"),
        (4, 4, 1, "append"),
        (4, 5, 1, "append"),
        (4, 6, 1, "append"),
        // Further back than is remembered.
        (4, 0, 1, "0 is not 7"),
        (4, 1, 1, "duplicate of 4"),
    ];
    for (number, (epoch, base, count, expected)) in rows.iter().enumerate() {
        assert_eq!(
            word(log.offer(1, *epoch, *base, *count)),
            *expected,
            "row {number}"
        );
        log.sync();
    }
}

#[test]
fn sequences_wrap() {
    let mut log = Log::default();
    assert_eq!(log.offer(1, 0, i32::MAX - 1, 3), Verdict::Append);
    assert_eq!(word(log.offer(1, 0, 2, 1)), "2 is not 1");
    assert_eq!(log.offer(1, 0, 1, 1), Verdict::Append);
}

#[test]
fn what_is_lost_may_come_again_and_what_is_durable_stays_known() {
    let mut log = Log::default();
    assert_eq!(log.offer(1, 0, 0, 1), Verdict::Append);
    log.sync();
    for base in 1..20 {
        assert_eq!(log.offer(1, 0, base, 1), Verdict::Append);
    }
    log.lose();
    assert_eq!(word(log.offer(1, 0, 0, 1)), "duplicate of 0");
    assert_eq!(word(log.offer(1, 0, 2, 1)), "2 is not 1");
    assert_eq!(log.offer(1, 0, 1, 1), Verdict::Append);
}

#[test]
fn the_longest_silent_is_forgotten_first() {
    let mut log = Log::default();
    for id in 0..PRODUCERS_PER_PARTITION_MAX as u64 {
        assert_eq!(log.offer(id, 0, 0, 1), Verdict::Append);
    }
    assert_eq!(log.offer(0, 0, 1, 1), Verdict::Append);
    assert_eq!(log.offer(u64::MAX >> 1, 0, 0, 1), Verdict::Append);
    log.sync();
    assert_eq!(log.table.len(), PRODUCERS_PER_PARTITION_MAX);
    assert_eq!(word(log.offer(0, 0, 0, 1)), "duplicate of 0");
    assert_eq!(log.offer(1, 0, 77, 1), Verdict::Append, "1 was forgotten");
}

#[test]
fn nothing_but_a_snapshot_decodes() {
    let mut log = Log::default();
    log.offer(1, 2, 3, 4);
    log.sync();
    let whole = log.table.encode(Offset::new(log.durable).unwrap());
    assert_eq!(ProducerTable::decode(&whole), Some(log.table));
    for end in 2..whole.len() {
        assert_eq!(ProducerTable::decode(&whole[..end]), None, "cut at {end}");
    }
    let twice = [&whole[..], &whole[1..]].concat();
    assert_eq!(
        ProducerTable::decode(&twice),
        None,
        "the same producer twice"
    );
    assert_eq!(ProducerTable::decode(&[2]), None, "another version");
    assert_eq!(ProducerTable::decode(&[]), None);
}

#[derive(Debug, Clone)]
enum Step {
    /// A producer sends its next batch, or one of its last few again.
    Send {
        id: u64,
        back: usize,
        count: u32,
    },
    Sync,
    Lose,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let send = (0..3_u64, 0..4_usize, 1..4_u32).prop_map(|(id, back, count)| Step::Send {
        id,
        back,
        count,
    });
    let step = prop_oneof![8 => send, 3 => Just(Step::Sync), 1 => Just(Step::Lose), 1 => Just(Step::Restart)];
    prop::collection::vec(step, 0..80)
}

/// What a well-behaved client knows: the batches it sent, in order, with the sequence of each.
#[derive(Default)]
struct Client {
    sent: Vec<(i32, u32)>,
    /// How many of them were acknowledged, by offset.
    acknowledged: Vec<u64>,
}

proptest! {
    /// Clients that retry what was not acknowledged, and sometimes what was, have each batch in the
    /// log exactly once and in order, whatever is lost in between and however often the table is
    /// rebuilt from a snapshot.
    #[test]
    fn each_batch_once(steps in steps()) {
        let mut log = Log::default();
        let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
        // Offsets given to batches that are not yet durable: (client, index, offset).
        let mut open: Vec<(u64, usize, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Send { id, back, count } => {
                    let client = clients.entry(id).or_default();
                    let in_flight = open.iter().filter(|(of, ..)| *of == id).count();
                    let known = client.acknowledged.len();
                    if back == 0 || known < back {
                        let index = known + in_flight;
                        let base = client.sent.get(index).map_or_else(
                            || client.sent.last().map_or(0, |(base, n)| base + *n as i32),
                            |(base, _)| *base,
                        );
                        client.sent.truncate(index);
                        client.sent.push((base, count));
                        let offset = log.next;
                        prop_assert_eq!(log.offer(id, 0, base, count), Verdict::Append);
                        open.push((id, index, offset));
                    } else {
                        let index = known - back;
                        let (base, count) = client.sent[index];
                        let original = client.acknowledged[index];
                        match log.offer(id, 0, base, count) {
                            Verdict::Duplicate(found) => {
                                prop_assert_eq!(found.base_offset.get(), original);
                            }
                            // Pushed out by batches on their way: never appended again.
                            Verdict::OutOfOrder { .. } => prop_assert!(in_flight > 0),
                            other => prop_assert!(false, "{:?}", other),
                        }
                    }
                }
                Step::Sync => {
                    log.sync();
                    for (id, index, offset) in open.drain(..) {
                        let client = clients.get_mut(&id).unwrap();
                        prop_assert_eq!(client.acknowledged.len(), index);
                        client.acknowledged.push(offset);
                    }
                }
                Step::Lose | Step::Restart => {
                    log.lose();
                    open.clear();
                    if matches!(step, Step::Restart) {
                        let durable = Offset::new(log.durable).unwrap();
                        let saved = log.table.encode(durable);
                        log.table = ProducerTable::decode(&saved).unwrap();
                    }
                }
            }
        }
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(table) = ProducerTable::decode(&bytes) {
            let again = ProducerTable::decode(&table.encode(Offset::MAX));
            prop_assert_eq!(again.map(|t| t.len()), Some(table.len()));
        }
    }
}
