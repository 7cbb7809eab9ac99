//! `hark local`: a cluster of real nodes on this machine, for trying things out.
//!
//! Everything is in one directory: a file that says which nodes there are and which processes run them,
//! and a data directory for each. A process is only ever signalled after it was recognised as the one
//! that was started here; a number alone may belong to somebody else by now.

mod process;
mod roster;
mod show;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use model::NodeId;

use process::Signal;
use roster::{LocalNode, Roster};

use crate::config::Settings;
use crate::exit::{Exit, Failure, Outcome, While as _};
use crate::output::Out;
use crate::units::Span;

/// How long a node has to end after it was asked to, before it is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to do with the local cluster.
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum LocalCommand {
    /// Start a cluster, or start again all of it that does not run.
    Up(UpArgs),
    /// Stop all nodes; their data stays.
    Down(DownArgs),
    /// Show the nodes and their cluster.
    Status(PlaceArgs),
    /// End a node as a crash would (SIGKILL).
    Kill(NodeArgs),
    /// Stop a node in order (SIGTERM).
    Stop(NodeArgs),
    /// Start a node that does not run.
    Start(NodeArgs),
    /// Show the end of what a node has logged.
    Logs(NodeArgs),
}

/// Where the local cluster is.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Directory of the local cluster.
    #[arg(
        long,
        env = "HARK_LOCAL_DIR",
        value_name = "DIR",
        default_value = "hark-local"
    )]
    dir: PathBuf,
}

/// Options of `hark local up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// How many nodes [default: 3, or as many as there are].
    #[arg(long, env = "HARK_LOCAL_NODES", value_name = "N")]
    nodes: Option<u16>,
    /// HTTP port of the first node; each node takes one port there and one 876 above, for the others
    /// [default: 7070].
    #[arg(long, env = "HARK_LOCAL_BASE_PORT", value_name = "PORT")]
    base_port: Option<u16>,
    /// How long to wait for the cluster to form.
    #[arg(
        long,
        env = "HARK_LOCAL_TIMEOUT",
        value_name = "DURATION",
        default_value = "30s"
    )]
    timeout: Span,
    /// More options for `hark serve` of every node, after `--`.
    #[arg(last = true, value_name = "SERVE-OPTION")]
    serve: Vec<String>,
}

/// Options of `hark local down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Remove the nodes' data, too; needs --yes.
    #[arg(long, env = "HARK_LOCAL_WIPE")]
    wipe: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// One node of the local cluster.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Its id.
    #[arg(value_name = "NODE")]
    node: NodeId,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs the command.
pub(crate) fn run(command: LocalCommand, settings: &Settings) -> Outcome {
    let mut out = Out::new(settings.format);
    match command {
        LocalCommand::Up(args) => up(args, &mut out),
        LocalCommand::Down(args) => down(&args, &mut out),
        LocalCommand::Status(place) => show::status(&Roster::open(&place.dir)?, &mut out),
        LocalCommand::Kill(args) => end(&args, Signal::Kill, &mut out),
        LocalCommand::Stop(args) => end(&args, Signal::Terminate, &mut out),
        LocalCommand::Start(args) => start_one(&args, &mut out),
        LocalCommand::Logs(args) => {
            let roster = Roster::open(&args.place.dir)?;
            show::logs(&roster, roster.node(args.node)?, &mut out)
        }
    }?;
    out.flush()
}

/// Starts what does not run, and waits until all nodes know each other.
fn up(args: UpArgs, out: &mut Out) -> Outcome {
    let mut roster = Roster::open_or_make(&args.place.dir, args.nodes, args.base_port, args.serve)?;
    let idle: Vec<NodeId> = roster
        .nodes()
        .filter(|node| !node.is_running())
        .map(|node| node.id())
        .collect();
    if idle.is_empty() {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "the cluster in {} runs already; look with `hark local status`, or stop it with `hark local down`",
                args.place.dir.display()
            ),
        ));
    }
    for id in idle {
        roster.start(id)?;
    }
    show::formed(&roster, args.timeout.0, out)
}

/// Asks all nodes to stop, and kills those that do not.
fn down(args: &DownArgs, out: &mut Out) -> Outcome {
    if args.wipe && !args.yes {
        return Err(Failure::usage(
            "--wipe removes all records of the local cluster for ever; repeat it with --yes",
        ));
    }
    let mut roster = Roster::open(&args.place.dir)?;
    let running: Vec<NodeId> = roster
        .nodes()
        .filter(|node| node.is_running())
        .map(LocalNode::id)
        .collect();
    for id in &running {
        roster.node(*id)?.signal(Signal::Terminate)?;
    }
    for id in &running {
        let node = roster.node(*id)?;
        if !node.ended_within(PATIENCE) {
            node.signal(Signal::Kill)?;
            node.ended_within(PATIENCE);
        }
        roster.forget_process(*id)?;
    }
    if args.wipe {
        roster.wipe()?;
    }
    show::ended_by("stopped", &running, args.wipe, out)
}

fn end(args: &NodeArgs, signal: Signal, out: &mut Out) -> Outcome {
    let mut roster = Roster::open(&args.place.dir)?;
    let node = roster.node(args.node)?;
    if !node.is_running() {
        return Err(Failure::new(
            Exit::Refused,
            format!("node {} does not run", args.node),
        ));
    }
    node.signal(signal)?;
    if !node.ended_within(PATIENCE) {
        return Err(Failure::new(
            Exit::Timeout,
            format!("node {} has not ended yet", args.node),
        ));
    }
    roster.forget_process(args.node)?;
    let how = match signal {
        Signal::Kill => "killed",
        Signal::Terminate => "stopped",
    };
    show::ended_by(how, &[args.node], false, out)
}

fn start_one(args: &NodeArgs, out: &mut Out) -> Outcome {
    let mut roster = Roster::open(&args.place.dir)?;
    if roster.node(args.node)?.is_running() {
        return Err(Failure::new(
            Exit::Refused,
            format!("node {} runs already", args.node),
        ));
    }
    roster.start(args.node)?;
    show::answers(roster.node(args.node)?, PATIENCE, out)
}

/// Runs the few calls that need a runtime.
fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .while_doing("start the runtime")?
        .block_on(work)
}
