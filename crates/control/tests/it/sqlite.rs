//! The same on a real disk, in real time.

use std::sync::Arc;
use std::time::Duration;

use control::{Control, SqliteStore, Timings};

use crate::world::{World, topic};

async fn open(world: &mut World, directory: &std::path::Path) -> Control {
    let path = SqliteStore::path_in(directory);
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    world.open_member(1, store).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_from_its_database() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new();
    world.snapshot_after = Some(40);
    world.timings = Timings {
        heartbeat: Duration::from_millis(50),
        election_min: Duration::from_millis(150),
        election_max: Duration::from_millis(300),
        ..Timings::product()
    };
    world
        .nodes
        .insert(1, crate::world::Node::on(Default::default()));
    let first = open(&mut world, directory.path()).await;
    first.found(&world.introduction(1)).await.unwrap();
    for n in 0..100 {
        first.propose(topic(n)).await.unwrap();
    }
    let before = first.status();
    assert!(
        before.snapshot.is_some() && before.failure.is_none(),
        "{before:?}"
    );
    first.close().await;
    drop(first);
    let second = open(&mut world, directory.path()).await;
    second.register(&world.introduction(1)).await.unwrap();
    let view = second.view();
    assert_eq!(view.topics().count(), 100);
    let node = view.nodes().next().unwrap();
    assert_eq!((node.incarnation.0, node.boot), (2, second.boot()));
    second.crash();
    let third = open(&mut world, directory.path()).await;
    third.register(&world.introduction(1)).await.unwrap();
    assert_eq!(third.view().topics().count(), 100);
    third.close().await;
}
