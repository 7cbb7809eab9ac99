//! The same seed gives the same run, message for message.

use std::time::Duration;

use crate::world::{World, topic};

async fn run(seed: u64) -> (u64, u64) {
    let mut world = World::with_seed(seed);
    for id in 1..=3 {
        world.start(id).await.unwrap();
    }
    world.settle(3).await;
    for n in 0..20 {
        let dead = 1 + (n % 3) as u16;
        if n % 5 == 0 {
            world.kill(dead);
        }
        let alive = 1 + ((n + 1) % 3) as u16;
        world.control(alive).propose(topic(n)).await.ok();
        if n % 5 == 0 {
            world.start(dead).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    world.until_equal().await;
    world.heard()
}

/// One run in a runtime of its own, so that nothing is left from the one before.
fn alone(seed: u64) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run(seed))
}

#[test]
fn the_same_seed_gives_the_same_messages() {
    let first = alone(1);
    println!("{first:?}");
    assert!(first.0 > 200, "{first:?}");
    assert_eq!(alone(1), first);
    assert_ne!(alone(2), first);
}
