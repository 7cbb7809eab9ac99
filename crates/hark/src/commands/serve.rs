//! `hark serve`: a node's life from start to signal.

mod options;
mod plan;

use model::limits::DISK_READS_MAX;

pub(crate) use options::{ServeOptions, http_address};
pub(crate) use plan::plan;

use super::stop::StopSignal;
use crate::assemble::{self, NodePlan};
use crate::config::Settings;
use crate::exit::{Outcome, While as _};
use crate::logging;
use crate::output::{self, Format, Out};

/// The key itself may come from the environment, never from the command line, which every user of
/// the machine can read.
const KEY_VARIABLE: &str = "HARK_STORAGE_KEY";
/// Threads for work that blocks. Reads from a slow disk may take their share for long; what remains
/// is for the control database and for checks, without which nothing can be published.
const BLOCKING_THREADS_MAX: usize = DISK_READS_MAX + 16;

/// Runs a node until it is told to stop.
pub(crate) fn run(options: ServeOptions, settings: Settings) -> Outcome {
    let options = options.over(settings.serve);
    let level = options.log_level.as_deref().unwrap_or("info").to_owned();
    let key_text = std::env::var(KEY_VARIABLE).ok();
    let plan = plan(options, key_text)?;
    assemble::make_directory(&plan)?;
    crate::files::raise_limit();
    let _last_lines = logging::start(&plan.data, &plan.name, &level)?;
    let runtime = node_runtime()?;
    let outcome = runtime.block_on(live(plan, settings.format));
    // A recovery that was interrupted goes on in its thread; it is as safe to end as by a crash.
    runtime.shutdown_background();
    outcome
}

/// From the first file to the last.
async fn live(plan: NodePlan, format: Format) -> Outcome {
    // Listened for from the start: a recovery may be long.
    let mut stop = StopSignal::new()?;
    let node = tokio::select! {
        node = assemble::start(plan) => node?,
        signal = stop.next() => {
            tracing::info!(signal, "stopped before the start was done");
            return Ok(());
        }
    };
    let show = |banner: &assemble::Banner| show_banner(&mut Out::new(format), banner);
    let stopped = node.run_until(stop.received(), show).await;
    tracing::info!("stopped");
    stopped
}

/// One worker per core; few threads for what blocks, so that an idle node stays small.
fn node_runtime() -> Outcome<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("hark")
        .enable_all()
        .build()
        .while_doing("start the runtime")
}

/// Tells where the node is and what to type next.
fn show_banner(out: &mut Out, banner: &assemble::Banner) -> Outcome {
    match out.format {
        Format::Json => out.json(banner)?,
        Format::Table => out.line(&banner.text())?,
    }
    if banner.is_open_to_others() {
        output::note(
            "warning: this address can be reached from other machines, and whoever reaches it can \
             read and write everything",
        );
    }
    out.flush()
}
