//! The life of a process: it opens what its disk holds, enters the cluster as the assembly of a node does,
//! and serves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Addresses, Outcome, Registration};
use control::{Control, ControlError, ControlOptions, Introduction, Newcomer, Seams};
use model::Site;
use parking_lot::Mutex;
use peer::membership::MemberId;
use seglog::disk::sim::Rng;
use tokio::time::{sleep, timeout};

use super::super::gossips::{Process, address_of};
use super::super::links::Machine;
use super::faults::Fault;
use super::process::{End, WholeProcess};
use super::senses::Senses;
use super::wire::{Wire, way};
use super::world::{State, World};

/// Until one who asks for a place asks the next.
const JOIN_PATIENCE: Duration = Duration::from_secs(3);

impl World {
    /// Starts a process on a machine. The founder begins a cluster on an empty disk, others join one.
    pub(super) fn start(&self, machine: Machine, founds: bool) -> Process {
        let process = {
            let mut state = self.lock();
            state.report.starts += 1;
            let process = state.report.starts;
            let started = state.now();
            state
                .processes
                .insert(process, WholeProcess::new(machine, started));
            let pace = state.draw_pace();
            if let Some(machine) = state.machines.get_mut(machine) {
                machine.retired = false;
                machine.clocks.begin_anew(pace);
            }
            state.note(format_args!(
                "process {process} starts on machine {machine}"
            ));
            process
        };
        let life = live(self.clone(), process, machine, founds);
        drop(self.spawn(process, life));
        process
    }
}

async fn live(world: World, process: Process, machine: Machine, founds: bool) {
    let control = match open(&world, process, machine).await {
        Ok(control) => control,
        Err(why) => return world.lock().end_soon(process, End::Failed(why)),
    };
    let introduction = introduction(&world, machine);
    let entered = loop {
        match enter(&world, process, &control, &introduction, founds).await {
            Ok(outcome) => break outcome,
            Err(ControlError::Unavailable(_)) => sleep(Duration::from_millis(200)).await,
            Err(error) => return world.lock().end_soon(process, end_of(&error)),
        }
    };
    if let Outcome::Registered {
        id, incarnation, ..
    } = entered
    {
        let me = MemberId {
            node: id,
            incarnation,
            boot: control.boot(),
            renewals: 0,
            address: address_of(machine),
        };
        serve(&world, process, machine, me);
        follow(&world, process, &control).await;
    }
}

async fn open(world: &World, process: Process, machine: Machine) -> Result<Control, String> {
    let (options, seams) = {
        let mut state = world.lock();
        let seed = state.rng.next();
        let place = state.machines.get(machine).ok_or("no such machine")?;
        let senses = Arc::new(Senses {
            world: world.clone(),
            process,
            rng: Mutex::new(Rng::new(seed)),
        });
        let options = ControlOptions {
            store: place.disk.open(),
            timings: place.clocks.timings(&state.timings),
            snapshot_after: Some(state.snapshot_after),
        };
        let network = Arc::new(Wire {
            world: world.clone(),
            process,
        });
        let seams = Seams {
            network,
            liveness: senses.clone(),
            clock: senses.clone(),
            entropy: senses,
        };
        (options, seams)
    };
    let control = Control::open(options, seams)
        .await
        .map_err(|error| error.to_string())?;
    let mut state = world.lock();
    state.note_boot(machine, control.boot());
    if let Some(process) = state.processes.get_mut(&process) {
        process.control = Some(control.clone());
    }
    Ok(control)
}

fn introduction(world: &World, machine: Machine) -> Introduction {
    let state = world.lock();
    Introduction {
        id: state
            .machines
            .get(machine)
            .and_then(|machine| machine.wanted),
        site: Site::EVERYWHERE,
        addresses: Addresses {
            peer: address_of(machine).to_string(),
            http: String::new(),
        },
        rack: machine.is_multiple_of(2).then(|| "even".to_owned()),
    }
}

