use std::time::Duration;

use openraft::Membership;
use openraft::vote::RaftLeaderId;

use super::*;
use crate::engine::{LeaderId, StoredMembership};
use crate::runtime::Scope;
use crate::testing::MemoryDisk;

fn snapshot_at(index: u64) -> Snapshot {
    let leader_id = LeaderId::new(1, 1);
    let meta = SnapshotMeta {
        last_log_id: Some(Position { leader_id, index }),
        last_membership: StoredMembership::new(None, Membership::default()),
    };
    Snapshot {
        meta,
        snapshot: snapshot::encode_contents(&Catalog::default(), &Recent::default()),
    }
}

/// One that was built here may be done while a leader's is on its way to the disk.
#[tokio::test(start_paused = true)]
async fn an_older_snapshot_never_takes_the_place_of_a_newer_one() {
    let disk = MemoryDisk::new();
    disk.set_sync_time(Duration::from_millis(10));
    let writer = Writer::start(disk.open(), &Scope::new(1));
    let current = Current::default();
    let (newer, older) = tokio::join!(
        save(snapshot_at(9), &current, &writer),
        save(snapshot_at(5), &current, &writer),
    );
    assert!(newer.is_ok() && older.is_ok());
    let kept = snapshot::decode(disk.saved().values[&Key::Snapshot].clone()).unwrap();
    assert_eq!(kept.meta, snapshot_at(9).meta);
    let shown = current.lock().as_ref().map(|held| held.meta.clone());
    assert_eq!(shown, Some(kept.meta));
}
