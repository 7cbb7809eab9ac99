//! How a node ends.

use std::time::Duration;

use crate::world::{World, topic};

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_does_not_keep_a_node_from_ending() {
    let mut world = World::of(1).await;
    world.control(1).propose(topic(1)).await.unwrap();
    world.nodes[&1]
        .disk
        .set_sync_time(Duration::from_secs(3600));
    let control = world.control(1).clone();
    let hanging = tokio::spawn(async move { control.propose(topic(2)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begin = tokio::time::Instant::now();
    world.control(1).close().await;
    let took = begin.elapsed();
    assert!(took <= Duration::from_secs(6), "{took:?}");
    let outcome = hanging.await.unwrap();
    assert!(outcome.is_err(), "{outcome:?}");
    // What was acknowledged is there.
    world.nodes[&1].disk.set_sync_time(Duration::ZERO);
    world.kill(1);
    world.start(1).await.unwrap();
    let view = world.control(1).view();
    assert!(view.topics().any(|topic| topic.name.as_str() == "t1"));
}
