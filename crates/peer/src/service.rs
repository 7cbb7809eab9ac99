//! What can be asked of a node.

/// What can be asked of a node. The number travels in every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Service {
    /// Who are you, and whom do you know. Open to processes that have no id yet.
    Discover = 1,
    /// Let me in. Open to processes that have no id yet.
    Join = 2,
    /// The consensus, and what is forwarded to the controller.
    Control = 3,
    /// Records and groups.
    Broker = 4,
    /// The full state of the membership.
    MemberSync = 5,
    /// Are you there. Answered by the connection itself.
    Ping = 6,
}

impl Service {
    /// All of them, by number.
    pub const ALL: [Self; 6] = [
        Self::Discover,
        Self::Join,
        Self::Control,
        Self::Broker,
        Self::MemberSync,
        Self::Ping,
    ];

    /// The service of this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|service| *service as u8 == number)
    }

    /// Which connection its calls take.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Broker => Lane::Data,
            Self::Discover | Self::Join | Self::Control | Self::MemberSync | Self::Ping => {
                Lane::Control
            }
        }
    }

    /// Whether a process that has no id yet may ask it.
    #[must_use]
    pub const fn is_open_to_strangers(self) -> bool {
        matches!(self, Self::Discover | Self::Join | Self::Ping)
    }

    /// Whether it may be asked on this lane. A ping measures either.
    #[must_use]
    pub(crate) fn travels_on(self, lane: Lane) -> bool {
        self == Self::Ping || self.lane() == lane
    }
}

/// There are two connections to a node at most, so that a heartbeat of the consensus never waits behind
/// megabytes of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Small and urgent.
    Control = 0,
    /// Records.
    Data = 1,
}

impl Lane {
    /// The lane of this number.
    #[must_use]
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Control),
            1 => Some(Self::Data),
            _ => None,
        }
    }
}
