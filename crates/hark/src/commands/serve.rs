//! `hark serve`: options of a node, and its life from start to signal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use model::limits::{COMMIT_RETENTION_DEFAULT, DISK_READS_MAX};
use serde::Deserialize;

use crate::assemble::{self, Engine, Keys, NODE_NAME_DEFAULT, NodePlan};
use crate::config::Settings;
use crate::exit::{Exit, Failure, Outcome, While as _};
use crate::logging;
use crate::output::{self, Format, Out};
use crate::units::{Size, Span};

/// The key itself may come from the environment, never from the command line, which every user of
/// the machine can read.
const KEY_VARIABLE: &str = "HARK_STORAGE_KEY";
/// Threads for work that blocks. Reads from a slow disk may take their share for long; what remains
/// is for the control database and for checks, without which nothing can be published.
const BLOCKING_THREADS_MAX: usize = DISK_READS_MAX + 16;

/// Options of `hark serve` and keys of the table `[serve]`.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ServeOptions {
    /// Directory for records, control data and log files; made when missing
    /// [default: ./hark-data].
    #[arg(long, env = "HARK_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address of the HTTP door; port 0 takes any free one [default: 127.0.0.1:7070].
    #[arg(long, env = "HARK_HTTP", value_name = "ADDR", value_parser = http_address)]
    pub http: Option<SocketAddr>,
    /// Storage engine; a data directory stays with the one it began with [default: log].
    #[arg(long, env = "HARK_STORE", value_name = "ENGINE")]
    pub store: Option<Engine>,
    /// Name of this node, used for its log file [default: node].
    #[arg(long, env = "HARK_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Encrypt records at rest with the keys in this file (mode 0600; a line per key,
    /// `ID:64 hexadecimal digits`); or give the text of such a file in HARK_STORAGE_KEY.
    #[arg(long, env = "HARK_ENCRYPTION_KEY_FILE", value_name = "FILE")]
    pub encryption_key_file: Option<PathBuf>,
    /// Refuse to publish to a topic that does not exist, instead of making it.
    #[arg(long, env = "HARK_NO_AUTO_CREATE_TOPICS", value_parser = BoolishValueParser::new())]
    pub no_auto_create_topics: bool,
    /// Partitions of a topic whose maker does not say [default: 1].
    #[arg(long, env = "HARK_DEFAULT_PARTITIONS", value_name = "N")]
    pub default_partitions: Option<u32>,
    /// How long the records of topics that set nothing are kept [default: for ever].
    #[arg(long, env = "HARK_RETENTION", value_name = "DURATION")]
    pub retention: Option<Span>,
    /// How many bytes each partition of topics that set nothing keeps [default: all].
    #[arg(long, env = "HARK_RETENTION_BYTES", value_name = "SIZE")]
    pub retention_bytes: Option<Size>,
    /// Size of a segment file of topics that set nothing [default: 256MiB].
    #[arg(long, env = "HARK_SEGMENT_BYTES", value_name = "SIZE")]
    pub segment_bytes: Option<Size>,
    /// Largest batch that topics take which set nothing [default: 1MiB].
    #[arg(long, env = "HARK_MAX_MESSAGE_BYTES", value_name = "SIZE")]
    pub max_message_bytes: Option<Size>,
    /// How often old records are looked for and deleted [default: 30s].
    #[arg(long, env = "HARK_RETENTION_INTERVAL", value_name = "DURATION")]
    pub retention_interval: Option<Span>,
    /// How long the commits of a group without members are kept [default: 7d].
    #[arg(long, env = "HARK_COMMIT_RETENTION", value_name = "DURATION")]
    pub commit_retention: Option<Span>,
    /// How long the first members of a group wait for each other [default: 200ms].
    #[arg(long, env = "HARK_REBALANCE_DELAY", value_name = "DURATION")]
    pub rebalance_delay: Option<Span>,
    /// What the log tells: error, warn, info, debug, trace, or by part as in `info,broker=debug`
    /// [default: info].
    #[arg(long, env = "HARK_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,
}

/// Runs a node until it is told to stop.
pub(crate) fn run(options: ServeOptions, settings: Settings) -> Outcome {
    let options = options.over(settings.serve);
    let level = options
        .log_level
        .clone()
        .unwrap_or_else(|| "info".to_owned());
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
    let mut out = Out::new(format);
    show_banner(&mut out, node.banner())?;
    let stopped = node.run_until(stop.received()).await;
    tracing::info!("stopped");
    stopped
}

