//! Any bytes as a command of the catalog. What is accepted is written back as it was, and can be applied
//! to a small cluster.

#![no_main]

use catalog::{Addresses, Catalog, Command, Registration};
use libfuzzer_sys::fuzz_target;
use model::{BootId, ClusterId, Site, StorageId, Timestamp};

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&[&[1], input].concat());
});

fn check(bytes: &[u8]) {
    let Ok(command) = Command::decode(bytes) else {
        return;
    };
    assert_eq!(command.encode(), bytes);
    let mut catalog = small_cluster();
    let before = catalog.clone();
    match catalog.apply(&command) {
        Ok(_) => assert_eq!(Catalog::decode(&catalog.encode()), Ok(catalog)),
        Err(_) => assert_eq!(catalog, before),
    }
}

fn small_cluster() -> Catalog {
    let mut catalog = Catalog::default();
    let cluster = ClusterId::from_bytes([1; 16]);
    catalog.apply(&Command::Found { cluster }).unwrap();
    for n in 0..3 {
        let registration = Registration {
            id: None,
            site: Site::EVERYWHERE,
            storage: StorageId::from_bytes([n; 16]),
            boot: BootId::from_bytes([n; 16]),
            known_boots: Vec::new(),
            addresses: Addresses::default(),
            rack: None,
            holder_is_alive: false,
            at: Timestamp::default(),
        };
        catalog.apply(&Command::Register(registration)).unwrap();
    }
    catalog
}
