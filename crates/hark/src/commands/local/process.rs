//! Processes that were started here, and how they are told from others.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use serde::{Deserialize, Serialize};

use crate::exit::{Failure, Outcome, While as _};

/// How often it is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(20);
/// Where the time of its start stands in a process's `stat`, counted behind its name.
const START_TIME_FIELD: usize = 19;

/// A process, known by its number and the moment of its start: numbers are used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pid: i32,
    /// In the system's clock ticks since it booted.
    started: u64,
}

/// What to tell a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    /// Stop in order.
    Terminate,
    /// Be gone at once.
    Kill,
}

impl Process {
    /// Starts this very program with these arguments, on its own: it outlives the terminal. What it
    /// says goes to the file.
    pub(super) fn start(arguments: &[String], says: &Path) -> Outcome<Self> {
        let program = std::env::current_exe().while_doing("find this program")?;
        let file = File::create(says).while_doing(format_args!("write {}", says.display()))?;
        let errors = file.try_clone().while_doing("write the node's output")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .process_group(0);
        // What was meant for this command is not meant for the nodes.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HARK_") {
                command.env_remove(name);
            }
        }
        let child = command.spawn().while_doing("start a node")?;
        let pid = i32::try_from(child.id()).while_doing("know the node's process")?;
        let started = start_time(pid).ok_or_else(|| Failure::failed("the node ended at once"))?;
        Ok(Self { pid, started })
    }

    /// Whether it is still there. One that has ended and was not waited for is not.
    pub(super) fn is_running(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Its number.
    pub(super) const fn pid(&self) -> i32 {
        self.pid
    }

    /// Tells it; a process that has ended already is content.
    pub(super) fn signal(&self, signal: Signal) -> Outcome {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_running()) else {
            return Ok(());
        };
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        match kill_process(pid, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            outcome => outcome.while_doing(format_args!("signal process {}", self.pid)),
        }
    }

    /// Waits for its end; false when the time was not enough.
    pub(super) fn ended_within(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        while self.is_running() {
            if begun.elapsed() >= patience {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }
}

/// When a process was started; none if there is no such process, or only its remains.
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_start_time(&stat)
}

/// The name of a program may hold anything, so fields are counted from behind its closing parenthesis.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(START_TIME_FIELD - 1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_any_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(parse_start_time(&format!("7 (a) b) {fields}")), Some(4711));
        let remains = fields.replacen('S', "Z", 1);
        assert_eq!(parse_start_time(&format!("7 (hark) {remains}")), None);
        assert_eq!(parse_start_time("7 (hark) S 1"), None);
        assert_eq!(parse_start_time(""), None);
    }

    #[test]
    fn a_number_used_again_is_another_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let started = start_time(pid).unwrap();
        let me = Process { pid, started };
        let other = Process {
            pid,
            started: started + 1,
        };
        assert!(me.is_running());
        assert!(!other.is_running());
        // Were it not recognised, this test would end here.
        other.signal(Signal::Kill).unwrap();
    }
}
