//! Documents: links lead somewhere, decisions are named by date.

use std::path::Path;

use anyhow::Result;

use super::{files, read, shown};

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in files(root, "md")? {
        let text = read(&path)?;
        let dir = path.parent().unwrap_or(root);
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !dir.join(file).exists() {
                found.push(format!("{}: dead link to {target}", shown(root, &path)));
            }
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if dir.ends_with("docs/decisions") && !dated(name) {
            found.push(format!(
                "{}: name it YYYY-MM-DD-slug.md",
                shown(root, &path)
            ));
        }
    }
    Ok(found)
}

/// Targets of `[text](target)` links that stay in the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
        .filter(|target| !target.contains("://") && !target.contains(char::is_whitespace))
}

fn dated(name: &str) -> bool {
    let pattern = b"0000-00-00-";
    name.len() > pattern.len()
        && pattern
            .iter()
            .zip(name.bytes())
            .all(|(shape, byte)| match shape {
                b'0' => byte.is_ascii_digit(),
                _ => byte == *shape,
            })
}

#[cfg(test)]
mod tests {
    use super::{dated, links};

    #[test]
    fn links_are_found_and_the_outside_is_left_alone() {
        let text = "see [a](a.md#b) and [c](https://example.org) or `x](y z)`";
        assert_eq!(links(text).collect::<Vec<_>>(), ["a.md#b"]);
    }

    #[test]
    fn decisions_are_named_by_date() {
        assert!(dated("2026-11-20-shared-journal.md"));
        assert!(!dated("shared-journal.md"));
        assert!(!dated("2026-11-20-"));
    }
}