impl ServeOptions {
    /// These options; where they say nothing, those.
    fn over(self, below: Self) -> Self {
        Self {
            data: self.data.or(below.data),
            http: self.http.or(below.http),
            store: self.store.or(below.store),
            node_name: self.node_name.or(below.node_name),
            encryption_key_file: self.encryption_key_file.or(below.encryption_key_file),
            no_auto_create_topics: self.no_auto_create_topics || below.no_auto_create_topics,
            default_partitions: self.default_partitions.or(below.default_partitions),
            retention: self.retention.or(below.retention),
            retention_bytes: self.retention_bytes.or(below.retention_bytes),
            segment_bytes: self.segment_bytes.or(below.segment_bytes),
            max_message_bytes: self.max_message_bytes.or(below.max_message_bytes),
            retention_interval: self.retention_interval.or(below.retention_interval),
            commit_retention: self.commit_retention.or(below.commit_retention),
            rebalance_delay: self.rebalance_delay.or(below.rebalance_delay),
            log_level: self.log_level.or(below.log_level),
        }
    }
}

/// Fills in the defaults and refuses what makes no sense.
pub(crate) fn plan(options: ServeOptions, key_text: Option<String>) -> Outcome<NodePlan> {
    let topic_defaults = topic_defaults(&options)?;
    let name = options
        .node_name
        .unwrap_or_else(|| NODE_NAME_DEFAULT.to_owned());
    check_name(&name)?;
    let keys = match (options.encryption_key_file, key_text) {
        (None, None) => Keys::None,
        (Some(file), None) => Keys::File(file),
        (None, Some(text)) => Keys::Text(text.into()),
        (Some(_), Some(_)) => {
            return Err(Failure::config(format!(
                "both encryption-key-file and {KEY_VARIABLE} are set; keep one"
            )));
        }
    };
    let partitions = options.default_partitions.unwrap_or(1);
    check_partitions(partitions)?;
    Ok(NodePlan {
        data: options.data.unwrap_or_else(|| PathBuf::from("hark-data")),
        http: options
            .http
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7070))),
        engine: options.store.unwrap_or_default(),
        name,
        keys,
        broker: broker::BrokerOptions {
            auto_create_topics: !options.no_auto_create_topics,
            default_partitions: partitions,
            commit_retention: options
                .commit_retention
                .map_or(COMMIT_RETENTION_DEFAULT, |s| s.0),
            retention_interval: at_least(options.retention_interval, "retention-interval", 30_000)?,
            initial_rebalance_delay: options
                .rebalance_delay
                .map_or(Duration::from_millis(200), |span| span.0),
            topic_defaults,
        },
    })
}

fn topic_defaults(options: &ServeOptions) -> Outcome<broker::TopicSettings> {
    let defaults = broker::TopicSettings {
        retention: options.retention.map(|span| span.0),
        retention_bytes: options.retention_bytes.map(|size| size.0),
        segment_bytes: options.segment_bytes.map(|size| size.0),
        // A size past the address space is past every limit too.
        max_message_bytes: options
            .max_message_bytes
            .map(|size| usize::try_from(size.0).unwrap_or(usize::MAX)),
    };
    match defaults.check() {
        Ok(()) => Ok(defaults),
        Err(error) => Err(Failure::config(format!("defaults for topics: {error}"))),
    }
}

fn http_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write IP:PORT, as in 127.0.0.1:7070, or 0.0.0.0:7070 for every address".to_owned()
    })
}

/// The name becomes part of a file name.
fn check_name(name: &str) -> Outcome {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    if fits && !name.starts_with('.') {
        return Ok(());
    }
    Err(Failure::config(format!(
        "node-name '{name}': 1 to 64 letters, digits, '.', '_' or '-', not beginning with '.'"
    )))
}

fn check_partitions(partitions: u32) -> Outcome {
    let most = model::limits::PARTITIONS_PER_TOPIC_MAX;
    if (1..=most).contains(&partitions) {
        return Ok(());
    }
    Err(Failure::config(format!(
        "default-partitions {partitions}: a topic has 1 to {most}"
    )))
}

/// A period of less than 100 ms would keep the node busy with nothing else.
fn at_least(span: Option<Span>, key: &str, default_ms: u64) -> Outcome<Duration> {
    let period = span.map_or_else(|| Duration::from_millis(default_ms), |span| span.0);
    if period.as_millis() >= 100 {
        return Ok(period);
    }
    Err(Failure::config(format!(
        "{key} {}: must be 100ms or more",
        Span(period)
    )))
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

/// Ctrl-C, or the polite signal of an init system.
#[derive(Debug)]
struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn new() -> Outcome<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).while_doing("listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Returns at the first signal. A second one ends the process at once, which loses nothing
    /// that was acknowledged.
    async fn received(mut self) {
        let name = self.next().await;
        tracing::info!(signal = name, "stopping; once more to stop at once");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(Exit::Interrupted as i32);
        });
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
