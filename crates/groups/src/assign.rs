//! The sticky assignor: who reads which partitions, as a function of who read them before.
//!
//! *Balance.* Members with equal subscriptions differ by at most one partition, in every topic and
//! in all. Across different subscriptions, no member has two partitions more than another one that
//! could take one of those its equals hold.
//!
//! *Stickiness.* A partition leaves its holder only when the holder is gone, has unsubscribed, or
//! holds more than its quota of that topic; quotas that balance allows are given first to the
//! members that fill them already. Assigning a second time changes nothing.
//!
//! *Determinism.* The result depends on the arguments alone, the order of the members included.
//!
//! The work goes in three steps, from coarse to fine: partitions are shared among *classes* of
//! members with equal subscriptions (`share`), within a class every member gets a *quota* of each
//! topic (`quota`), and quotas are filled with partitions (`fill`).

mod fill;
mod quota;
mod share;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use model::{PartitionId, TopicId};

/// A member as the assignor sees it.
#[derive(Debug, Clone, Copy)]
pub struct Subscriber<'a> {
    /// What it wants; topics that do not exist are ignored.
    pub topics: &'a BTreeSet<TopicId>,
    /// What it has now; of two that claim a partition the first has it.
    pub held: &'a [PartitionId],
}

/// Assigns all partitions of `topics` (how many each has) that somebody subscribes to. The answer
/// has one sorted list for each member, in the members' order.
#[must_use]
pub fn assign(
    topics: &BTreeMap<TopicId, u32>,
    members: &[Subscriber<'_>],
) -> Vec<Vec<PartitionId>> {
    let classes = classes(topics, members);
    let holdings = holdings(topics, members);
    let shares = share::share(topics, &classes, &holdings);
    let mut assigned = vec![Vec::new(); members.len()];
    for (topic, quotas) in quota::quotas(&classes, &holdings, &shares) {
        let count = topics.get(&topic).copied().unwrap_or(0);
        let held = holdings.get(&topic);
        fill::fill(topic, count, &quotas, held, &mut assigned);
    }
    assigned
}

/// Members, by their place in the argument, that subscribe to the same existing topics.
struct Class {
    topics: BTreeSet<TopicId>,
    members: Vec<usize>,
}

/// Who holds how much of what: topic, member, partitions.
type Holdings = BTreeMap<TopicId, BTreeMap<usize, BTreeSet<u32>>>;

fn classes(topics: &BTreeMap<TopicId, u32>, members: &[Subscriber<'_>]) -> Vec<Class> {
    let mut by_topics: BTreeMap<BTreeSet<TopicId>, Vec<usize>> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        let wanted = member
            .topics
            .iter()
            .filter(|topic| topics.contains_key(topic));
        by_topics
            .entry(wanted.copied().collect())
            .or_default()
            .push(index);
    }
    by_topics
        .into_iter()
        .map(|(topics, members)| Class { topics, members })
        .collect()
}

/// The claims that still hold: the partition exists, its holder wants it, nobody claimed it before.
fn holdings(topics: &BTreeMap<TopicId, u32>, members: &[Subscriber<'_>]) -> Holdings {
    let mut holdings = Holdings::new();
    let mut claimed = BTreeSet::new();
    for (index, member) in members.iter().enumerate() {
        for partition in member.held {
            let exists = topics
                .get(&partition.topic)
                .is_some_and(|n| partition.index.0 < *n);
            if exists && member.topics.contains(&partition.topic) && claimed.insert(*partition) {
                let of_topic = holdings.entry(partition.topic).or_default();
                of_topic.entry(index).or_default().insert(partition.index.0);
            }
        }
    }
    holdings
}
