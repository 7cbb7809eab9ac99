//! A node in a process of its own, as a user runs it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use door_http::dto::StatusAnswer;
use rustix::process::{Pid, Signal, kill_process};

use super::connection::{Connection, request};
use crate::assemble::Banner;
use crate::exit::{Failure, Outcome, While as _};

/// How long a node may take to become ready, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `hark serve`; killed when dropped.
#[derive(Debug)]
pub(super) struct Node {
    process: Child,
    /// Where it serves HTTP.
    pub address: SocketAddr,
}

impl Node {
    /// Starts a node on this data directory; returns once it answers that it is ready.
    pub(super) async fn start(data: &Path) -> Outcome<Self> {
        let mut command = serve(data, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let started = command.stdout(Stdio::piped()).spawn();
        let mut process = started.while_doing("start a node")?;
        let banner = read_banner(&mut process)?;
        let node = Self {
            process,
            address: banner.address,
        };
        node.ready().await?;
        Ok(node)
    }

    /// Starts a node that serves HTTP at a certain address, and does not wait for it.
    pub(super) fn spawn(data: &Path, http: SocketAddr, options: &[String]) -> Outcome<Self> {
        let mut command = serve(data, http)?;
        let started = command.args(options).stdout(Stdio::null()).spawn();
        Ok(Self {
            process: started.while_doing("start a node")?,
            address: http,
        })
    }

    /// Waits until it answers that it is ready.
    pub(super) async fn ready(&self) -> Outcome {
        tokio::time::timeout(PATIENCE, self.becomes_ready())
            .await
            .map_err(|_| Failure::failed("the node did not become ready"))
    }

    /// The number of its process.
    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Its memory in bytes.
    pub(super) fn resident_bytes(&self) -> Outcome<u64> {
        let path = format!("/proc/{}/status", self.process.id());
        let text = std::fs::read_to_string(path).while_doing("read the node's memory")?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
        let kilobytes = kilobytes.and_then(|number| number.trim().parse::<u64>().ok());
        Ok(kilobytes.ok_or_else(|| Failure::failed("this system does not tell memory"))? * 1024)
    }

    /// What it says about itself.
    pub(super) async fn status(&self) -> Outcome<StatusAnswer> {
        let mut connection = Connection::open(self.address).await?;
        let body = connection
            .exchange(&request("GET", "/status", "", b""))
            .await?;
        serde_json::from_slice(&body).while_doing("read the node's status")
    }

    /// Makes a topic.
    pub(super) async fn make_topic(&self, name: &str, partitions: u32) -> Outcome {
        let target = format!("/admin/topics?name={name}&partitions={partitions}");
        let mut connection = Connection::open(self.address).await?;
        connection
            .exchange(&request("POST", &target, "application/json", b""))
            .await?;
        Ok(())
    }

    /// Ends it as its user would.
    pub(super) fn stop(mut self) -> Outcome {
        kill_process(Pid::from_child(&self.process), Signal::TERM).while_doing("stop the node")?;
        self.process.wait().while_doing("wait for the node")?;
        Ok(())
    }

    /// Ends it as a crash would.
    pub(super) fn kill(mut self) -> Outcome {
        self.process.kill().while_doing("kill the node")?;
        self.process.wait().while_doing("wait for the node")?;
        Ok(())
    }

    async fn becomes_ready(&self) {
        let ask = request("GET", "/readyz", "", b"");
        loop {
            if let Ok(mut connection) = Connection::open(self.address).await
                && connection.exchange(&ask).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// `hark serve` without the settings of whoever measures.
fn serve(data: &Path, http: SocketAddr) -> Outcome<Command> {
    let program = std::env::current_exe().while_doing("find this program")?;
    let mut command = Command::new(program);
    command
        .args(["--output", "json", "serve", "--log-level", "warn"])
        .args(["--http", &http.to_string()])
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null());
    let ours = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("HARK_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    Ok(command)
}

/// The first line that the node prints.
fn read_banner(process: &mut Child) -> Outcome<Banner> {
    let mut line = String::new();
    if let Some(stdout) = process.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .while_doing("read what the node says")?;
    }
    serde_json::from_str(&line).map_err(|_| Failure::failed("the node did not start"))
}
