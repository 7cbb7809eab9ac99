//! One node of a cluster as a real process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::Value;

use crate::binary::{command, command_in_namespace};
use crate::port::free_port;
use crate::process::Process;

/// How long a node may take to answer after its start, to end, or to refuse to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A `hark serve` that keeps its directory and its addresses over restarts.
#[derive(Debug)]
pub struct Member {
    data: PathBuf,
    http: SocketAddr,
    peer: SocketAddr,
    options: Vec<String>,
    namespace: Option<String>,
    process: Option<Process>,
    client: Client,
}

impl Member {
    /// A node of this machine that does not run yet, with its data in `data`.
    pub fn new(data: &Path) -> Result<Self> {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let http = SocketAddr::new(local, free_port()?);
        let peer = SocketAddr::new(local, free_port()?);
        Self::at(data, http, peer, None)
    }

    /// The same in a network namespace, with these addresses.
    pub fn in_namespace(
        data: &Path,
        http: SocketAddr,
        peer: SocketAddr,
        namespace: &str,
    ) -> Result<Self> {
        Self::at(data, http, peer, Some(namespace.to_owned()))
    }

    fn at(
        data: &Path,
        http: SocketAddr,
        peer: SocketAddr,
        namespace: Option<String>,
    ) -> Result<Self> {
        Ok(Self {
            data: data.to_owned(),
            http,
            peer,
            options: Vec::new(),
            namespace,
            process: None,
            client: Client::builder().timeout(ANSWER_TIMEOUT).build()?,
        })
    }

    /// Adds options for its next starts.
    pub fn options<S: Into<String>>(&mut self, options: impl IntoIterator<Item = S>) {
        self.options.extend(options.into_iter().map(Into::into));
    }

    /// Where other nodes reach it.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where it serves HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Where it serves HTTP.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.http
    }

    /// Where its data is.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Whether the process was started and not ended by the test.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts the process and does not wait for it.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        let process = Process::start(&mut self.command(), &self.said_path())?;
        self.process = Some(process);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut serve = match &self.namespace {
            None => command(),
            Some(namespace) => command_in_namespace(namespace),
        };
        serve
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .args(["--http", &self.http.to_string()])
            .args(["--peer-address", &self.peer.to_string()])
            .args(&self.options);
        serve
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while self.get("/readyz").await.is_err() {
            let process = self.process.as_mut().context("it does not run")?;
            if let Some(status) = process.ended() {
                bail!("the node ended with {status}: {}", self.said());
            }
            if started.elapsed() > PATIENCE {
                bail!("the node is not ready after {PATIENCE:?}: {}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Starts a process that is expected to be refused: its exit code and what it said.
    pub async fn refused(&mut self) -> Result<(i32, String)> {
        self.start()?;
        self.ends().await
    }

    /// Waits until the process ends by itself: its exit code and all that it said.
    pub async fn ends(&mut self) -> Result<(i32, String)> {
        let mut process = self.process.take().context("it does not run")?;
        let status = process.end(PATIENCE).await?;
        Ok((status.code().unwrap_or(-1), process.said()))
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill())
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let (code, said) = self.ends().await?;
        ensure!(code == 0, "stopped with {code}: {said}");
        Ok(())
    }

    /// Holds it where it stands.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().context("it does not run")?;
        process.signal(signal)
    }

    /// `GET /status`.
    pub async fn status(&self) -> Result<Value> {
        self.get("/status").await
    }

    /// A request without a body; the answer, which must be a success.
    pub async fn get(&self, target: &str) -> Result<Value> {
        self.ask(Method::GET, target, None).await
    }

    /// A request with a body of JSON, or none; the answer, which must be a success.
    pub async fn post(&self, target: &str, body: Option<Value>) -> Result<Value> {
        self.ask(Method::POST, target, body).await
    }

    /// Any request; the answer, which must be a success.
    pub async fn ask(&self, method: Method, target: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self
            .client
            .request(method, format!("{}{target}", self.url()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{target}: {status} {text}");
        // Health has no JSON.
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// What it has printed so far, over all its starts.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.said_path()).unwrap_or_default()
    }

    fn said_path(&self) -> PathBuf {
        self.data.with_extension("said")
    }
}
