//! What a compiler does not check: the law of the layers, links between docs, forgotten files,
//! sizes, and words that must not stand in the sources.

mod docs;
mod layers;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::say;

/// Runs every check and fails with all that was found.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut found = Vec::new();
    found.extend(layers::check(root)?);
    found.extend(docs::check(root)?);
    found.extend(sources::check(root)?);
    for line in &found {
        say(line);
    }
    if !found.is_empty() {
        bail!("{} things are out of place", found.len());
    }
    Ok(())
}

/// Every file under `dir` with this extension, sorted, build products left out.
fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
            let path = entry?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// The path as a person would name it from the root.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    /// The whole house is tidy; so `cargo test` tells too.
    #[test]
    fn the_house_is_tidy() {
        super::run(&crate::root()).unwrap();
    }
}
