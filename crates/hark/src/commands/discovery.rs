//! `hark discovery`: keeps the map of brokers for nodes that start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use door_http::Registry as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::serve::http_address;
use super::stop::StopSignal;
use crate::config::Settings;
use crate::discovery::{FileRegistry, push};
use crate::exit::{Exit, Failure, Outcome, While as _};
use crate::output::{Format, Out};

/// Options of `hark discovery`.
#[derive(Debug, Args)]
pub(crate) struct DiscoveryArgs {
    /// Address to listen on; port 0 takes any free one.
    #[arg(
        long,
        env = "HARK_DISCOVERY_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7900",
        value_parser = http_address
    )]
    pub listen: SocketAddr,
    /// File that keeps the map.
    #[arg(
        long,
        env = "HARK_DISCOVERY_FILE",
        value_name = "FILE",
        default_value = "hark-brokers.json"
    )]
    pub file: PathBuf,
}

/// Serves until it is told to stop.
pub(crate) fn run(args: DiscoveryArgs, settings: &Settings) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .while_doing("start the runtime")?;
    runtime.block_on(live(args, settings.format))
}

async fn live(args: DiscoveryArgs, format: Format) -> Outcome {
    let stop = StopSignal::new()?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        let why = format!("cannot listen on {}: {error}", args.listen);
        Failure::new(Exit::Refused, why)
    })?;
    let registry = Arc::new(FileRegistry::open(args.file.clone())?);
    let address = listener.local_addr()?;
    say(&args, address, &registry, format)?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .while_doing("start the HTTP client")?;
    let pushing = tokio::spawn(push(registry.changes(), http));
    door_http::serve_discovery(listener, registry, stop.received()).await;
    pushing.abort();
    Ok(())
}

fn say(
    args: &DiscoveryArgs,
    address: SocketAddr,
    registry: &FileRegistry,
    format: Format,
) -> Outcome {
    let mut out = Out::new(format);
    let brokers = registry.map().brokers.len();
    match format {
        Format::Json => out.json(&json!({
            "address": address.to_string(),
            "file": args.file,
            "brokers": brokers,
        }))?,
        Format::Table => out.line(&format!(
            "Hark discovery on http://{address}, map in {} ({brokers} brokers)\n\n\
             Start nodes with\n  hark serve --discovery http://{address}",
            args.file.display()
        ))?,
    }
    out.flush()
}
