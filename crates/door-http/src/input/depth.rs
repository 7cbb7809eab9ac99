//! How deep JSON is nested, found without parsing it.

use model::limits::JSON_DEPTH_MAX;

/// Whether brackets nest deeper than [`JSON_DEPTH_MAX`]. The text need not be valid JSON.
pub(crate) fn is_too_deep(json: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > JSON_DEPTH_MAX {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(!is_too_deep(&nested(JSON_DEPTH_MAX)));
        assert!(is_too_deep(&nested(JSON_DEPTH_MAX + 1)));
        assert!(!is_too_deep(&b"[]".repeat(1000)));
        let text = format!("\"\\\"{}\"", "[".repeat(1000));
        assert!(!is_too_deep(text.as_bytes()));
        assert!(is_too_deep(&b"{\"a\":".repeat(JSON_DEPTH_MAX + 1)));
    }
}
