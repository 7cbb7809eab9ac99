//! The network between machines: what passes, how late, and how often.
//!
//! Each of the links has two directions, and each direction is whole, cut, or bad in the way that all are bad
//! just now. Datagrams are lost and doubled; what travels in a connection is only late, unless its
//! direction is cut.

use std::collections::BTreeSet;
use std::time::Duration;

use seglog::disk::sim::Rng;

/// A machine, by its place in the list of all.
pub(super) type Machine = usize;

/// How bad the network is where it is not cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quality {
    /// Datagrams lost, of a thousand.
    pub(super) loss: u64,
    /// Datagrams that arrive twice, of a thousand.
    pub(super) doubled: u64,
    /// Least and most time of one way.
    pub(super) delay: (Duration, Duration),
}

impl Quality {
    /// Machines in one room.
    pub(super) const GOOD: Self = Self {
        loss: 0,
        doubled: 0,
        delay: (Duration::from_micros(200), Duration::from_millis(3)),
    };

    fn draw(rng: &mut Rng) -> Self {
        let slow = rng.below(60);
        Self {
            loss: *rng.pick(&[0, 10, 50, 200]).unwrap_or(&0),
            doubled: rng.below(100),
            delay: (
                Duration::from_millis(1 + slow / 4),
                Duration::from_millis(5 + slow),
            ),
        }
    }
}

/// A way in which the network is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Weather {
    /// Two sides that do not see each other.
    Halves(Vec<bool>),
    /// One reaches nobody, and nobody reaches it.
    Alone(Machine),
    /// One hears nothing.
    Deaf(Machine),
    /// Nobody hears one.
    Mute(Machine),
    /// The one does not reach the other.
    OneWay(Machine, Machine),
    /// One sees all, the two sides do not see each other.
    Bridge(Machine),
    /// Each sees its two neighbours.
    Ring,
    /// Slow, and lossy.
    Bad(Quality),
    /// As it should be.
    Good,
}

/// All links.
#[derive(Debug)]
pub(super) struct Links {
    rng: Rng,
    machines: usize,
    quality: Quality,
    cut: BTreeSet<(Machine, Machine)>,
}

impl Links {
    pub(super) const fn new(seed: u64, machines: usize) -> Self {
        Self {
            rng: Rng::new(seed),
            machines,
            quality: Quality::GOOD,
            cut: BTreeSet::new(),
        }
    }

    /// When a datagram arrives, each time that it does.
    pub(super) fn datagram(&mut self, from: Machine, to: Machine) -> Vec<Duration> {
        if self.is_cut(from, to) || self.rng.below(1000) < self.quality.loss {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.rng.below(1000) < self.quality.doubled);
        (0..copies).map(|_| self.delay()).collect()
    }

    /// When a message in a connection arrives, if it does. A lost packet is sent again, and late.
    pub(super) fn stream(&mut self, from: Machine, to: Machine) -> Option<Duration> {
        if self.is_cut(from, to) {
            return None;
        }
        let again = self.rng.below(1000) < self.quality.loss;
        let resent = Duration::from_millis(if again { 200 } else { 0 });
        Some(self.delay() + resent)
    }

    pub(super) fn is_cut(&self, from: Machine, to: Machine) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Whether messages pass both ways.
    pub(super) fn are_joined(&self, a: Machine, b: Machine) -> bool {
        !self.is_cut(a, b) && !self.is_cut(b, a)
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = self.quality.delay;
        let span = most.saturating_sub(least).as_micros() as u64;
        least + Duration::from_micros(self.rng.below(span + 1))
    }
}

/// What happens to the network.
impl Links {
    /// All links work, and well.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.quality = Quality::GOOD;
    }

    /// Nothing passes from `from` to `to`.
    pub(super) fn cut(&mut self, from: Machine, to: Machine) {
        if from != to {
            self.cut.insert((from, to));
        }
    }

    /// Makes the network bad in a way that is drawn, for one machine if it is about one.
    pub(super) fn worsen(&mut self, one: Machine, rng: &mut Rng) -> Weather {
        self.cut.clear();
        let weather = match rng.below(9) {
            0 => Weather::Halves((0..self.machines).map(|_| rng.chance(50)).collect()),
            1 => Weather::Alone(one),
            2 => Weather::Deaf(one),
            3 => Weather::Mute(one),
            4 => Weather::OneWay(one, rng.below(self.machines as u64) as Machine),
            5 => Weather::Bridge(one),
            6 => Weather::Ring,
            7 => Weather::Bad(Quality::draw(rng)),
            _ => Weather::Good,
        };
        self.set(&weather);
        weather
    }

    /// The network is bad in this way too.
    pub(super) fn set(&mut self, weather: &Weather) {
        let machines = self.machines;
        match weather {
            Weather::Halves(side) => self.cut_where(|a, b| side.get(a) != side.get(b)),
            Weather::Alone(one) => self.isolate(*one),
            Weather::Deaf(one) => self.cut_where(|_, to| to == *one),
            Weather::Mute(one) => self.cut_where(|from, _| from == *one),
            Weather::OneWay(one, other) => self.cut(*one, *other),
            Weather::Bridge(bridge) => {
                self.cut_where(|a, b| a != *bridge && b != *bridge && a % 2 != b % 2);
            }
            Weather::Ring => {
                self.cut_where(|a, b| (a + 1) % machines != b && (b + 1) % machines != a);
            }
            Weather::Bad(quality) => self.quality = *quality,
            Weather::Good => self.heal(),
        }
    }

    /// Nobody reaches it, and it reaches nobody.
    pub(super) fn isolate(&mut self, machine: Machine) {
        self.cut_where(|a, b| (a == machine) != (b == machine));
    }

    fn cut_where(&mut self, is_cut: impl Fn(Machine, Machine) -> bool) {
        for from in 0..self.machines {
            for to in 0..self.machines {
                if is_cut(from, to) {
                    self.cut(from, to);
                }
            }
        }
    }

    pub(super) fn others(&self, of: Machine) -> impl Iterator<Item = Machine> + use<> {
        (0..self.machines).filter(move |other| *other != of)
    }
}
