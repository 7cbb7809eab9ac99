//! What went wrong in a run, counted, so that a summary shows that it did.

use std::collections::BTreeMap;
use std::fmt;

use super::super::links::{Machine, Weather};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process was killed.
    Killed,
    /// The power failed everywhere at once.
    PowerCut,
    /// A process was stopped in good order.
    Stopped,
    /// A process got no time for a while.
    Paused,
    /// The controller got none for so long that another must be elected.
    ControllerPaused,
    /// A request waited for a process that got no time.
    ArrivedLate,
    /// One found no room to wait.
    NoRoomToWait,
    /// Syncs took another time.
    SlowDisk,
    /// Writes failed.
    FailedDisk,
    /// A disk was lost.
    LostDisk,
    /// An old directory was put back.
    OldDisk,
    /// A machine with an empty disk joined.
    Joined,
    /// One wanted the id of another that is there.
    TakenId,
    /// A node was removed.
    Removed,
    /// A node was drained.
    Drained,
    /// The disk of a node was given up.
    GivenUp,
    /// The machines fell into two halves.
    Halves,
    /// One machine was alone.
    Alone,
    /// That of the controller was.
    ControllerAlone,
    /// One could not hear.
    Deaf,
    /// One could not speak.
    Mute,
    /// One did not reach another one.
    OneWay,
    /// Only one saw both sides.
    Bridge,
    /// Each saw its two neighbours only.
    Ring,
    /// Links were slow, lost datagrams, or doubled them.
    BadLinks,
    /// A process began with a monotonic clock that is fast or slow.
    OffPace,
    /// A monotonic clock leapt ahead.
    Leap,
    /// A civil clock jumped.
    CivilJump,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::Killed,
        Self::PowerCut,
        Self::Stopped,
        Self::Paused,
        Self::ControllerPaused,
        Self::ArrivedLate,
        Self::NoRoomToWait,
        Self::SlowDisk,
        Self::FailedDisk,
        Self::LostDisk,
        Self::OldDisk,
        Self::Joined,
        Self::TakenId,
        Self::Removed,
        Self::Drained,
        Self::GivenUp,
        Self::Halves,
        Self::Alone,
        Self::ControllerAlone,
        Self::Deaf,
        Self::Mute,
        Self::OneWay,
        Self::Bridge,
        Self::Ring,
        Self::BadLinks,
        Self::OffPace,
        Self::Leap,
        Self::CivilJump,
    ];

    /// What this weather is, when the controller is on that machine.
    pub(super) fn of_weather(weather: &Weather, controller: Option<Machine>) -> Option<Self> {
        Some(match weather {
            Weather::Halves(_) => Self::Halves,
            Weather::Alone(one) if Some(*one) == controller => Self::ControllerAlone,
            Weather::Alone(_) => Self::Alone,
            Weather::Deaf(_) => Self::Deaf,
            Weather::Mute(_) => Self::Mute,
            Weather::OneWay(..) => Self::OneWay,
            Weather::Bridge(_) => Self::Bridge,
            Weather::Ring => Self::Ring,
            Weather::Bad(_) => Self::BadLinks,
            Weather::Good => return None,
        })
    }
}

/// How often each fault happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(BTreeMap<Fault, u64>);

impl Faults {
    /// How often this one happened.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or_default()
    }

    /// Counts one more.
    pub(super) fn note(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Counts those of another run as well.
    pub fn add(&mut self, other: &Self) {
        for (fault, count) in &other.0 {
            *self.0.entry(*fault).or_default() += count;
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Fault::ALL.map(|fault| format!("{fault:?} {}", self.count(fault)));
        f.write_str(&counts.join(", "))
    }
}
