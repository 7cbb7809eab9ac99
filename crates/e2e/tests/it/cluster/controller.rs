//! One controller at a time, by preference the highest id: what happens when it dies, when it is
//! held, and when it is back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::{Cluster, View};

use super::{DEADLINE, has_topic, make_topic};
use crate::until;

/// A new controller is to be there after 3 s; a machine that does something else has longer.
const NEW_CONTROLLER: Duration = Duration::from_secs(10);
/// How long a process is held.
const HELD: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_one_controller_whatever_happens_to_it() {
    let mut cluster = Cluster::form(5).await.unwrap();
    let first = cluster.agreed(DEADLINE).await.unwrap();
    make_topic(cluster.node((first + 1) % 5), "before", 5).await;

    killed(&mut cluster, first).await;
    // Whoever leads now; so that, at the end, leadership has to move.
    held(&mut cluster, 4).await;
    let controller = cluster.agreed(DEADLINE).await.unwrap();
    held(&mut cluster, (controller + 1) % 5).await;
    let controller = cluster.agreed(DEADLINE).await.unwrap();
    held(&mut cluster, controller).await;
    for member in &cluster.members {
        assert!(has_topic(member, "before").await);
    }
    // It goes to the highest id once that has been steady for half a minute.
    until("the highest id leads", DEADLINE * 2, async || {
        cluster.agreed(DEADLINE).await.unwrap() == 4
    })
    .await;
}

/// Kills a node; the others have a controller at once, and decide. Then it is back.
async fn killed(cluster: &mut Cluster, victim: usize) {
    cluster.node(victim).kill().unwrap();
    let died = Instant::now();
    another_leads(cluster, victim).await;
    eprintln!(
        "a controller {:?} after the death of the last",
        died.elapsed()
    );
    make_topic(cluster.any().unwrap(), "between", 5).await;
    eprintln!("a topic {:?} after it", died.elapsed());
    cluster.agreed(DEADLINE).await.unwrap();

    cluster.node(victim).start().unwrap();
    cluster.node(victim).ready().await.unwrap();
    cluster.agreed(DEADLINE).await.unwrap();
    assert!(has_topic(cluster.node(victim), "between").await);
}

/// Holds a node for a while: the others decide without it, and it follows them when it goes on.
async fn held(cluster: &mut Cluster, victim: usize) {
    let topic = format!("while-{victim}-is-held");
    cluster.node(victim).pause().unwrap();
    let (since, others) = (Instant::now(), others(victim));
    another_leads(cluster, victim).await;
    let other = *others.first().unwrap();
    make_topic(cluster.node(other), &topic, 5).await;
    // What has to pass here is time itself.
    tokio::time::sleep(HELD.saturating_sub(since.elapsed())).await;
    cluster.node(victim).resume().unwrap();
    cluster.agreed(DEADLINE).await.unwrap();
    assert!(has_topic(cluster.node(victim), &topic).await);
}

/// Every node but the victim says that another one is the controller.
async fn another_leads(cluster: &mut Cluster, victim: usize) {
    for id in others(victim) {
        let member = cluster.node(id);
        until("another one leads", NEW_CONTROLLER, async || {
            let status = member.status().await.unwrap();
            let controller = View::of(&status).unwrap().controller;
            controller.is_some_and(|controller| controller != victim)
        })
        .await;
    }
}

fn others(victim: usize) -> BTreeSet<usize> {
    (0..5).filter(|id| *id != victim).collect()
}
