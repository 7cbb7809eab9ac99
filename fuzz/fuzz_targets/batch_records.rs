//! Any bytes as the records of a valid batch. The first byte is how many it should have.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use model::{Record, Timestamp};
use wire::BatchBuilder;

fuzz_target!(|input: &[u8]| {
    let Some((count, payload)) = input.split_first() else {
        return;
    };
    let mut builder = BatchBuilder::new(Timestamp::default());
    for _ in 0..=*count {
        builder
            .push(&Record::default())
            .expect("an empty record fits");
    }
    let batch = builder.build().expect("there are records");
    let expected = usize::from(*count) + 1;
    let records: Vec<_> = batch.records_in(Bytes::copy_from_slice(payload)).collect();
    let good = records.iter().filter(|record| record.is_ok()).count();
    assert!(good <= expected && records.len() <= expected + 1);
    assert!(good == expected || records.last().is_some_and(Result::is_err));
});
