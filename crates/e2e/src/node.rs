//! One node as a real process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::binary::{command, command_short_of_files};
use crate::port::free_port;
use crate::process::Process;

/// How long a node may take to answer after its start.
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// A running `hark serve` with its own data directory and a port that it keeps over restarts.
#[derive(Debug)]
pub struct Node {
    data: TempDir,
    port: u16,
    options: Vec<String>,
    open_files_max: Option<u32>,
    process: Option<Process>,
}

impl Node {
    /// Starts a node with these options beside `--data` and `--http`, and waits until it is ready.
    pub async fn start(options: &[&str]) -> Result<Self> {
        Self::start_with(options, None).await
    }

    /// The same, but the process can have only so many files and connections open.
    pub async fn start_short_of_files(open_files_max: u32) -> Result<Self> {
        Self::start_with(&[], Some(open_files_max)).await
    }

    async fn start_with(options: &[&str], open_files_max: Option<u32>) -> Result<Self> {
        let port = free_port()?;
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let data = tempfile::tempdir()?;
        let mut node = Self {
            data,
            port,
            options,
            open_files_max,
            process: None,
        };
        node.restart().await?;
        Ok(node)
    }

    /// Where it serves HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }

    /// Whether the process is there.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
    }

    /// Ends the process at once, as a crash would: SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts the process (again) on the same data and port, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let mut serve = self
            .open_files_max
            .map_or_else(command, command_short_of_files);
        serve
            .arg("serve")
            .arg("--data")
            .arg(self.data.path().join("node"))
            .args(["--http", &format!("127.0.0.1:{}", self.port)])
            .args(&self.options);
        let said = self.data.path().join("said");
        self.process = Some(Process::start(&mut serve, &said)?);
        self.ready().await
    }

    async fn ready(&mut self) -> Result<()> {
        let started = Instant::now();
        let url = format!("{}/readyz", self.url());
        loop {
            if let Some(status) = self.process.as_mut().and_then(Process::ended) {
                bail!("the node ended with {status}: {}", self.said());
            }
            if reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            if started.elapsed() > READY_DEADLINE {
                bail!(
                    "the node is not ready after {READY_DEADLINE:?}: {}",
                    self.said()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it has printed so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.data.path().join("said")).unwrap_or_default()
    }
}
