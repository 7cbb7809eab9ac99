//! Any bytes as a whole catalog. What is accepted is written back as it was, and works: topics can be made
//! in it and nodes removed.

#![no_main]

use catalog::{Catalog, Command, TopicSettings};
use libfuzzer_sys::fuzz_target;
use model::{Mode, Timestamp, TopicId};

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&[&[1], input].concat());
});

fn check(bytes: &[u8]) {
    let Ok(mut catalog) = Catalog::decode(bytes) else {
        return;
    };
    assert_eq!(catalog.encode(), bytes);
    let first = catalog.nodes().next().map(|node| Command::RemoveNode {
        id: node.id,
        lose_partitions: true,
    });
    for command in [create(), first].into_iter().flatten() {
        let _ = catalog.apply(&command);
        assert_eq!(Catalog::decode(&catalog.encode()).as_ref(), Ok(&catalog));
    }
}

fn create() -> Option<Command> {
    Some(Command::CreateTopic {
        id: TopicId::from_bytes([7; 16]),
        name: "fuzzed".parse().ok()?,
        partitions: 5,
        replication_factor: 1,
        mode: Mode::Leader,
        settings: TopicSettings::default(),
        created: Timestamp::default(),
        home: None,
    })
}
