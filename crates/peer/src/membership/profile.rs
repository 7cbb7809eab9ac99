//! How often, how long, how many.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Config, PeriodicParams};

use crate::datagram::MESSAGE_BYTES_MAX;

/// How many members are asked to try when one does not answer, and how many a round of gossip goes to.
const FANOUT: NonZeroUsize = NonZeroUsize::new(3).unwrap();
const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();
const MESSAGE_BYTES: NonZeroUsize = NonZeroUsize::new(MESSAGE_BYTES_MAX).unwrap();

/// The times of the membership. All nodes of a cluster have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// From one probe of a random member to the next. A probe without an answer by then makes its
    /// target suspected.
    pub probe_period: Duration,
    /// How long a probe waits for a direct answer before others are asked to try.
    pub probe_rtt: Duration,
    /// How long a suspected member has to object.
    pub suspicion: Duration,
    /// From one round of gossip to the next, while there is news.
    pub gossip_period: Duration,
    /// How often members that are down are addressed, so that a healed partition is noticed.
    pub knock_period: Duration,
    /// How often, while nobody is heard.
    pub seek_period: Duration,
    /// Least and most time from one exchange of everything with a random node to the next.
    pub exchange_period: (Duration, Duration),
    /// Own timers this late say that this process was not running.
    pub lateness: Duration,
    /// How long a link stays suspected when nothing arrives over it.
    pub link_suspicion: Duration,
}

impl Profile {
    /// For nodes in one place: a dead node is known to all in 2.5 to 5 seconds.
    pub const LAN: Self = Self::scaled(10);

    /// For tests, and for clusters within one machine: five times as fast.
    pub const FAST: Self = Self::scaled(2);

    const fn scaled(tenths: u64) -> Self {
        Self {
            probe_period: Duration::from_millis(50 * tenths),
            probe_rtt: Duration::from_millis(15 * tenths),
            suspicion: Duration::from_millis(200 * tenths),
            gossip_period: Duration::from_millis(10 * tenths),
            knock_period: Duration::from_millis(500 * tenths),
            seek_period: Duration::from_millis(100 * tenths),
            exchange_period: (
                Duration::from_millis(1_000 * tenths),
                Duration::from_millis(3_000 * tenths),
            ),
            lateness: Duration::from_millis(25 * tenths),
            link_suspicion: Duration::from_millis(500 * tenths),
        }
    }

    /// What the protocol engine is told, for a cluster of this many nodes.
    pub(super) fn config(&self, nodes: usize) -> Config {
        let every = |frequency, num_members| {
            Some(PeriodicParams {
                frequency,
                num_members,
            })
        };
        Config {
            probe_period: self.probe_period,
            probe_rtt: self.probe_rtt,
            num_indirect_probes: FANOUT,
            max_transmissions: transmissions(nodes),
            suspect_to_down_after: self.suspicion,
            remove_down_after: None,
            max_packet_size: MESSAGE_BYTES,
            notify_down_members: true,
            periodic_announce: every(6 * self.knock_period, NonZeroUsize::MIN),
            periodic_announce_to_down_members: every(self.knock_period, TWO),
            periodic_gossip: every(self.gossip_period, FANOUT),
        }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::LAN
    }
}

/// How often each piece of news is passed on: it grows with the logarithm of the cluster, as an epidemic
/// needs it.
fn transmissions(nodes: usize) -> NonZeroU8 {
    let bits = usize::BITS - nodes.leading_zeros();
    let times = u8::try_from(bits + 4).unwrap_or(u8::MAX);
    NonZeroU8::new(times).unwrap_or(NonZeroU8::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_takes_every_profile() {
        for profile in [Profile::LAN, Profile::FAST] {
            assert!(profile.probe_rtt * 3 < profile.probe_period + profile.probe_rtt);
            assert!(profile.lateness < profile.probe_period);
            let small = profile.config(1);
            assert_eq!(small.max_transmissions.get(), 5);
            assert_eq!(profile.config(1000).max_transmissions.get(), 14);
        }
        assert_eq!(Profile::LAN.probe_period, Duration::from_millis(500));
        assert_eq!(Profile::LAN.probe_rtt, Duration::from_millis(150));
        assert_eq!(Profile::LAN.suspicion, Duration::from_secs(2));
        assert_eq!(Profile::LAN.knock_period, Duration::from_secs(5));
    }
}
