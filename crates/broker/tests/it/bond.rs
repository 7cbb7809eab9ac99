//! `hark.db` is the newest one of this node, or the node does not start: what it does not hold is made
//! anew, and empty.

use std::path::{Path, PathBuf};

use broker::{OpenError, bind};
use catalog::{Addresses, Claim, Command, Registration};
use model::{BootId, Incarnation, NodeId, PartitionIndex, Site, StorageId, Timestamp};
use tempfile::TempDir;

use crate::cluster::Hub;
use crate::memory::MemoryStore;
use crate::node::{Engine, open_store, options, texts};
use crate::reconcile::{new_topic, read_all, say};

fn boot(n: u8) -> BootId {
    BootId::from_bytes([n; 16])
}

/// What the directory 1 says of itself at the start `n`.
fn claim(n: u8, known: &[u8], incarnation: u64) -> Claim {
    Claim {
        cluster: None,
        id: Some(NodeId(0)),
        storage: StorageId::from_bytes([1; 16]),
        boot: boot(n),
        known_boots: known.iter().copied().map(boot).collect(),
        incarnation: Incarnation(incarnation),
    }
}

fn registration(claim: &Claim) -> Command {
    Command::Register(Registration {
        id: claim.id,
        site: Site::EVERYWHERE,
        storage: claim.storage,
        boot: claim.boot,
        known_boots: claim.known_boots.clone(),
        addresses: Addresses::default(),
        rack: None,
        holder_is_alive: false,
        at: Timestamp::default(),
    })
}

fn refused(dir: &TempDir, claim: &Claim) -> String {
    match bind(dir.path(), claim) {
        Err(OpenError::Foreign(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn database(dir: &TempDir) -> PathBuf {
    dir.path().join("hark.db")
}

/// Without `-wal` and `-shm`: what is copied was closed.
fn put(from: &Path, to: &Path) {
    for suffix in ["-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{suffix}", to.display())));
    }
    std::fs::copy(from, to).unwrap();
}

/// Runs a node for one start, in which it makes a topic and publishes to it.
async fn run(hub: &std::sync::Arc<Hub>, dir: &TempDir, claim: &Claim, topic: &str) {
    bind(dir.path(), claim).unwrap();
    hub.agree(&registration(claim)).unwrap();
    let store = open_store(Engine::Log, dir);
    let opened = hub.open_bound(NodeId(0), dir, store, options());
    let broker = opened.await.unwrap();
    broker.create_topic(new_topic(topic, 1)).await.unwrap();
    say(&broker, topic, PartitionIndex(0), topic).await.unwrap();
    broker.close().await;
    hub.forget(NodeId(0));
}

#[tokio::test]
async fn a_lost_or_older_hark_db_stops_the_start() {
    let (hub, dir) = (Hub::new(1), tempfile::tempdir().unwrap());
    let aside = tempfile::tempdir().unwrap();
    let [backup, newest] = ["backup", "newest"].map(|name| aside.path().join(name));
    run(&hub, &dir, &claim(1, &[], 0), "first").await;
    std::fs::copy(database(&dir), &backup).unwrap();
    run(&hub, &dir, &claim(2, &[1], 1), "second").await;
    std::fs::copy(database(&dir), &newest).unwrap();

    let next = claim(3, &[2], 2);
    put(&backup, &database(&dir));
    let why = refused(&dir, &next);
    assert!(why.contains("hark.db is older"), "{why}");
    assert!(why.contains("hark node replace"), "{why}");
    std::fs::remove_file(database(&dir)).unwrap();
    for _ in 0..2 {
        let why = refused(&dir, &next);
        assert!(why.contains("hark.db is missing"), "{why}");
        assert!(why.contains("hark node replace"), "{why}");
    }
    put(&newest, &database(&dir));
    run(&hub, &dir, &next, "third").await;

    let last = claim(4, &[3], 3);
    bind(dir.path(), &last).unwrap();
    hub.agree(&registration(&last)).unwrap();
    let store = open_store(Engine::Log, &dir);
    let opened = hub.open_bound(NodeId(0), &dir, store, options());
    let broker = opened.await.unwrap();
    for topic in ["first", "second", "third"] {
        assert_eq!(texts(&read_all(&broker, topic).await), [topic]);
    }
    broker.close().await;
}

/// Wherever a start breaks off, the next one goes on.
#[tokio::test]
async fn starts_that_break_off_do_no_harm() {
    let (hub, dir) = (Hub::new(1), tempfile::tempdir().unwrap());
    // Before and after `hark.db` was made, and before the registration was heard of.
    bind(dir.path(), &claim(2, &[1], 0)).unwrap();
    hub.agree(&registration(&claim(2, &[1], 0))).unwrap();
    run(&hub, &dir, &claim(3, &[1, 2], 0), "t").await;
    // Start 4 was written down and no more; start 5 came as far as `hark.db`.
    bind(dir.path(), &claim(5, &[3, 4], 3)).unwrap();
    run(&hub, &dir, &claim(6, &[3, 4, 5], 3), "u").await;
}

#[tokio::test]
async fn the_hark_db_of_another_directory_is_refused() {
    let (hub, dir) = (Hub::new(1), tempfile::tempdir().unwrap());
    run(&hub, &dir, &claim(1, &[], 0), "t").await;
    for incarnation in [0, 1] {
        let other = Claim {
            storage: StorageId::from_bytes([2; 16]),
            ..claim(2, &[1], incarnation)
        };
        let why = refused(&dir, &other);
        assert!(why.contains("belongs to another data directory"), "{why}");
    }
    bind(dir.path(), &claim(2, &[1], 1)).unwrap();
}

/// One of a node that belonged to no cluster, from a backup, is not that of the member it has become.
#[tokio::test]
async fn a_hark_db_from_before_the_cluster_is_refused_once_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    bind(dir.path(), &claim(1, &[], 0)).unwrap();
    let raw = rusqlite::Connection::open(database(&dir)).unwrap();
    raw.execute("UPDATE node SET boot = NULL", []).unwrap();
    drop(raw);
    let why = refused(&dir, &claim(2, &[1], 1));
    assert!(why.contains("hark.db is older"), "{why}");
    bind(dir.path(), &claim(2, &[1], 0)).unwrap();
}

#[tokio::test]
async fn nothing_is_served_before_the_start_is_registered() {
    let (hub, dir) = (Hub::new(1), tempfile::tempdir().unwrap());
    run(&hub, &dir, &claim(1, &[], 0), "t").await;
    bind(dir.path(), &claim(2, &[1], 1)).unwrap();
    let opened = hub.open_bound(NodeId(0), &dir, MemoryStore::new(), options());
    let Err(OpenError::Foreign(why)) = opened.await else {
        panic!("it was opened");
    };
    assert!(why.contains("registered"), "{why}");
}
