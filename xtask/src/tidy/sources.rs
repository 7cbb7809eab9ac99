//! Source files: none forgotten by the compiler, none too long, no word that must not be there.

use std::path::Path;

use anyhow::Result;

use super::{files, read, shown};

/// Longest source file, its tests not counted.
const FILE_LINES_MAX: usize = 500;
/// `model` holds words only, so it stays small.
const MODEL_LINES_MAX: usize = 1_500;

/// Words that mark unfinished work. Split, so that this file does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("#[ig", "nore"),
];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut model_lines = 0;
    for path in files(root, "rs")? {
        let text = read(&path)?;
        let name = shown(root, &path);
        let lines = own_lines(&text);
        if name.starts_with("crates/model/src") {
            model_lines += lines;
        }
        if lines > FILE_LINES_MAX && !name.contains("/tests/") {
            found.push(format!("{name}: {lines} lines; split it by idea"));
        }
        for word in UNFINISHED.iter().filter(|word| text.contains(**word)) {
            found.push(format!("{name}: holds '{word}'"));
        }
        found.extend(forgotten(root, &path)?);
    }
    if model_lines > MODEL_LINES_MAX {
        found.push(format!(
            "crates/model: {model_lines} lines; it holds words, not behaviour"
        ));
    }
    Ok(found)
}

/// Lines before the file's own tests.
fn own_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .count()
}

/// A source file that no `mod` line names is never compiled.
fn forgotten(root: &Path, path: &Path) -> Result<Option<String>> {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let dir = path.parent().unwrap_or(root);
    let dir_name = dir
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let is_root = matches!(stem, "main" | "lib" | "build" | "mod");
    if is_root || matches!(dir_name, "examples" | "benches" | "fuzz_targets" | "bin") {
        return Ok(None);
    }
    let mut parents = vec![dir.join("lib.rs"), dir.join("main.rs"), dir.join("mod.rs")];
    parents.push(dir.with_extension("rs"));
    for parent in parents.iter().filter(|parent| parent.exists()) {
        if declares(&read(parent)?, stem) {
            return Ok(None);
        }
    }
    Ok(Some(format!(
        "{}: no 'mod {stem};' names it",
        shown(root, path)
    )))
}

fn declares(text: &str, stem: &str) -> bool {
    text.lines().map(str::trim).any(|line| {
        line.strip_suffix(';')
            .and_then(|line| line.rsplit_once("mod "))
            .is_some_and(|(before, name)| name == stem && !before.contains("//"))
    })
}

#[cfg(test)]
mod tests {
    use super::{declares, own_lines};

    #[test]
    fn a_mod_line_is_recognised() {
        assert!(declares("pub(crate) mod group;\n", "group"));
        assert!(declares("mod group;", "group"));
        assert!(!declares("// mod group;", "group"));
        assert!(!declares("mod groups;", "group"));
    }

    #[test]
    fn tests_do_not_count() {
        assert_eq!(own_lines("a\nb\n#[cfg(test)]\nmod tests {}\n"), 2);
    }
}
