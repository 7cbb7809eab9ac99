//! Where reading begins, as text: `earliest`, `latest`, an offset, `@milliseconds` or an RFC 3339
//! time. A bare number is always an offset.

use broker::Start;
use model::{Offset, Timestamp};

use crate::error::{Code, Refusal};

/// Reads `from`. The place of a `+` may hold a space, which is what an unescaped `+` in a query
/// becomes.
pub(crate) fn parse_from(text: &str) -> Result<Start, Refusal> {
    start(text).ok_or_else(|| {
        let hint = "'from' is earliest, latest, an offset, @milliseconds since 1970 or a time \
                    like 2026-01-31T12:00:00Z";
        Refusal::new(Code::InvalidFrom, hint)
    })
}

fn start(text: &str) -> Option<Start> {
    match text {
        "earliest" => return Some(Start::Earliest),
        "latest" => return Some(Start::Latest),
        _ => {}
    }
    if let Some(millis) = text.strip_prefix('@') {
        return digits(millis)
            .and_then(|n| i64::try_from(n).ok())
            .and_then(time);
    }
    match digits(text) {
        Some(number) => Offset::new(number).map(Start::Offset),
        None => rfc3339(text).and_then(time),
    }
}

fn time(millis: i64) -> Option<Start> {
    Timestamp::from_millis(millis).map(Start::Time)
}

/// A number of digits only: `parse` alone would take a sign.
fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

/// Milliseconds since 1970 of an RFC 3339 time (section 5.6). Digits of the fraction past the third
/// are dropped; a leap second counts as the second after it.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = match date.split('-').collect::<Vec<_>>()[..] {
        [y, m, d] => (field(y, 4, 9999)?, field(m, 2, 12)?, field(d, 2, 31)?),
        _ => return None,
    };
    if month == 0 || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (hour, minute, second) = match clock.split(':').collect::<Vec<_>>()[..] {
        [h, m, s] => (field(h, 2, 23)?, field(m, 2, 59)?, field(s, 2, 60)?),
        _ => return None,
    };
    let (millis, zone) = fraction(rest)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
        - zone_seconds(zone)?;
    Some(seconds * 1000 + millis)
}

fn field(text: &str, width: usize, max: i64) -> Option<i64> {
    let value = (text.len() == width).then(|| digits(text)).flatten()?;
    i64::try_from(value).ok().filter(|value| *value <= max)
}

/// The fraction of a second in milliseconds, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(text) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(end)?;
    if digits.is_empty() {
        return None;
    }
    let value = |place: usize| {
        digits
            .as_bytes()
            .get(place)
            .map_or(0, |d| i64::from(d - b'0'))
    };
    Some((value(0) * 100 + value(1) * 10 + value(2), rest))
}

/// Seconds by which local time is ahead of UTC.
fn zone_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.bytes().next()? {
        b'+' | b' ' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    Some(sign * (field(hours, 2, 23)? * 3600 + field(minutes, 2, 59)? * 60))
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar: whole years with their leap days, then whole months.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leap_days_before = |y: i64| (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400;
    let years = (year - 1970) * 365 + leap_days_before(year.max(1)) - leap_days_before(1970);
    let months: i64 = (1..month).map(|m| days_of_month(year, m)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Option<Start> {
        Some(Start::Time(Timestamp::from_millis(millis).unwrap()))
    }

    #[test]
    fn places_to_begin() {
        let offset = |n| Some(Start::Offset(Offset::new(n).unwrap()));
        let cases = [
            ("earliest", Some(Start::Earliest)),
            ("latest", Some(Start::Latest)),
            ("0", offset(0)),
            ("42", offset(42)),
            ("@1700000000123", at(1_700_000_000_123)),
            ("1970-01-01T00:00:00Z", at(0)),
            ("2024-02-29T12:30:45Z", at(1_709_209_845_000)),
            ("2024-02-29t12:30:45.1z", at(1_709_209_845_100)),
            ("2024-02-29T12:30:45.123999Z", at(1_709_209_845_123)),
            ("2024-02-29T13:30:45+01:00", at(1_709_209_845_000)),
            ("2024-02-29T13:30:45 01:00", at(1_709_209_845_000)),
            ("2024-02-29T07:00:45-05:30", at(1_709_209_845_000)),
            ("2000-12-31T23:59:60Z", at(978_307_200_000)),
            ("2100-03-01T00:00:00Z", at(4_107_542_400_000)),
        ];
        for (text, expected) in cases {
            assert_eq!(start(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let bad = [
            "",
            "Earliest",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "@",
            "@-5",
            "@x",
            "99999999999999999999",
            "9223372036854775808",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+1:00",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "2024-01-01T00:00:00Zx",
            "é024-01-01T00:00:00Z",
        ];
        for text in bad {
            assert_eq!(start(text), None, "{text}");
        }
    }
}
