use model::Offset;
use seglog::ReadError;
use wire::Batch;

use crate::engines::Engine;
use crate::fixture::{Bench, base_of, blob, next_of, offset, partition};

pub(super) fn a_flipped_bit_is_told_and_never_served(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    bench
        .store()
        .create_partitions(&[partition(1)], crate::fixture::KEEP)
        .unwrap();
    let stored = fill(&bench, 30);
    let other = bench.append(partition(1), "elsewhere");
    bench.shut();
    engine.damage(bench.path(), partition(0), offset(12));
    bench.open();

    let (served, holes) = walk(&bench);
    // At most the rest of a segment is out of reach behind the damage; nothing before it is.
    assert_eq!(holes.len(), 1);
    let (at, resume_at) = holes[0];
    assert_eq!(at, 12);
    assert!(resume_at > at && resume_at <= 30, "{resume_at}");
    for (index, batch) in stored.iter().enumerate() {
        let expected = !(at..resume_at).contains(&(index as u64));
        assert_eq!(served.contains(batch), expected, "batch {index}");
    }
    assert_eq!(bench.bounds(partition(0)), (0, 30));
    assert_eq!(bench.read(partition(1), 0), Ok(vec![other]));

    // It is neither repaired nor cut off: the same answer after a restart, and appends go on.
    let next = bench.append_batch(partition(0), blob(9_000, 99));
    assert_eq!(base_of(&next), 30);
    bench.reopen();
    let (served, again) = walk(&bench);
    assert_eq!(again, holes);
    assert!(served.contains(&next));
}

pub(super) fn damage_at_both_ends_leaves_the_middle(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let stored = fill(&bench, 30);
    bench.shut();
    engine.damage(bench.path(), partition(0), offset(0));
    engine.damage(bench.path(), partition(0), offset(29));
    bench.open();
    let (served, holes) = walk(&bench);
    assert_eq!(holes.first().map(|hole| hole.0), Some(0));
    assert_eq!(holes.last(), Some(&(29, 30)));
    assert!(!served.is_empty());
    for batch in &served {
        assert_eq!(batch, &stored[usize::try_from(base_of(batch)).unwrap()]);
    }
    let Err(ReadError::Damaged { .. }) = bench.read(partition(0), 0) else {
        panic!("the damaged batch was served")
    };
}

fn fill(bench: &Bench, count: usize) -> Vec<Batch> {
    (0..count)
        .map(|seed| bench.append_batch(partition(0), blob(9_000, seed)))
        .collect()
}

/// Reads on behind every damage; gives what was served, and the holes.
fn walk(bench: &Bench) -> (Vec<Batch>, Vec<(u64, u64)>) {
    let (mut served, mut holes) = (Vec::new(), Vec::new());
    let end = bench.store().bounds(partition(0)).unwrap().end;
    let mut next = Offset::ZERO;
    while next < end {
        match bench.store().read(partition(0), next, 50_000) {
            Ok(batches) => {
                next = batches.last().map(next_of).expect("nothing before the end");
                served.extend(batches);
            }
            Err(ReadError::Damaged { at, resume_at }) => {
                assert!(at >= next && resume_at > at, "{next}: {at}..{resume_at}");
                holes.push((at.get(), resume_at.get()));
                next = resume_at;
            }
            Err(other) => panic!("{other}"),
        }
    }
    (served, holes)
}
