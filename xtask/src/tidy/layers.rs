//! The law of the layers: which crate may know which, and which library lives where.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{read, shown};

/// Our crates from the bottom up, with the ones of ours that each may depend on. `test-support`
/// may serve the tests of all of them.
const LAW: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &["model"]),
    ("compress", &["model", "wire"]),
    ("overlay", &["model"]),
    ("catalog", &["model", "overlay"]),
    ("groups", &["model"]),
    ("seglog", &["model", "wire"]),
    ("control", &["model", "catalog"]),
    ("peer", &["model", "catalog"]),
    (
        "broker",
        &["model", "wire", "compress", "catalog", "groups", "seglog"],
    ),
    ("door-http", &["model", "wire", "broker"]),
    (
        "hark",
        &[
            "model",
            "wire",
            "compress",
            "overlay",
            "catalog",
            "seglog",
            "control",
            "peer",
            "broker",
            "door-http",
        ],
    ),
    (
        "sim",
        &[
            "model", "wire", "overlay", "catalog", "seglog", "control", "peer",
        ],
    ),
    ("test-support", &[]),
    ("e2e", &[]),
    ("xtask", &[]),
];

/// Libraries that only these crates may name outside their tests.
const HOMES: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "control",
            "peer",
            "broker",
            "door-http",
            "hark",
            "sim",
            "e2e",
        ],
    ),
    ("openraft", &["control"]),
    ("foca", &["peer"]),
    ("rustls", &["peer"]),
    ("tokio-rustls", &["peer"]),
    ("rcgen", &["peer"]),
    ("chacha20poly1305", &["peer"]),
    ("axum", &["door-http"]),
    ("hyper", &["door-http"]),
    ("hyper-util", &["door-http"]),
    ("rusqlite", &["seglog", "broker", "control"]),
    ("rustix", &["seglog", "hark", "test-support", "e2e"]),
    ("aes-gcm", &["seglog"]),
    ("serde", &["door-http", "hark"]),
    ("serde_json", &["door-http", "hark", "xtask", "e2e"]),
    ("clap", &["hark"]),
    ("reqwest", &["hark", "e2e"]),
    ("anyhow", &["hark", "xtask", "e2e"]),
    ("zstd", &["compress"]),
    ("snap", &["compress"]),
    ("lz4_flex", &["compress"]),
    ("flate2", &["compress"]),
];

/// Crates whose purity the compiler holds: no file, socket, clock, task or thread can be named.
const NO_STD: &[&str] = &["model", "wire", "overlay", "catalog", "groups"];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let metadata = metadata(root)?;
    let mut found = Vec::new();
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("cargo metadata has no packages")?;
    for package in packages {
        let name = text(&package["name"]);
        let Some((_, allowed)) = LAW.iter().find(|(known, _)| *known == name) else {
            found.push(format!("{name}: not in the law of the layers"));
            continue;
        };
        if text(&package["description"]).is_empty() {
            found.push(format!("{name}: has no description"));
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let in_tests_only = text(&dependency["kind"]) == "dev";
            found.extend(broken(
                name,
                allowed,
                text(&dependency["name"]),
                in_tests_only,
            ));
        }
    }
    for name in NO_STD {
        let path = root.join("crates").join(name).join("src/lib.rs");
        if !read(&path)?.contains("#![no_std]") {
            found.push(format!("{}: must be no_std", shown(root, &path)));
        }
    }
    Ok(found)
}

/// What is wrong with one dependency, if anything.
fn broken(name: &str, allowed: &[&str], dependency: &str, in_tests_only: bool) -> Option<String> {
    let ours = LAW.iter().any(|(known, _)| *known == dependency);
    let unlawful = ours && !allowed.contains(&dependency) && !in_tests_only;
    let homeless = HOMES
        .iter()
        .find(|(library, _)| *library == dependency)
        .is_some_and(|(_, homes)| !homes.contains(&name) && !in_tests_only);
    (unlawful || homeless).then(|| format!("{name}: must not depend on {dependency}"))
}

fn metadata(root: &Path) -> Result<Value> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("start cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed");
    serde_json::from_slice(&output.stdout).context("read cargo metadata")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{LAW, broken};

    fn allowed(name: &str) -> &'static [&'static str] {
        LAW.iter().find(|(known, _)| *known == name).unwrap().1
    }

    #[test]
    fn the_law_says_no() {
        let cases = [
            ("wire", "seglog", false, true),
            ("wire", "model", false, false),
            ("seglog", "tokio", false, true),
            ("seglog", "test-support", true, false),
            ("broker", "axum", false, true),
            ("door-http", "axum", false, false),
            ("door-http", "seglog", false, true),
        ];
        for (name, dependency, in_tests, expected) in cases {
            let found = broken(name, allowed(name), dependency, in_tests);
            assert_eq!(found.is_some(), expected, "{name} -> {dependency}");
        }
    }

    #[test]
    fn arrows_point_down() {
        for (place, (name, allowed)) in LAW.iter().enumerate() {
            for dependency in *allowed {
                let below = LAW[..place].iter().any(|(known, _)| known == dependency);
                assert!(below, "{name} -> {dependency} does not point down");
            }
        }
    }
}
