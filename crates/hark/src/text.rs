//! Text from outside, made harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Binary digits of a node's id, at least: a corner of a cube of eight is the least that is shown.
pub(crate) const CORNER_DIGITS_MIN: usize = 3;

/// So many things of this name, as in `1 line` and `2 lines`.
pub(crate) fn counted(count: u64, name: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {name}{ending}")
}

/// `text` with everything escaped that a terminal would obey instead of showing: control
/// characters (but not the tab) and the marks that turn the direction of writing.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_dangerous(character) {
            escape_into(&mut safe, character);
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// The same, but line ends stay: for messages that have several lines.
pub(crate) fn escaped_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// The same for one line of JSON, which stays JSON: what is dangerous stands inside of its strings.
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_dangerous) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if is_dangerous(character) {
            let written = write!(safe, "\\u{:04x}", u32::from(character));
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn is_dangerous(character: char) -> bool {
    let turns = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (character.is_control() && character != '\t')
}

fn escape_into(safe: &mut String, character: char) {
    let written = match character {
        '\n' => write!(safe, "\\n"),
        '\r' => write!(safe, "\\r"),
        _ if u32::from(character) < 0x100 => write!(safe, "\\x{:02x}", u32::from(character)),
        _ => write!(safe, "\\u{{{:x}}}", u32::from(character)),
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let cases = [
            (
                "plain, \u{fc}\u{f1}\u{ed} and \u{1f980}",
                "plain, \u{fc}\u{f1}\u{ed} and \u{1f980}",
            ),
            ("a\tb", "a\tb"),
            ("a\nb\r", "a\\nb\\r"),
            ("\u{1b}[31mred\u{7}", "\\x1b[31mred\\x07"),
            ("\u{9b}31m\u{7f}", "\\x9b31m\\x7f"),
            ("abc\u{202e}cba", "abc\\u{202e}cba"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn json_stays_json_and_means_the_same() {
        let value = serde_json::json!({"\u{9b}k": "\u{1b}[2J \u{9b}2J \u{7f} \u{202e} \u{fc}"});
        let json = escaped_json(&value.to_string()).into_owned();
        assert_eq!(
            json,
            "{\"\\u009bk\":\"\\u001b[2J \\u009b2J \\u007f \\u202e \u{fc}\"}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&json).unwrap(),
            value
        );
        assert!(matches!(escaped_json("{}"), Cow::Borrowed("{}")));
    }
}
