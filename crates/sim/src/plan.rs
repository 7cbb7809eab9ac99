//! The workload: a sequence of steps, the same for the same seed.

use std::fmt;

use seglog::disk::sim::Rng;

/// Partitions that live at the same time, at most.
pub(crate) const SLOTS: usize = 5;
/// The one whose segments grow so long that their indexes have more than one line.
pub(crate) const LONG_SLOT: usize = 4;

/// One thing done to the store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Append {
        slot: usize,
        records: u32,
        value_bytes: usize,
    },
    Commit,
    Settle,
    Checkpoint,
    /// The mark that covers the last group once appends pause.
    IdleMark,
    Create {
        slot: usize,
    },
    Drop {
        slot: usize,
    },
    /// Up to this share of what the partition holds.
    DeleteBefore {
        slot: usize,
        percent: u64,
    },
    /// After the clock has moved.
    Retain {
        advance_ms: i64,
    },
    /// From this share of what the partition holds.
    Read {
        slot: usize,
        percent: u64,
    },
    /// Closed in good order, opened again.
    Reopen,
}

/// The first `count` steps of `seed`.
pub(crate) fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    // Two partitions from the start, so that no seed idles for long.
    let opening = [Step::Create { slot: 0 }, Step::Create { slot: 1 }];
    let rest = std::iter::repeat_with(|| draw(&mut rng));
    opening.into_iter().chain(rest).take(count).collect()
}

fn draw(rng: &mut Rng) -> Step {
    let slot = rng.below(SLOTS as u64) as usize;
    match rng.below(1000) {
        0..460 => Step::Append {
            slot,
            records: 1 + rng.below(3) as u32,
            value_bytes: value_bytes(slot, rng),
        },
        460..670 => Step::Commit,
        670..780 => Step::Settle,
        780..835 => Step::Checkpoint,
        835..860 => Step::IdleMark,
        860..885 => Step::Create { slot },
        885..895 => Step::Drop { slot },
        895..920 => Step::DeleteBefore {
            slot,
            percent: rng.below(101),
        },
        920..940 => Step::Retain {
            advance_ms: 1 + rng.below(2_000) as i64,
        },
        940..990 => Step::Read {
            slot,
            percent: rng.below(100),
        },
        _ => Step::Reopen,
    }
}

/// Mostly small, now and then larger than a page.
fn value_bytes(slot: usize, rng: &mut Rng) -> usize {
    let large = if slot == LONG_SLOT { 40 } else { 10 };
    let bytes = if rng.chance(large) {
        1_000 + rng.below(3_000)
    } else {
        20 + rng.below(400)
    };
    bytes as usize
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append {
                slot,
                records,
                value_bytes,
            } => {
                write!(f, "append {slot} {records}x{value_bytes}")
            }
            Self::Commit => f.write_str("commit"),
            Self::Settle => f.write_str("settle"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::IdleMark => f.write_str("idle-mark"),
            Self::Create { slot } => write!(f, "create {slot}"),
            Self::Drop { slot } => write!(f, "drop {slot}"),
            Self::DeleteBefore { slot, percent } => write!(f, "delete-before {slot} {percent}%"),
            Self::Retain { advance_ms } => write!(f, "retain +{advance_ms}ms"),
            Self::Read { slot, percent } => write!(f, "read {slot} {percent}%"),
            Self::Reopen => f.write_str("reopen"),
        }
    }
}
