//! Sets of lines, as the runs they are made of.

use std::collections::BTreeMap;

/// Numbers, kept as runs. Takes memory for each run, not for each number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// First and last of each run, in order; two runs never touch.
    runs: BTreeMap<u64, u64>,
    count: u64,
}

impl Ranges {
    /// Adds one number.
    pub(super) fn insert(&mut self, number: u64) {
        self.insert_run(number, number);
    }

    /// Adds all numbers of another set; the two share none.
    pub(super) fn extend(&mut self, other: &Self) {
        for (&first, &last) in &other.runs {
            self.insert_run(first, last);
        }
    }

    /// How many numbers.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Which lines of the input these are, for a person.
    pub(super) fn described(&self) -> String {
        let first = self.runs.keys().next().unwrap_or(&0);
        let last = self.runs.values().next_back().unwrap_or(&0);
        match (self.count, self.runs.len()) {
            (1, _) => format!("line {first} of the input"),
            (_, 1) => format!("lines {first} to {last} of the input"),
            (count, _) => format!("{count} lines of the input from {first} to {last}"),
        }
    }

    /// Takes out the run that begins with this number.
    pub(super) fn take_run_at(&mut self, first: u64) -> Option<u64> {
        let last = self.runs.remove(&first)?;
        self.count -= last - first + 1;
        Some(last)
    }

    /// First and last of each run, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        self.runs.iter().map(|(&first, &last)| (first, last))
    }

    fn insert_run(&mut self, first: u64, last: u64) {
        self.count += last - first + 1;
        let before = self.runs.range(..first).next_back();
        let joined = before.filter(|(_, end)| **end + 1 == first);
        let first = joined.map_or(first, |(&start, _)| start);
        let last = self.runs.remove(&(last + 1)).unwrap_or(last);
        self.runs.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_grow_at_both_ends_and_join() {
        let mut ranges = Ranges::default();
        for number in [5, 6, 1, 3, 2, 9, 8] {
            ranges.insert(number);
        }
        assert_eq!(ranges.runs().collect::<Vec<_>>(), [(1, 3), (5, 6), (8, 9)]);
        assert_eq!(ranges.count(), 7);
        assert_eq!(ranges.described(), "7 lines of the input from 1 to 9");

        let mut other = Ranges::default();
        other.insert(4);
        other.insert(7);
        ranges.extend(&other);
        assert_eq!(ranges.runs().collect::<Vec<_>>(), [(1, 9)]);
        assert_eq!(ranges.described(), "lines 1 to 9 of the input");
        assert_eq!(ranges.take_run_at(2), None);
        assert_eq!(ranges.take_run_at(1), Some(9));
        assert_eq!(ranges, Ranges::default());
        ranges.insert(7);
        assert_eq!(ranges.described(), "line 7 of the input");
    }
}
