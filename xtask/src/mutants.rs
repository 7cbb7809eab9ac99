//! The mutation gate: plants one real mistake at a time in a copy of the code that promises rest on, and
//! fails unless the simulator finds every one of them. The shipped code carries no hook for it.
//!
//! The copy is one directory, edited in place, so that each mutant rebuilds few crates only.

mod cluster;
mod table;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::say;

/// One planted mistake.
struct Mutant {
    name: &'static str,
    /// Below `crates/`.
    file: &'static str,
    /// Must occur exactly once in the file; how it is broken into lines does not matter.
    find: &'static str,
    replace: &'static str,
    /// Ids of the invariants that may catch it.
    caught_by: &'static [&'static str],
    /// Who has made the mistake, or why one would.
    why: &'static str,
}

/// What the copy needs to build; everything else of the workspace stays out.
const CRATES: [&str; 9] = [
    "model",
    "wire",
    "overlay",
    "catalog",
    "seglog",
    "control",
    "peer",
    "sim",
    "test-support",
];
/// The crates that the storage sample runs; all others are found out by that of a cluster.
const STORAGE: [&str; 2] = ["wire", "seglog"];
/// The copy's simulator, named apart from the real one, with which it shares the target directory.
const BINARY: &str = "sim-mutant";
/// Where the copied crates are, below the copy's root. Not `crates`: cargo knows a crate by its path
/// in the workspace, and would take a planted bug, being newer, for the build of the real one.
const FOLDER: &str = "planted";
/// A mutant may hang instead of failing; that counts as not caught.
const RUN_LIMIT: Duration = Duration::from_secs(400);

/// All mutants, or those whose names are given.
pub(crate) fn run(root: &Path, names: &[String]) -> Result<()> {
    let chosen: Vec<&Mutant> = all()
        .filter(|m| names.is_empty() || names.contains(&m.name.to_owned()))
        .collect();
    ensure!(
        !chosen.is_empty(),
        "no mutant is called {}",
        names.join(" or ")
    );
    let copy = Copy::make(root)?;
    for mutant in all() {
        mutant.apply(&copy.pristine(mutant)?)?;
    }
    let started = Instant::now();
    // Building takes both cores and running one, so the next mutant builds while this one runs.
    let mut verdicts = vec![judge_unmutated(&copy)?];
    for mutant in &chosen {
        verdicts.push(copy.check(mutant)?);
    }
    let survivors: Vec<String> = verdicts
        .into_iter()
        .filter_map(|verdict| verdict.wait().err())
        .map(|e| format!("{e:#}"))
        .collect();
    ensure!(survivors.is_empty(), "{}", survivors.join("\n"));
    say(&format!(
        "{} mutants, all caught, in {:?}",
        chosen.len(),
        started.elapsed()
    ));
    Ok(())
}

fn all() -> impl Iterator<Item = &'static Mutant> {
    table::MUTANTS.iter().chain(cluster::MUTANTS)
}

fn judge_unmutated(copy: &Copy) -> Result<Verdict> {
    let binary = copy.build("unmutated")?;
    Ok(Verdict(thread::spawn(move || {
        for sample in ["quick", "quick-cluster"] {
            let output = simulate(&binary, sample)?;
            ensure!(
                output.status.success(),
                "the unmutated copy fails:\n{}",
                text(&output)
            );
        }
        say("unmutated: passes");
        Ok(())
    })))
}

/// A check under way.
struct Verdict(thread::JoinHandle<Result<()>>);

impl Verdict {
    fn wait(self) -> Result<()> {
        self.0.join().unwrap_or_else(|_| bail!("a check panicked"))
    }
}

impl Mutant {
    /// The file's text with the mistake in it.
    fn apply(&self, text: &str) -> Result<String> {
        let places: Vec<Range<usize>> = occurrences(text, self.find);
        let [place] = places.as_slice() else {
            bail!(
                "the table is stale: {} looks for text that occurs {} times in {}",
                self.name,
                places.len(),
                self.file
            );
        };
        let mut text = text.to_owned();
        text.replace_range(place.clone(), self.replace);
        Ok(text)
    }

    /// What of the simulator runs the code with the mistake.
    fn sample(&self) -> &'static str {
        let is_in = |name: &&str| self.file.split('/').next() == Some(*name);
        if STORAGE.iter().any(is_in) {
            "quick"
        } else {
            "quick-cluster"
        }
    }

    /// Whether the simulator's answer is the right one.
    fn judge(&self, output: &Output) -> Result<()> {
        let said = text(output);
        let first = said
            .lines()
            .find(|line| line.contains("is broken"))
            .unwrap_or_default();
        ensure!(
            output.status.code() == Some(1) && !first.is_empty(),
            "{}: NOT CAUGHT ({})\n{said}",
            self.name,
            self.why
        );
        let id = first.split(' ').next().unwrap_or_default();
        ensure!(
            self.caught_by.contains(&id),
            "{}: expected {:?}, but: {first}",
            self.name,
            self.caught_by
        );
        say(&format!("{}: caught by {id}", self.name));
        Ok(())
    }
}

