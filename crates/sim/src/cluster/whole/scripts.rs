//! Named situations, played on several seeds: what others have met, or what a rule is there for.

use std::time::Duration;

use catalog::Command;
use control::{Control, Role};

use super::super::check::{B2, V2};
use super::super::links::{Machine, Weather};
use super::world::{State, World};
use crate::Violation;
use crate::check::ensure;

/// How long a cluster may be without a leader who can do anything.
const REPLACED: Duration = Duration::from_secs(10);

/// How long one who gets time again may believe what is not so any more.
const STEPS_DOWN: Duration = Duration::from_secs(2);

/// After so long a command is under way and hardly agreed on.
const UNDER_WAY: Duration = Duration::from_millis(2);

/// A situation.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// Its name.
    pub name: &'static str,
    /// How many nodes there are.
    pub(super) nodes: usize,
    /// What happens to the leader.
    happens: fn(&mut State, Machine),
}

/// All of them.
pub const SCRIPTS: &[Script] = &[
    Script {
        name: "a leader that can send and cannot hear",
        nodes: 3,
        happens: |state, leader| state.links.set(&Weather::Deaf(leader)),
    },
    Script {
        name: "a leader that can hear and cannot send",
        nodes: 3,
        happens: |state, leader| state.links.set(&Weather::Mute(leader)),
    },
    Script {
        name: "a leader alone",
        nodes: 5,
        happens: |state, leader| state.links.set(&Weather::Alone(leader)),
    },
    Script {
        name: "a leader with one other of five",
        nodes: 5,
        happens: |state, leader| {
            let others: Vec<Machine> = state.links.others(leader).collect();
            for other in others.into_iter().skip(1) {
                state.links.cut(leader, other);
                state.links.cut(other, leader);
            }
        },
    },
    Script {
        name: "a leader that gets no time for ten seconds",
        nodes: 3,
        happens: |state, leader| {
            let _ = state.pause(leader, REPLACED);
        },
    },
];

impl Script {
    /// The nodes form a cluster, answers get lost, the leader is asked for something and then cannot lead; somebody
    /// else leads in time, and then for good, and the leader of before does not; all is well again, and everything
    /// is in order.
    pub(super) async fn play(&self, world: &World) -> Result<(), Violation> {
        for machine in 0..self.nodes {
            world.start(machine, machine == 0);
            world.pass(Duration::from_millis(500)).await?;
        }
        world.pass(Duration::from_secs(8)).await?;
        let leader = world.lock().leading_machine();
        let leader = leader.ok_or_else(|| Violation::new(V2, "nobody leads"))?;
        let others: Vec<Machine> = (0..self.nodes).filter(|it| *it != leader).collect();
        for other in &others {
            world.ask_again(leader, *other).await?;
        }
        world.ask_once(leader);
        tokio::time::sleep(UNDER_WAY).await;
        {
            let mut state = world.lock();
            state.note(format_args!("{}: {leader}", self.name));
            (self.happens)(&mut state, leader);
        }
        world.replaced(leader, &others).await?;
        world.settle_all().await
    }
}

impl World {
    /// A command whose answer is lost on its way back, so that it is asked again: E6 and M1 tell whether it
    /// takes effect twice.
    async fn ask_again(&self, leader: Machine, other: Machine) -> Result<(), Violation> {
        self.lock().links.cut(leader, other);
        self.ask_once(other);
        self.pass(Duration::from_millis(700)).await?;
        self.lock().links.heal();
        self.pass(Duration::from_secs(3)).await
    }

    /// Asks for something, and does not wait for the answer.
    fn ask_once(&self, machine: Machine) {
        let asker = self.lock().serving_on(&[machine]).first().cloned();
        if let Some((process, control)) = asker {
            let command = Command::TakeProducerIds { count: 1 };
            let world = self.clone();
            let asking = async move { world.ask(process, &control, command).await };
            drop(self.spawn(process, asking));
        }
    }

    /// B2.
    async fn replaced(&self, old: Machine, others: &[Machine]) -> Result<(), Violation> {
        self.pass(REPLACED).await?;
        let new = self.lock().leading_among(others);
        ensure(new.is_some(), B2, || {
            format!("nobody has replaced the leader on machine {old}")
        })?;
        let was_stopped = self.lock().is_paused(old);
        self.resume_on(old);
        let before = self.lock().watch.terms();
        self.pass(STEPS_DOWN).await?;
        let leads_on = was_stopped && self.lock().believes_to_lead(old);
        ensure(!leads_on, B2, || {
            format!("the leader on machine {old} has been replaced, and leads on")
        })?;
        self.pass(Duration::from_secs(20) - STEPS_DOWN).await?;
        let state = self.lock();
        let kept = state.leading_among(others);
        ensure(kept == new, B2, || {
            format!("machine {new:?} led, and then {kept:?}")
        })?;
        let changes = state.watch.terms() - before;
        ensure(changes <= 1, B2, || {
            format!("{changes} leaders in 20 seconds")
        })
    }
}

impl State {
    fn is_paused(&self, machine: Machine) -> bool {
        let process = self.process_on(machine);
        process.is_some_and(|process| self.pause_of(process).is_on())
    }

    fn believes_to_lead(&self, machine: Machine) -> bool {
        let serving = self.serving_on(&[machine]);
        serving
            .iter()
            .any(|(_, control)| control.status().role == Role::Leader)
    }

    /// Where the controller is.
    pub(super) fn leading_machine(&self) -> Option<Machine> {
        let all: Vec<Machine> = (0..self.machines.len()).collect();
        self.leading_among(&all)
    }

    /// Who of these leads, and has heard a quorum lately.
    fn leading_among(&self, machines: &[Machine]) -> Option<Machine> {
        let leads = |control: &Control| {
            let status = control.status();
            status.role == Role::Leader && status.controller == status.me
        };
        let mut leading = self.serving().filter(|(_, _, control)| leads(control));
        leading.find_map(|(id, _, _)| self.machine_of(id).filter(|it| machines.contains(it)))
    }
}
