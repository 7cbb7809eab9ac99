//! Who votes next: an odd number, changed by two at most.
//!
//! The second of two voters, or the fourth of four, bears no loss that could not be borne without it, and
//! is one more whose loss counts. So voters grow by pairs, one takes the place of another, and without
//! another they leave by pairs: 1, 3 or 5.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use catalog::RaftId;
use model::limits;

use super::look::Look;

/// What is lost with a voter; those that come first go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Removed, or its disk was given up: it never answers again.
    Gone,
    /// Concluded to be down.
    Down,
    /// Drained. It votes as well as any other for as long as it lives.
    Leaving,
    /// Not known to live.
    Unseen,
    /// Lives, and is not ready to lead.
    Behind,
    /// Lives, and is caught up.
    Fit,
}

impl Look<'_> {
    /// The voters after one change, if one is due. Both the present ones and those have a live majority.
    pub(super) fn next_voters(&self) -> Option<BTreeSet<RaftId>> {
        let voters = &self.facts.voters;
        // A leader without a vote is on its way out.
        if !voters.contains(&self.facts.me) {
            return None;
        }
        let next = if is_odd(voters.len()) {
            let swapped = self.swapped().or_else(|| self.grown());
            swapped.or_else(|| self.shrunk())
        } else {
            self.evened()
        }?;
        (self.has_live_majority(voters) && self.has_live_majority(&next)).then_some(next)
    }

    /// Another one in the place of one that is gone, down or drained.
    fn swapped(&self) -> Option<BTreeSet<RaftId>> {
        let out = self.others().into_iter().next();
        let out = out.filter(|voter| self.is_to_go(*voter))?;
        let mut next = self.facts.voters.clone();
        next.remove(&out);
        next.insert(self.best_spare(&next)?);
        Some(next)
    }

    /// Two more, where as many are fit.
    fn grown(&self) -> Option<BTreeSet<RaftId>> {
        let mut next = self.facts.voters.clone();
        if limits::voters_among(self.fit().count()) < next.len() + 2 {
            return None;
        }
        for _ in 0..2 {
            next.insert(self.best_spare(&next)?);
        }
        Some(next)
    }

    /// Two less, when one of them is gone and nobody is there to take its place. The other could still be
    /// lost then, and either of two not; one that is only down comes back with its vote.
    fn shrunk(&self) -> Option<BTreeSet<RaftId>> {
        let voters = &self.facts.voters;
        let others = self.others();
        let (first, second) = (others.first()?, others.get(1)?);
        let is_due = self.worth(*first) == Worth::Gone || voters.len() > limits::VOTERS_MAX;
        is_due.then(|| without(voters, &[*first, *second]))
    }

    /// One more or one less, of an even number.
    fn evened(&self) -> Option<BTreeSet<RaftId>> {
        let voters = &self.facts.voters;
        let worst = self.others().into_iter().next()?;
        let is_to_go = self.is_to_go(worst);
        // It hands over first, and leaves then.
        if !is_to_go && self.leaves(self.facts.me) {
            return None;
        }
        match self.best_spare(voters).filter(|_| !is_to_go) {
            Some(spare) => Some(voters | &BTreeSet::from([spare])),
            None => Some(without(voters, &[worst])),
        }
    }

    /// The voters but this one, those first that can be done without: of those in the most crowded rack,
    /// the lowest.
    fn others(&self) -> Vec<RaftId> {
        let voters = &self.facts.voters;
        let mut others = without(voters, &[self.facts.me])
            .into_iter()
            .collect::<Vec<_>>();
        others.sort_by_key(|voter| {
            let in_rack = self.in_rack_of(*voter, voters);
            (self.worth(*voter), Reverse(in_rack), voter.node())
        });
        others
    }

    /// The follower that should vote next: in a rack with the fewest voters, then the highest.
    fn best_spare(&self, voters: &BTreeSet<RaftId>) -> Option<RaftId> {
        if voters.len() >= limits::VOTERS_MAX {
            return None;
        }
        let spares = self.fit().map(|node| node.raft_id);
        let spares =
            spares.filter(|node| self.facts.learners.contains(node) && !voters.contains(node));
        let spares = spares.filter(|node| !self.is_silent(*node));
        spares.max_by_key(|node| (Reverse(self.in_rack_of(*node, voters)), node.node()))
    }

    /// How many of the voters stand in the same rack as this node; none when it is in none.
    fn in_rack_of(&self, node: RaftId, voters: &BTreeSet<RaftId>) -> usize {
        let rack = |node: RaftId| self.node(node).and_then(|node| node.rack.as_deref());
        let Some(mine) = rack(node) else {
            return 0;
        };
        let same = voters.iter().filter(|voter| rack(**voter) == Some(mine));
        same.count()
    }

    fn is_to_go(&self, voter: RaftId) -> bool {
        self.worth(voter) <= Worth::Leaving
    }

    fn worth(&self, voter: RaftId) -> Worth {
        if self.node(voter).is_none() {
            Worth::Gone
        } else if self.is_down(voter) {
            Worth::Down
        } else if self.leaves(voter) {
            Worth::Leaving
        } else if !self.lives(voter) {
            Worth::Unseen
        } else if self.fit().all(|node| node.raft_id != voter) {
            Worth::Behind
        } else {
            Worth::Fit
        }
    }

    fn has_live_majority(&self, voters: &BTreeSet<RaftId>) -> bool {
        let live = voters.iter().filter(|voter| self.lives(**voter));
        live.count() * 2 > voters.len()
    }
}

const fn is_odd(count: usize) -> bool {
    count % 2 == 1
}

fn without(voters: &BTreeSet<RaftId>, out: &[RaftId]) -> BTreeSet<RaftId> {
    let stays = |voter: &RaftId| !out.contains(voter);
    voters.iter().copied().filter(stays).collect()
}
