//! First step: how many partitions of each topic go to each class.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use model::TopicId;

use super::{Class, Holdings};

/// How many partitions of a topic each class gets.
pub(super) type Shares = BTreeMap<TopicId, Vec<Share>>;

/// The part of one class in one topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// The class, by its place.
    pub(super) class: usize,
    /// How many partitions it gets.
    pub(super) partitions: u32,
}

/// Starts from what the classes hold, gives away what nobody holds, and moves single partitions
/// from a class to another as long as that evens out the members' loads.
pub(super) fn share(
    topics: &BTreeMap<TopicId, u32>,
    classes: &[Class],
    holdings: &Holdings,
) -> Shares {
    let mut loads: Vec<Load> = classes.iter().map(Load::of).collect();
    let mut shares = held(topics, classes, holdings, &mut loads);
    // Topics that few can take come first: there is less choice for them.
    let mut by_choice: Vec<TopicId> = shares.keys().copied().collect();
    by_choice.sort_by_key(|topic| (shares.get(topic).map_or(0, Vec::len), *topic));
    for topic in by_choice {
        let count = topics.get(&topic).copied().unwrap_or(0);
        if let Some(of_topic) = shares.get_mut(&topic) {
            give_rest(of_topic, count, &mut loads);
        }
    }
    loop {
        let moves = shares
            .values_mut()
            .filter_map(|topic| even_out(topic, &mut loads).then_some(()));
        if moves.count() == 0 {
            break;
        }
    }
    shares
}

/// The load of a class: its partitions over its members, one partition at most from even.
struct Load {
    partitions: usize,
    members: usize,
}

impl Load {
    const fn of(class: &Class) -> Self {
        Self {
            partitions: 0,
            members: class.members.len(),
        }
    }

    /// What its least loaded member has.
    const fn least(&self) -> usize {
        self.partitions / self.members
    }

    /// What its most loaded member has.
    const fn most(&self) -> usize {
        self.partitions.div_ceil(self.members)
    }
}

fn held(
    topics: &BTreeMap<TopicId, u32>,
    classes: &[Class],
    holdings: &Holdings,
    loads: &mut [Load],
) -> Shares {
    let mut class_of = BTreeMap::new();
    let mut shares: Shares = topics.keys().map(|topic| (*topic, Vec::new())).collect();
    for (index, class) in classes.iter().enumerate() {
        class_of.extend(class.members.iter().map(|member| (*member, index)));
        for topic in &class.topics {
            if let Some(of_topic) = shares.get_mut(topic) {
                of_topic.push(Share {
                    class: index,
                    partitions: 0,
                });
            }
        }
    }
    for (topic, holders) in holdings {
        let Some(of_topic) = shares.get_mut(topic) else {
            continue;
        };
        for (member, partitions) in holders {
            let Some(class) = class_of.get(member) else {
                continue;
            };
            let Ok(place) = of_topic.binary_search_by_key(class, |share| share.class) else {
                continue;
            };
            if let (Some(share), Some(load)) = (of_topic.get_mut(place), loads.get_mut(*class)) {
                share.partitions += partitions.len() as u32;
                load.partitions += partitions.len();
            }
        }
    }
    shares.retain(|_, of_topic| !of_topic.is_empty());
    shares
}

/// Gives each partition that nobody holds to the class with the lightest member.
fn give_rest(of_topic: &mut [Share], count: u32, loads: &mut [Load]) {
    let given: u32 = of_topic.iter().map(|share| share.partitions).sum();
    let least = |loads: &[Load], class: usize| loads.get(class).map_or(0, Load::least);
    let places = of_topic.iter().enumerate();
    let mut lightest: BTreeSet<(usize, usize)> = places
        .map(|(place, share)| (least(loads, share.class), place))
        .collect();
    for _ in given..count {
        let Some((_, place)) = lightest.pop_first() else {
            return;
        };
        let Some(share) = of_topic.get_mut(place) else {
            return;
        };
        share.partitions += 1;
        if let Some(load) = loads.get_mut(share.class) {
            load.partitions += 1;
        }
        lightest.insert((least(loads, share.class), place));
    }
}

/// Moves partitions of one topic from the heaviest to the lightest class until their members are
/// within one. Each move lowers the sum of the squares of all loads, so this comes to an end.
fn even_out(of_topic: &mut [Share], loads: &mut [Load]) -> bool {
    let mut moved = false;
    while move_one(of_topic, loads).is_some() {
        moved = true;
    }
    moved
}

fn move_one(of_topic: &mut [Share], loads: &mut [Load]) -> Option<()> {
    let most = |share: &&mut Share| loads.get(share.class).map_or(0, Load::most);
    let least = |share: &&mut Share| loads.get(share.class).map_or(0, Load::least);
    let givers = of_topic.iter_mut().filter(|share| share.partitions > 0);
    let giver = givers.max_by_key(most).map(|share| share.class)?;
    let taker = of_topic
        .iter_mut()
        .min_by_key(least)
        .map(|share| share.class)?;
    let uneven = loads.get(giver)?.most() >= loads.get(taker)?.least() + 2;
    if !uneven || giver == taker {
        return None;
    }
    loads.get_mut(giver)?.partitions -= 1;
    loads.get_mut(taker)?.partitions += 1;
    of_topic
        .iter_mut()
        .find(|share| share.class == giver)?
        .partitions -= 1;
    of_topic
        .iter_mut()
        .find(|share| share.class == taker)?
        .partitions += 1;
    Some(())
}