/// The copied crates.
struct Copy {
    root: PathBuf,
    target: PathBuf,
    binaries: PathBuf,
}

impl Copy {
    fn make(root: &Path) -> Result<Self> {
        let target = root.join("target");
        let copy = Self {
            root: target.join("mutants/source"),
            binaries: target.join("mutants/binaries"),
            target,
        };
        fs::create_dir_all(&copy.binaries)?;
        for name in CRATES {
            let (from, to) = (root.join("crates").join(name), copy.path(name));
            if to.exists() {
                fs::remove_dir_all(&to)?;
            }
            copy_tree(&from, &to).with_context(|| format!("copy {}", from.display()))?;
        }
        rename_binary(&copy.path("sim/Cargo.toml"))?;
        let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
        fs::write(copy.root.join("Cargo.toml"), trimmed(&manifest, root))?;
        fs::copy(root.join("Cargo.lock"), copy.root.join("Cargo.lock"))?;
        Ok(copy)
    }

    /// Where a file or folder below `crates/` is in the copy.
    fn path(&self, of: &str) -> PathBuf {
        self.root.join(FOLDER).join(of)
    }

    fn pristine(&self, mutant: &Mutant) -> Result<String> {
        let path = self.path(mutant.file);
        fs::read_to_string(&path).with_context(|| format!("the table is stale: {}", path.display()))
    }

    /// Builds the copy with the mistake in it, takes the mistake out again, and starts the check.
    fn check(&self, mutant: &'static Mutant) -> Result<Verdict> {
        let path = self.path(mutant.file);
        let pristine = self.pristine(mutant)?;
        fs::write(&path, mutant.apply(&pristine)?)?;
        let built = self.build(mutant.name);
        fs::write(&path, pristine)?;
        let binary = built?;
        Ok(Verdict(thread::spawn(move || {
            mutant.judge(&simulate(&binary, mutant.sample())?)
        })))
    }

    /// Builds the simulator and puts it aside under `name`.
    fn build(&self, name: &str) -> Result<PathBuf> {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "build",
                "--quiet",
                "--offline",
                "--package",
                "sim",
                "--bin",
                BINARY,
            ])
            .env("CARGO_TARGET_DIR", &self.target)
            .current_dir(&self.root)
            .output()
            .context("start cargo")?;
        ensure!(
            output.status.success(),
            "{name} does not build:\n{}",
            text(&output)
        );
        let binary = self.binaries.join(name);
        fs::copy(self.target.join("debug").join(BINARY), &binary)?;
        Ok(binary)
    }
}

fn rename_binary(manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let text = text.replacen("[package]", "[package]\nautobins = false", 1);
    let binary = format!("\n[[bin]]\nname = \"{BINARY}\"\npath = \"src/main.rs\"\n");
    Ok(fs::write(manifest, text + &binary)?)
}

/// The workspace manifest with only the copied crates in it. What is patched is taken from where it is.
fn trimmed(manifest: &str, root: &Path) -> String {
    let outside = ["members =", "default-members =", "exclude ="];
    let kept = manifest
        .lines()
        .filter(|line| !outside.iter().any(|key| line.starts_with(key)));
    let mut text = kept.collect::<Vec<_>>().join("\n");
    let members = format!("[workspace]\nmembers = [\"{FOLDER}/*\"]");
    text = text.replacen("[workspace]", &members, 1);
    text = text.replace("path = \"crates/", &format!("path = \"{FOLDER}/"));
    let patches = format!("path = \"{}/patches/", root.display());
    text = text.replace("path = \"patches/", &patches);
    text.push('\n');
    text
}

/// Where `find` stands in `text`, whatever white space is in either.
fn occurrences(text: &str, find: &str) -> Vec<Range<usize>> {
    let Some(first) = find.chars().next() else {
        return Vec::new();
    };
    let starts = text.match_indices(first).map(|(start, _)| start);
    starts
        .filter_map(|start| matched_to(text, start, find).map(|end| start..end))
        .collect()
}

/// Where `find` ends if it begins at `start`.
fn matched_to(text: &str, start: usize, find: &str) -> Option<usize> {
    let mut rest = text.get(start..)?;
    for letter in find.chars().filter(|letter| !letter.is_whitespace()) {
        rest = rest.trim_start().strip_prefix(letter)?;
    }
    Some(text.len() - rest.len())
}

/// Runs a sample, for at most [`RUN_LIMIT`].
fn simulate(binary: &Path, sample: &str) -> Result<Output> {
    let mut command = Command::new(binary);
    let mut child = command
        .arg(sample)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > RUN_LIMIT {
            child.kill()?;
            bail!("{} hangs", binary.display());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(child.wait_with_output()?)
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn text(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    format!("{out}{err}")
}