async fn enter(
    world: &World,
    process: Process,
    control: &Control,
    introduction: &Introduction,
    founds: bool,
) -> Result<Outcome, ControlError> {
    if let Some(id) = control.identity().node() {
        let introduction = Introduction {
            id: Some(id),
            ..introduction.clone()
        };
        return control.register(&introduction).await;
    }
    if founds {
        return control.found(introduction).await;
    }
    let registration = control.registration(introduction).await?;
    let outcome = join(world, process, registration).await?;
    control.joined(&outcome).await?;
    Ok(outcome)
}

/// Asks one process after the other to be registered.
async fn join(
    world: &World,
    process: Process,
    registration: Registration,
) -> Result<Outcome, ControlError> {
    let nobody = || ControlError::Unavailable("nobody answers".to_owned());
    let here = world.lock().machine_of(process).ok_or_else(nobody)?;
    let others: Vec<(Process, Machine, Control)> = {
        let state = world.lock();
        let members = state
            .serving()
            .map(|(id, _, control)| (id, control.clone()));
        let placed = members.filter_map(|(id, control)| Some((id, state.machine_of(id)?, control)));
        placed.collect()
    };
    for (other, there, control) in others {
        let Some(delay) = way(world, here, there) else {
            continue;
        };
        sleep(delay).await;
        let claim = claim_of(world, process)?;
        if control.view().admit(&claim).is_err() {
            continue;
        }
        let asked = registration.clone();
        let handling = world.spawn(other, async move {
            let newcomer = Newcomer {
                claim: &claim,
                is_named: true,
            };
            control.handle_join(&newcomer, asked).await
        });
        let Ok(Ok(answer)) = timeout(JOIN_PATIENCE, handling).await else {
            continue;
        };
        if let (Some(delay), Ok(answer)) = (way(world, there, here), answer) {
            sleep(delay).await;
            return answer.map_err(ControlError::Refused);
        }
    }
    Err(nobody())
}

fn claim_of(world: &World, process: Process) -> Result<catalog::Claim, ControlError> {
    let state = world.lock();
    let control = state
        .processes
        .get(&process)
        .and_then(|process| process.control.as_ref());
    let ended = || ControlError::Unavailable("ended".to_owned());
    control.map(Control::claim).ok_or_else(ended)
}

fn serve(world: &World, process: Process, machine: Machine, me: MemberId) {
    let mut state = world.lock();
    let now = state.now();
    let clocks = state.clocks_of(process);
    state.gossips.start(now, process, (machine, clocks), me);
    if let Some(process) = state.processes.get_mut(&process) {
        process.serves = Some((me.node, me.incarnation));
    }
    state.note(format_args!(
        "process {process} serves node {} as {}",
        me.node, me.incarnation
    ));
    drop(state);
    world.ring();
}

/// Tells the membership of the process who is in the catalog, and ends when its own node is not.
async fn follow(world: &World, process: Process, control: &Control) {
    let mut views = control.watch();
    loop {
        let catalog = views.borrow_and_update().clone();
        if let Err(refusal) = catalog.admit(&control.claim()) {
            let why = refusal.to_string();
            return world.lock().end_soon(process, End::Refused(why));
        }
        let nodes = catalog.nodes();
        let address = |text: &str| text.parse::<SocketAddr>().ok();
        let roster: BTreeMap<_, _> = nodes
            .filter_map(|node| Some((node.id, address(&node.addresses.peer)?)))
            .collect();
        {
            let mut state = world.lock();
            let now = state.now();
            let state = &mut *state;
            state
                .gossips
                .set_roster(now, process, &roster, &mut state.links);
        }
        world.ring();
        if views.changed().await.is_err() {
            return;
        }
    }
}

impl State {
    /// By how many thousandths the clock of the next process is fast.
    fn draw_pace(&mut self) -> i64 {
        if !self.are_clocks_off || self.rng.chance(30) {
            return 0;
        }
        self.report.faults.note(Fault::OffPace);
        let off = 5 + self.rng.below(16).cast_signed();
        if self.rng.chance(50) { off } else { -off }
    }
}

fn end_of(error: &ControlError) -> End {
    match error {
        ControlError::Refused(_) | ControlError::Abandoned(_) => End::Refused(error.to_string()),
        _ => End::Failed(error.to_string()),
    }
}
