//! Second step: how many partitions of each topic every member of a class gets.
//!
//! A class of *n* members that gets *p* partitions of a topic gives `p / n` of them to everybody
//! and one *extra* to `p % n` members. So every topic is even, and all topics together are when
//! the extras are. What remains is to choose who gets the extras: members that hold more than
//! `p / n` already, as far as evenness allows.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use model::TopicId;

use super::share::Shares;
use super::{Class, Holdings};

/// How many partitions of a topic each member gets; members that get none may be missing.
pub(super) type Quotas = BTreeMap<usize, u32>;

pub(super) fn quotas(
    classes: &[Class],
    holdings: &Holdings,
    shares: &Shares,
) -> BTreeMap<TopicId, Quotas> {
    let mut quotas: BTreeMap<TopicId, Quotas> = BTreeMap::new();
    for (index, class) in classes.iter().enumerate() {
        let demands = demands(index, class, holdings, shares);
        let extras = Extras::choose(&class.members, &demands);
        for (demand, lucky) in demands.iter().zip(&extras.of_topic) {
            let of_topic = quotas.entry(demand.topic).or_default();
            if demand.everybody > 0 {
                of_topic.extend(
                    class
                        .members
                        .iter()
                        .map(|member| (*member, demand.everybody)),
                );
            }
            lucky
                .iter()
                .for_each(|member| *of_topic.entry(*member).or_insert(0) += 1);
        }
    }
    quotas
}

/// One topic's extras that look for members.
struct Demand {
    topic: TopicId,
    everybody: u32,
    extras: usize,
    /// The members that hold more than everybody gets: an extra saves them a partition.
    keen: BTreeSet<usize>,
}

fn demands(index: usize, class: &Class, holdings: &Holdings, shares: &Shares) -> Vec<Demand> {
    let count = class.members.len() as u32;
    let nobody = BTreeMap::new();
    let demand = |topic: &TopicId| {
        let share = shares
            .get(topic)?
            .iter()
            .find(|share| share.class == index)?;
        let everybody = share.partitions / count;
        let holders = holdings.get(topic).unwrap_or(&nobody);
        let is_keen = |held: &BTreeSet<u32>| held.len() > everybody as usize;
        let of_class = class.members.iter();
        let keen = of_class
            .filter(|member| holders.get(member).is_some_and(is_keen))
            .copied();
        let extras = (share.partitions % count) as usize;
        Some(Demand {
            topic: *topic,
            everybody,
            extras,
            keen: keen.collect(),
        })
    };
    class.topics.iter().filter_map(demand).collect()
}

/// Who gets an extra of which topic.
struct Extras {
    /// For each demand, the members that get one.
    of_topic: Vec<BTreeSet<usize>>,
    /// How many extras each member has, the fewest first.
    ranking: BTreeSet<(usize, usize)>,
    counts: BTreeMap<usize, usize>,
}

impl Extras {
    fn choose(members: &[usize], demands: &[Demand]) -> Self {
        let mut extras = Self {
            of_topic: Vec::with_capacity(demands.len()),
            ranking: members.iter().map(|member| (0, *member)).collect(),
            counts: members.iter().map(|member| (*member, 0)).collect(),
        };
        demands.iter().for_each(|demand| extras.seat_keen(demand));
        for (place, demand) in demands.iter().enumerate() {
            extras.seat_rest(place, demand);
        }
        while extras.even_out(demands).is_some() {}
        extras
    }

    /// First the keen, those with the fewest extras before others.
    fn seat_keen(&mut self, demand: &Demand) {
        let ranked = demand
            .keen
            .iter()
            .map(|member| (self.count(*member), *member));
        let ranked: BTreeSet<(usize, usize)> = ranked.collect();
        let lucky: BTreeSet<usize> = ranked
            .into_iter()
            .take(demand.extras)
            .map(|(_, member)| member)
            .collect();
        lucky.iter().for_each(|member| self.change(*member, 1));
        self.of_topic.push(lucky);
    }

    /// Then whoever has the fewest.
    fn seat_rest(&mut self, place: usize, demand: &Demand) {
        let Some(seated) = self.of_topic.get_mut(place) else {
            return;
        };
        let missing = demand.extras - seated.len();
        let free = self.ranking.iter().map(|(_, member)| *member);
        let lucky: Vec<usize> = free
            .filter(|member| !seated.contains(member))
            .take(missing)
            .collect();
        seated.extend(&lucky);
        lucky.into_iter().for_each(|member| self.change(member, 1));
    }

    /// Moves one extra from the member with the most to the one with the fewest, while they are
    /// two apart: the one that costs the fewest partitions. Each lowers the sum of the squares.
    fn even_out(&mut self, demands: &[Demand]) -> Option<()> {
        let (fewest, taker) = *self.ranking.first()?;
        let (most, giver) = *self.ranking.last()?;
        if most < fewest + 2 {
            return None;
        }
        let movable = self.of_topic.iter().zip(demands).enumerate();
        let movable =
            movable.filter(|(_, (lucky, _))| lucky.contains(&giver) && !lucky.contains(&taker));
        let cost = |demand: &Demand| {
            i8::from(demand.keen.contains(&giver)) - i8::from(demand.keen.contains(&taker))
        };
        let (place, _) = movable.min_by_key(|(_, (_, demand))| cost(demand))?;
        let lucky = self.of_topic.get_mut(place)?;
        lucky.remove(&giver);
        lucky.insert(taker);
        self.change(giver, -1);
        self.change(taker, 1);
        Some(())
    }

    fn count(&self, member: usize) -> usize {
        self.counts.get(&member).copied().unwrap_or(0)
    }

    fn change(&mut self, member: usize, by: isize) {
        let before = self.count(member);
        let after = before.saturating_add_signed(by);
        self.counts.insert(member, after);
        self.ranking.remove(&(before, member));
        self.ranking.insert((after, member));
    }
}
