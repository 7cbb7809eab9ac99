//! What processes use, as Linux tells.

use std::time::Duration;

use super::nodes::Nodes;
use crate::exit::{Failure, Outcome, While as _};

/// The unit of processor time in `/proc`, on every Linux that Hark runs on.
const TICK: Duration = Duration::from_millis(10);

/// What the nodes of a cluster have used so far, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// In user and system mode.
    pub processor: Duration,
    /// Through the loopback interface, whoever sent them.
    pub loopback_bytes: u64,
    /// What they hold now.
    pub memory: u64,
}

impl Usage {
    /// Of those that run.
    pub(super) fn of(nodes: &Nodes) -> Outcome<Self> {
        let mut usage = Self {
            loopback_bytes: read("/proc/net/dev", sent_on_loopback)?,
            ..Self::default()
        };
        for node in nodes.running() {
            let path = format!("/proc/{}/stat", node.process_id());
            usage.processor += TICK * read(&path, ticks)?;
            usage.memory += node.resident_bytes()?;
        }
        Ok(usage)
    }

    /// What was used since; memory is what it is now.
    pub(super) const fn since(&self, before: &Self) -> Self {
        Self {
            processor: self.processor.saturating_sub(before.processor),
            loopback_bytes: self.loopback_bytes.saturating_sub(before.loopback_bytes),
            memory: self.memory,
        }
    }
}

fn read<T>(path: &str, find: impl Fn(&str) -> Option<T>) -> Outcome<T> {
    let text = std::fs::read_to_string(path).while_doing(format_args!("read {path}"))?;
    find(&text).ok_or_else(|| Failure::failed(format!("{path} is not as it is on Linux")))
}

/// `utime` and `stime` of `/proc/PID/stat`: the 14th and 15th field. The second is the name of the
/// program in parentheses, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Bytes sent are the ninth figure of the line `lo:`.
fn sent_on_loopback(dev: &str) -> Option<u64> {
    let mut lines = dev
        .lines()
        .filter_map(|line| line.trim().strip_prefix("lo:"));
    lines.next()?.split_whitespace().nth(8)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 30 12 0 0 20 0 9 0 5 1 2 3";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
        let dev = "Inter-| Receive | Transmit\n face |bytes\n    lo: 100 2 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n";
        assert_eq!(sent_on_loopback(dev), Some(200));
        assert_eq!(sent_on_loopback(" eth0: 1 2"), None);
    }
}
