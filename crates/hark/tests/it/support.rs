//! Running the binary.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A command of the binary that sees none of the settings of the person who runs the tests.
pub(crate) fn hark(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hark"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HARK_") {
            command.env_remove(name);
        }
    }
    command
        .env("COLUMNS", "100")
        .args(args)
        .stdin(Stdio::null());
    command
}

/// What a command answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Answer {
    answer(command.output().unwrap())
}

/// Runs a command to its end with this standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Answer {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // From another thread: the command may answer before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let answer = answer(child.wait_with_output().unwrap());
    // A command that ends early closes the pipe; its answer says why.
    drop(writer.join().unwrap());
    answer
}

fn answer(output: Output) -> Answer {
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A process that does not outlive its test.
#[derive(Debug)]
pub(crate) struct Bound(pub(crate) Child);

impl Drop for Bound {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A running node.
#[derive(Debug)]
pub(crate) struct Node {
    process: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) banner: Value,
    pub(crate) url: String,
}

impl Node {
    /// Starts a node on this directory with these options of `serve`.
    pub(crate) fn start(data: &Path, options: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", data, options)
    }

    /// The same at this address.
    pub(crate) fn start_at(address: &str, data: &Path, options: &[&str]) -> Self {
        let mut command = hark(&["--output", "json", "serve", "--http", address]);
        command.arg("--data").arg(data).args(options);
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            process
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut said)
                .unwrap();
            process.wait().unwrap();
            panic!("the node did not start: {said}");
        }
        let banner: Value = serde_json::from_str(&line).unwrap();
        let url = banner["http"].as_str().unwrap().to_owned();
        Self {
            process,
            stdout,
            banner,
            url,
        }
    }

    /// A command that talks to this node.
    pub(crate) fn hark(&self, args: &[&str]) -> Command {
        let mut command = hark(args);
        command.env("HARK_SERVER", &self.url);
        command
    }

    /// Runs a command that talks to this node and must succeed; its output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let answer = run(&mut self.hark(args));
        assert_eq!(answer.code, Some(0), "{args:?}: {answer:?}");
        answer.stdout
    }

    /// Its JSON output.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["--output", "json"], args].concat())).unwrap()
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end; the code and what else it printed.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap().code(), rest)
    }

    /// Waits for its end by itself; the code and what it said on standard error.
    pub(crate) fn complaint(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.process.wait().unwrap().code(), said)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A node on a directory of its own.
pub(crate) fn node() -> (TempDir, Node) {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(&data.path().join("data"), &[]);
    (data, node)
}

/// An address on which nobody listens.
pub(crate) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
