//! Whether a datagram came before.

use std::collections::BTreeMap;

use model::BootId;
use model::limits::DATAGRAM_SENDERS_MAX;

const WORDS: usize = 16;
const WINDOW: u64 = WORDS as u64 * 64;

/// The numbers that were seen, of each sender.
#[derive(Debug, Default)]
pub(super) struct Senders {
    windows: BTreeMap<BootId, Window>,
    /// Counts what was heard, to find who has been silent longest.
    turn: u64,
}

/// The last numbers of one sender: bit `n % WINDOW` stands for number n, for the `WINDOW` numbers up to
/// `highest`.
#[derive(Debug)]
struct Window {
    highest: u64,
    seen: [u64; WORDS],
    heard: u64,
}

impl Senders {
    /// Whether this number of this sender comes for the first time. Numbers too far behind the highest are
    /// not new: nobody can tell any more.
    pub(super) fn is_new(&mut self, sender: BootId, sequence: u64) -> bool {
        self.turn += 1;
        if !self.windows.contains_key(&sender) && self.windows.len() >= DATAGRAM_SENDERS_MAX {
            self.forget_one();
        }
        let window = self.windows.entry(sender).or_insert(Window {
            highest: 0,
            seen: [0; WORDS],
            heard: 0,
        });
        window.heard = self.turn;
        window.is_new(sequence)
    }

    fn forget_one(&mut self) {
        let silent = self.windows.iter().min_by_key(|(_, window)| window.heard);
        if let Some(sender) = silent.map(|(sender, _)| *sender) {
            self.windows.remove(&sender);
        }
    }
}

impl Window {
    fn is_new(&mut self, sequence: u64) -> bool {
        if sequence == 0 || self.highest.saturating_sub(sequence) >= WINDOW {
            return false;
        }
        if sequence > self.highest {
            self.advance(sequence);
        }
        let (word, bit) = place(sequence);
        let Some(word) = self.seen.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Clears the places of the numbers between the old highest and the new one.
    fn advance(&mut self, sequence: u64) {
        if sequence - self.highest >= WINDOW {
            self.seen = [0; WORDS];
        } else {
            for skipped in self.highest + 1..=sequence {
                let (word, bit) = place(skipped);
                if let Some(word) = self.seen.get_mut(word) {
                    *word &= !bit;
                }
            }
        }
        self.highest = sequence;
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let place = sequence % WINDOW;
    ((place / 64) as usize, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the plain meaning: a set of all numbers, and the highest.
        #[test]
        fn a_window_is_a_set_with_a_horizon(steps in prop::collection::vec((0u64..1500, any::<bool>()), 1..400)) {
            let mut window = Window { highest: 0, seen: [0; WORDS], heard: 0 };
            let mut seen = BTreeSet::new();
            let mut highest = 0u64;
            for (distance, ahead) in steps {
                let number = if ahead { highest + distance } else { highest.saturating_sub(distance) };
                let expected = number > 0 && number + WINDOW > highest && !seen.contains(&number);
                prop_assert_eq!(window.is_new(number), expected, "{} after {}", number, highest);
                if expected {
                    seen.insert(number);
                    highest = highest.max(number);
                }
            }
        }
    }

    #[test]
    fn the_largest_number_is_no_trap() {
        let mut senders = Senders::default();
        let sender = BootId::from_bytes([1; 16]);
        assert!(senders.is_new(sender, u64::MAX));
        assert!(!senders.is_new(sender, u64::MAX));
        assert!(senders.is_new(sender, u64::MAX - 1));
        assert!(!senders.is_new(sender, 7));
    }

    #[test]
    fn the_one_silent_longest_is_forgotten() {
        let mut senders = Senders::default();
        let name = |n: usize| BootId::from_bytes((n as u128).to_be_bytes());
        for n in 0..DATAGRAM_SENDERS_MAX {
            assert!(senders.is_new(name(n), 1));
        }
        assert!(senders.is_new(name(0), 2));
        assert!(senders.is_new(name(DATAGRAM_SENDERS_MAX), 1));
        assert_eq!(senders.windows.len(), DATAGRAM_SENDERS_MAX);
        assert!(!senders.is_new(name(0), 2));
        assert!(senders.is_new(name(1), 1), "forgotten");
    }
}
