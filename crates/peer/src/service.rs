//! What can be asked of a node.

use crate::numbered::numbered;

numbered! {
    /// What can be asked of a node. The number travels in every request.
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
}

impl Service {
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

numbered! {
    /// There are two connections to a node at most, so that a heartbeat of the consensus never waits behind
    /// megabytes of records.
    pub enum Lane {
        /// Small and urgent.
        Control = 0,
        /// Records.
        Data = 1,
    }
}
