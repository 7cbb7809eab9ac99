//! Durations and sizes as people write them: `90s`, `7d`, `64MiB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A length of time: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub Duration);

/// A number of bytes: a whole number, alone or with `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub(crate) struct Size(pub u64);

/// A size in a file may be a plain number.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a size is a whole number of bytes, or a text such as '64MiB'"
)]
enum Scalar {
    Number(u64),
    Text(String),
}

const SPANS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZES: [(&str, u64); 9] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &SPANS)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| format!("'{text}' is not a duration; write 500ms, 30s, 5m, 12h or 7d"))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &SIZES)
            .map(Self)
            .ok_or_else(|| format!("'{text}' is not a size; write 1048576, 64MiB or 1GB"))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<Scalar> for Size {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        match scalar {
            Scalar::Number(bytes) => Ok(Self(bytes)),
            Scalar::Text(text) => text.parse(),
        }
    }
}

/// The number in `text` times what its unit stands for.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// The largest unit that gives a whole number.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let fits = |(_, scale): &&(&str, u64)| millis.is_multiple_of(u128::from(*scale));
        let (unit, scale) = SPANS.iter().rev().find(fits).copied().unwrap_or(("ms", 1));
        write!(f, "{}{unit}", millis / u128::from(scale))
    }
}

/// Three digits and a binary unit: `512 B`, `1.50 KiB`, `12.3 GiB`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut units = ["KiB", "MiB", "GiB", "TiB"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        while let Some(larger) = (value >= 1000.0).then(|| units.next()).flatten() {
            value /= 1024.0;
            unit = larger;
        }
        let digits = if value < 10.0 {
            2
        } else {
            usize::from(value < 100.0)
        };
        f.pad(&format!("{value:.digits$} {unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            (" 5 m ", Some(300_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("30", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5h", None),
            ("99999999999999999999d", None),
            ("300000000000d", None),
        ];
        for (text, millis) in cases {
            let parsed = text.parse::<Span>().ok();
            assert_eq!(
                parsed,
                millis.map(|ms| Span(Duration::from_millis(ms))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_duration_is_written_in_its_largest_whole_unit() {
        for text in ["0d", "500ms", "90s", "5m", "12h", "7d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("86400s".parse::<Span>().unwrap().to_string(), "1d");
    }

    #[test]
    fn sizes() {
        let cases = [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("1kb", Some(1000)),
            ("1 KiB", Some(1024)),
            ("64MiB", Some(64 << 20)),
            ("2GB", Some(2_000_000_000)),
            ("1.5GB", None),
            ("GB", None),
            ("1PB", None),
            ("99999999999TiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<Size>().ok(), bytes.map(Size), "{text:?}");
        }
    }

    #[test]
    fn a_size_is_written_with_three_digits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
        ];
        let larger = [
            (10 << 20, "10.0 MiB"),
            (999 << 20, "999 MiB"),
            (1 << 30, "1.00 GiB"),
        ];
        for (bytes, text) in cases.into_iter().chain(larger) {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
