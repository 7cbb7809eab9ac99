use std::path::Path;

use seglog::{Sealer, StoreError};

use crate::engines::{Engine, key, key_line};
use crate::fixture::{Bench, partition};

pub(super) fn wrong_keys_are_refused_at_open(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let batch = bench.append(partition(0), "x");
    bench.shut();
    let other = Sealer::from_text(&key_line(2).replacen('2', "1", 1)).unwrap();
    let wrong = if engine.sealed {
        vec![
            (None, "--encryption-key-file"),
            (Some(other), "not the one"),
            (Some(key(7)), "key 1"),
        ]
    } else {
        vec![(Some(key(1)), "without the key")]
    };
    for (sealer, says) in wrong {
        match engine.open_with(bench.path(), sealer) {
            Err(StoreError::Key(message)) => assert!(message.contains(says), "{message}"),
            other => panic!("not refused: {other:?}"),
        }
    }
    bench.open();
    assert_eq!(bench.read(partition(0), 0), Ok(vec![batch]));
}

pub(super) fn a_key_is_rotated(engine: Engine) {
    if !engine.sealed {
        return;
    }
    let mut bench = Bench::with_partition(engine);
    let old = bench.append(partition(0), "sealed with key 1");
    bench.shut();
    let rotated = || Sealer::from_text(&[key_line(2), key_line(1)].join("\n")).unwrap();
    let store = engine.open_with(bench.path(), Some(rotated())).unwrap();
    bench.take(store);
    let new = bench.append(partition(0), "sealed with key 2");
    bench.shut();
    assert!(matches!(engine.open(bench.path()), Err(StoreError::Key(_))));
    let store = engine.open_with(bench.path(), Some(rotated())).unwrap();
    bench.take(store);
    assert_eq!(bench.read(partition(0), 0), Ok(vec![old, new]));
}

pub(super) fn only_a_sealed_store_hides_its_records(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    bench.append(partition(0), "attack at dawn");
    bench.reopen();
    bench.append(partition(0), "attack at dusk");
    bench.shut();
    for words in ["attack at dawn", "attack at dusk"] {
        assert_ne!(
            anywhere(bench.path(), words.as_bytes()),
            engine.sealed,
            "{words}"
        );
    }
}

/// Whether any file below the directory holds these bytes.
fn anywhere(directory: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return anywhere(&path, bytes);
        }
        std::fs::read(path)
            .unwrap()
            .windows(bytes.len())
            .any(|window| window == bytes)
    })
}
