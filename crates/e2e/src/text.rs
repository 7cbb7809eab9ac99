//! A real text that every machine has on which Hark was built: the sources of its dependencies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One line of the text; its key is the path of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `PACKAGE/PATH`.
    pub key: String,
    /// The line without its end.
    pub text: String,
}

/// At least `count` lines of whole files, in the same order every time.
pub fn dependency_sources(count: usize) -> Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(count);
    for (package, root) in packages()? {
        for file in rust_files(&root)? {
            let path = file.strip_prefix(&root).unwrap_or(&file);
            let key = format!("{package}/{}", path.display());
            // A file that is not UTF-8 is no text.
            let Ok(text) = fs::read_to_string(&file) else {
                continue;
            };
            lines.extend(text.lines().map(|line| Line {
                key: key.clone(),
                text: line.to_owned(),
            }));
        }
        if lines.len() >= count {
            return Ok(lines);
        }
    }
    anyhow::bail!("the dependencies have only {} lines", lines.len())
}

/// Name and directory of every package that Hark is built from and did not write.
fn packages() -> Result<Vec<(String, PathBuf)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("start cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut found = Vec::new();
    for package in metadata
        .get("packages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let (Some(name), Some(manifest)) =
            (package["name"].as_str(), package["manifest_path"].as_str())
        else {
            continue;
        };
        if let (true, Some(dir)) = (package["source"].is_string(), Path::new(manifest).parent()) {
            found.push((name.to_owned(), dir.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
