//! A network that falls apart: five nodes in network namespaces, two of them cut off from the rest.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Instant;

use e2e::{Cluster, Member, Net, command};

use super::{DEADLINE, has_topic, make_topic};
use crate::until;

const NODES: u8 = 5;
/// The side that cannot decide.
const MINORITY: [u8; 2] = [3, 4];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_majority_decides_and_the_rest_follows_when_it_is_back() {
    let net = match Net::new(NODES) {
        Ok(net) => net,
        Err(why) => {
            // Past what the test runner holds back.
            let skipped = format!("SKIPPED: this machine makes no network namespaces: {why:#}\n");
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
            return;
        }
    };
    let mut cluster = cluster(&net);
    cluster.start().await.unwrap();
    make_topic(cluster.node(0), "before", 10).await;

    each_cut(|from, to| net.cut(from, to).unwrap());
    let cut = Instant::now();
    let majority: BTreeSet<usize> = (0..3).collect();
    until(
        "the majority has a controller of its own",
        DEADLINE,
        async || {
            let agreed = cluster.agreed_among(&majority, DEADLINE).await;
            majority.contains(&agreed.unwrap())
        },
    )
    .await;
    eprintln!("the majority agrees {:?} after the cut", cut.elapsed());
    make_topic(cluster.node(0), "majority", 5).await;
    // Each of these waits until the client gives up.
    let refused = MINORITY.map(|id| {
        let member = cluster.members.get(usize::from(id)).unwrap();
        member.post("/admin/topics?name=minority", None)
    });
    let refused = futures_util::future::join_all(refused).await;
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    for id in MINORITY {
        let topics = cluster.node(id.into()).get("/admin/topics").await.unwrap();
        assert!(!topics.to_string().contains("majority"), "{topics}");
    }

    each_cut(|from, to| net.mend(from, to).unwrap());
    let mended = Instant::now();
    cluster.agreed(DEADLINE).await.unwrap();
    eprintln!("all agree {:?} after the cut is mended", mended.elapsed());
    for member in &cluster.members {
        until("it knows what was decided", DEADLINE, async || {
            has_topic(member, "before").await && has_topic(member, "majority").await
        })
        .await;
        assert!(!has_topic(member, "minority").await, "nobody has made it");
    }
}

/// Five nodes with certificates: they are not on loopback.
fn cluster(net: &Net) -> Cluster {
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().join("secrets");
    let made = command()
        .args(["init", "--nodes", &NODES.to_string(), "--dir"])
        .arg(&secrets)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let peers: Vec<String> = (0..NODES).map(|n| net.peer(n).to_string()).collect();
    let members = (0..NODES).map(|n| {
        let data = dir.path().join(format!("n{n}"));
        let (http, peer) = (net.http(n), net.peer(n));
        let own = secrets.join(format!("node-{n}"));
        let mut member = Member::in_namespace(&data, http, peer, &net.namespace(n)).unwrap();
        member.options(["--id", &n.to_string(), "--peers", &peers.join(",")]);
        member.options(["--cluster-dir", own.to_str().unwrap()]);
        member
    });
    let members = members.collect();
    Cluster::of(dir, members)
}

fn each_cut(change: impl Fn(u8, u8)) {
    for minor in MINORITY {
        for major in 0..NODES {
            if !MINORITY.contains(&major) {
                change(minor, major);
                change(major, minor);
            }
        }
    }
}
