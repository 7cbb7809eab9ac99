//! A node in a process of its own, as a user runs it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use door_http::dto::StatusAnswer;

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
        let program = std::env::current_exe().while_doing("find this program")?;
        let mut command = Command::new(program);
        command.args([
            "--output",
            "json",
            "serve",
            "--http",
            "127.0.0.1:0",
            "--log-level",
            "warn",
        ]);
        command
            .arg("--data")
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let ours = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("HARK_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        let mut process = command.spawn().while_doing("start a node")?;
        let banner = read_banner(&mut process)?;
        let node = Self {
            process,
            address: banner.address,
        };
        tokio::time::timeout(PATIENCE, node.ready())
            .await
            .map_err(|_| Failure::failed("the node did not become ready"))??;
        Ok(node)
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

    /// Ends it as a crash would.
    pub(super) fn kill(mut self) -> Outcome {
        self.process.kill().while_doing("kill the node")?;
        self.process.wait().while_doing("wait for the node")?;
        Ok(())
    }

    async fn ready(&self) -> Outcome {
        loop {
            if let Ok(mut connection) = Connection::open(self.address).await
                && connection
                    .exchange(&request("GET", "/readyz", "", b""))
                    .await
                    .is_ok()
            {
                return Ok(());
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
